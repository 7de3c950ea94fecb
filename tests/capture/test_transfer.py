import json
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.capture import transfer
from envlock.core.digest import Digest
from envlock.lock.environment import (
    DirectUrl,
    Environment,
    HostFiles,
    InstalledDistribution,
    InterpreterTree,
    RecordEntry,
)
from envlock.lock.model import (
    CondaPackage,
    Cpu,
    CudaLibrary,
    Gap,
    Gpu,
    OperatingSystem,
    Python,
)

DISTRIBUTION = InstalledDistribution(
    name="demo",
    raw_name="Demo",
    version="1.0",
    site=Path("/opt/venv/lib/python3.11/site-packages"),
    dist_info="demo-1.0.dist-info",
    tags=("py3-none-any",),
    build=None,
    root_is_purelib=True,
    record=(RecordEntry(path="demo.py", sha256="abc", size=3), RecordEntry(path="x", sha256=None, size=None)),
    requires_python=None,
    installer="pip",
    direct_url=DirectUrl(kind="archive", url="file:///wheels/demo.whl", editable=False),
    conda=CondaPackage(name="demo", version="1.0", build="0", channel="forge", sha256=Digest("a" * 64)),
)
ENVIRONMENT = Environment(
    python=Python(
        implementation="cpython",
        version="3.11.7",
        abi="cpython-311",
        build="GCC",
        prefix_kind="system",
        prefix="/usr",
    ),
    os=OperatingSystem(id="debian", version="12", kernel="6", libc="glibc 2.36", machine="x86_64"),
    cpu=Cpu(model="cpu", isa="x86-64-v3", cores=2, extra=(("later", 1),)),
    gpu=Gpu(),
    cuda=(CudaLibrary(name="cudart", version="12", origin="unowned"),),
    project=None,
    variables=(("OMP_NUM_THREADS", "2"),),
    distributions=(DISTRIBUTION,),
    host_files=HostFiles(
        packages=(),
        loose=("/usr/lib/x.so",),
        interpreter=InterpreterTree(prefix=Path("/opt/py"), target="/opt/python", files=("bin/python3",)),
        python_executable="/opt/python/bin/python3",
        moved=(("/a", "/b"),),
    ),
    gaps=(Gap(subject="x", reason="y", harmless=True),),
)


def through_json(environment: Environment) -> Environment:
    return transfer.loads(Environment, json.loads(json.dumps(transfer.dumps(environment))))


def test_an_environment_comes_back_as_it_went() -> None:
    found = through_json(replace(ENVIRONMENT, cpu=replace(ENVIRONMENT.cpu, extra=())))
    assert found == replace(ENVIRONMENT, cpu=replace(ENVIRONMENT.cpu, extra=()))
    assert through_json(replace(ENVIRONMENT, host_files=None)).host_files is None


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {"gaps": {}},
        {"gaps": [{"subject": 1, "reason": "y"}]},
        {"variables": [["one"]]},
        {"python": {"prefix_kind": "odd"}},
        {"python": None},
        {"cpu": {"cores": True}},
    ],
)
def test_what_has_another_shape_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"not what was expected|zip\(\)"):
        transfer.loads(Environment, wrong)


def test_members_that_are_not_known_are_left_out() -> None:
    value = {**transfer.dumps(ENVIRONMENT.gaps[0]), "more": 1}
    assert transfer.loads(Gap, value) == ENVIRONMENT.gaps[0]
