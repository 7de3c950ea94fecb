"""The runtime needs the standard library of Python 3.8 and nothing else."""

import subprocess
import sys
from pathlib import Path

import envlock.runtime

PACKAGE = Path(envlock.runtime.__file__).parent
_IMPORT_ALL = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
print(sorted({module.partition(".")[0] for module in sys.modules}))
"""


def modules() -> list[str]:
    paths = sorted(PACKAGE.rglob("*.py"))
    names = [".".join(path.relative_to(PACKAGE.parents[1]).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names]


def test_every_module_imports_alone_with_the_standard_library() -> None:
    source = str(PACKAGE.parents[1])
    argv = [sys.executable, "-I", "-S", "-W", "error", "-c", _IMPORT_ALL, source, *modules()]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    foreign = {"numpy", "torch", "tensorflow", "yaml", "typing_extensions", "dataclasses", "subprocess"}
    assert not foreign & set(done.stdout.replace("'", " ").replace(",", " ").split())


def test_python_3_8_is_enough() -> None:
    argv = [
        sys.executable,
        "-c",
        "import vermin; vermin.main()",
        "-t=3.8-",
        "--no-tips",
        "--violations",
        str(PACKAGE),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_every_child_process_loads_is_small() -> None:
    code = "import sys, os, __future__\nbefore = set(sys.modules)\nimport envlock.runtime.startup\n"
    code += "print(set(sys.modules) - before)"
    source = str(PACKAGE.parents[1])
    env = {"ENVLOCK_RUN": "1", "ENVLOCK_SEED": "1", "PYTHONPATH": source}
    argv = [sys.executable, "-S", "-c", code]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    loaded = {name.strip(" '{}\n") for name in done.stdout.split(",")}
    assert loaded == {
        "envlock",
        "envlock.runtime",
        "envlock.runtime.entropy",
        "envlock.runtime.errors",
        "envlock.runtime.hook",
        "envlock.runtime.identity",
        "envlock.runtime.rank",
        "envlock.runtime.spool",
        "envlock.runtime.startup",
        "envlock.runtime.value",
    }


def test_a_run_without_a_fingerprint_loads_nothing_of_it() -> None:
    code = "import sys\nimport envlock.runtime.entrypoint, envlock.runtime.session\n"
    code += "print([one for one in sys.modules if 'fingerprint' in one or one == 'subprocess'])"
    argv = [sys.executable, "-S", "-c", code]
    env = {"PYTHONPATH": str(PACKAGE.parents[1])}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
