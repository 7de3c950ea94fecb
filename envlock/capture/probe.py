"""The script that the captured interpreter runs: facts of itself and its distributions, as JSON.

It is sent as text (``python -E -B -c``), so it imports nothing of envlock, needs only the standard
library and runs on Python 3.8 and later, by which annotations are not evaluated
(:func:`envlock.capture.python.ask`). It writes nothing; what start-up hooks print stands before
the marker line and is ignored. A file that can't be read is a null. A directory of PYTHONPATH counts
where distributions are installed in it; others hold the job's own code.
"""

import json
import os
import platform
import site
import sys
import sysconfig

# To import typing takes a fifth of the time of all this; type checkers take the name for the real one.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MARKER = "--- envlock probe ---"
# Headers come first in METADATA. A RECORD above this size is none: it would hold a million files.
LARGEST_METADATA = 1 << 20
LARGEST_RECORD = 256 << 20
PARTS = ("WHEEL", "INSTALLER", "direct_url.json")


def text(path: str, largest: int = LARGEST_METADATA) -> str | None:
    """Return the file's first ``largest`` bytes, or None when it can't be read.

    Bytes that are no UTF-8 are replaced.
    """
    try:
        # A pipe would wait for a writer for ever.
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as stream:
            return stream.read(largest).decode("utf-8", "replace")
    except OSError:
        return None


def record(path: str) -> str | None:
    """Return the text of RECORD, or None when it can't be read or is too large to be one."""
    found = text(path, LARGEST_RECORD + 1)
    return None if found is None or len(found) > LARGEST_RECORD else found


def distribution(directory: str, name: str) -> dict[str, str | None]:
    """Return the raw texts of one dist-info or egg-info, which may be a directory or a file."""
    base = os.path.join(directory, name)
    facts: dict[str, str | None] = {"site": directory, "name": name}
    if os.path.isdir(base):
        main = "METADATA" if name.endswith(".dist-info") else "PKG-INFO"
        facts["METADATA"] = text(os.path.join(base, main))
        facts.update((part, text(os.path.join(base, part))) for part in PARTS)
        facts["RECORD"] = record(os.path.join(base, "RECORD"))
    else:
        facts["METADATA"] = text(base)
        facts.update((part, None) for part in (*PARTS, "RECORD"))
    return facts


def distributions() -> list[dict[str, str | None]]:
    """Return every dist-info and egg-info of sys.path, in its order; names sorted in a directory."""
    return [distribution(directory, name) for directory in search_path() for name in installed(directory)]


def installed(directory: str) -> list[str]:
    """Return the names of the distributions' metadata in a directory, sorted; none where it can't be read."""
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith((".dist-info", ".egg-info")))
    except OSError:
        return []


def search_path() -> list[str]:
    """Return the directories that a script's imports look into, but for the script's own."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    ahead = [entry for entry in map(os.path.abspath, filter(None, named)) if installed(entry)]
    return list(dict.fromkeys([*ahead, *(entry for entry in sys.path if os.path.isdir(entry))]))


def built_prefix() -> str:
    """Return the prefix that the interpreter was built for: ``/install`` where it was moved since."""
    try:
        built: Any = __import__(sysconfig._get_sysconfigdata_name())  # type: ignore[attr-defined] # noqa: SLF001 (no public way)
        return str(built.build_time_vars.get("prefix", ""))
    except (AttributeError, ImportError):
        return ""


def libc() -> str:
    """Return ``glibc 2.36``; other C libraries do not answer confstr and are named ``unknown``."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "unknown"
    except (AttributeError, OSError, ValueError):
        return "unknown"


def facts(*, bare: bool) -> dict[str, "Any"]:
    """Return everything that envlock asks of the interpreter; ``bare``: without the distributions."""
    executable = getattr(sys, "_base_executable", None) or sys.executable
    return {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "soabi": sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag or "",
        "build": platform.python_compiler(),
        "libc": libc(),
        "executable": os.path.realpath(executable),
        "prefix": sys.prefix,
        "base_prefix": os.path.realpath(sys.base_prefix),
        "built_prefix": built_prefix(),
        "stdlib": os.path.realpath(sysconfig.get_path("stdlib")),
        "path": search_path(),
        "user_site": site.getusersitepackages(),
        "distributions": [] if bare else distributions(),
    }


if __name__ == "__main__":
    sys.stdout.write("\n" + MARKER + "\n" + json.dumps(facts(bare="--bare" in sys.argv)) + "\n")
