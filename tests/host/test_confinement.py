"""What a process of envlock may do inside an image's root; tests/engines enters one."""

from pathlib import Path

import pytest

from envlock.host import confinement

PROGRAM = Path("/usr/bin/python3")


def test_nothing_of_the_root_is_loaded() -> None:
    with pytest.raises(ModuleNotFoundError, match="evil"):
        confinement.refuse_loading("import", ("evil", None, None, None, None))
    for event in ("ctypes.dlopen", "socket.getaddrinfo"):
        with pytest.raises(PermissionError):
            confinement.refuse_loading(event, ("libevil.so",))
    confinement.refuse_loading("open", ("/etc/os-release", "r", 0))


def test_only_the_interpreter_is_started() -> None:
    for event in ("subprocess.Popen", "os.posix_spawn"):
        confinement.refuse_starting((PROGRAM,), event, (str(PROGRAM), [], None, None))
    confinement.refuse_starting((PROGRAM,), "open", ("/etc/os-release", "r", 0))
    for event, argument in (
        ("subprocess.Popen", "/usr/bin/apt-cache"),
        ("os.posix_spawn", "/usr/bin/apt-cache"),
        ("os.system", b"true"),
    ):
        with pytest.raises(PermissionError):
            confinement.refuse_starting((PROGRAM,), event, (argument,))
