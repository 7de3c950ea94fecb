"""Making the root of an image this process's own, for reading only, with no way back and no rights.

What runs here is envlock's own code; what lies in the root is anybody's. So after :func:`enter`

* the process has no capability, can gain none, and can't be traced by what it starts;
* nothing is loaded from the root into it: no module (whoever imports must have done so before), no
  shared library, and no name service of the C library;
* after :func:`start_only`, all that it can start is the interpreters that are asked.

The namespaces around it (no network, read-only mounts, processes of its own) are its caller's work:
:mod:`envlock.engines.inspection`. Rules: capabilities(7), prctl(2), PEP 578.
"""

import ctypes
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from errno import EPERM
from functools import partial
from pathlib import Path

_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_CAPABILITY_VERSION = 0x20080522
_LOADING = frozenset(("ctypes.dlopen", "ctypes.dlsym", "socket.getaddrinfo", "socket.gethostbyname"))
# subprocess starts a program by itself, or from Python 3.13 on by posix_spawn.
_PROGRAMS = frozenset(("subprocess.Popen", "os.posix_spawn"))
_STARTING = frozenset(("os.exec", "os.fork", "os.forkpty", "os.system"))


def enter(root: Path) -> None:
    """Enter ``root`` and give up every right. Needs the right to chroot; raises OSError without it."""
    library = ctypes.CDLL(None, use_errno=True)
    _prepare_threads()
    os.chroot(root)
    os.chdir("/")
    _surrender(library)
    sys.addaudithook(refuse_loading)


def start_only(*programs: Path) -> None:
    """Let this process start ``programs`` and nothing else; others answer PermissionError."""
    sys.addaudithook(partial(refuse_starting, programs))


def refuse_starting(programs: tuple[Path, ...], event: str, arguments: tuple[object, ...]) -> None:
    """Refuse to start anything but one of ``programs``."""
    other = event in _PROGRAMS and str(arguments[0]) not in map(str, programs)
    if other or event in _STARTING:
        raise PermissionError(EPERM, "not started: only the image's interpreter is", str(arguments[:1]))


def _prepare_threads() -> None:
    # The C library loads libgcc_s when the first thread ends (pthread_exit(3)): let that be ours.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(os.getpid).result()


def _surrender(library: ctypes.CDLL) -> None:
    """Drop every capability, the bounding set first, so that no program started later has one again."""
    capability = 0
    while library.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    _call(library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _call(library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _call(library.capset(header, (ctypes.c_uint32 * 6)()))


def _call(status: int) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def refuse_loading(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse what would load a file of the root into this process."""
    if event == "import":
        raise ModuleNotFoundError(f"{arguments[0]} was not imported before the root was entered")
    if event in _LOADING:
        raise PermissionError(EPERM, "not loaded: it would be the image's", str(arguments[0]))
