"""The Linux namespaces that a container of the embedded engine stands on, through ``unshare``.

Three ways, decided once by trying (namespaces(7), user_namespaces(7)):

* an ordinary user makes a user namespace in which it is root, sets the mounts up there, and gives
  the job a second one, in which the caller's own user has the image's number;
* root needs only the second: what the job does on disk then belongs to root, without root's rights;
* root where user namespaces are forbidden becomes the image's user for real.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from envlock.engines.user import User
from envlock.host import process
from envlock.runtime.errors import UnreachableError

TOOLS = ("unshare", "mount", "findmnt", "env", "sh")
_CLEAN = {"PATH": os.defpath + ":/usr/sbin:/sbin", "LC_ALL": "C"}
_MAPPED_ROOT = ("--user", "--map-root-user")


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespaces:
    """How this process may make containers. ``unshare`` and ``env`` are absolute paths."""

    unshare: str
    env: str
    sh: str
    root: bool
    users: bool

    @property
    def lends(self) -> bool:
        """Whether the job is another user of this machine, to whom /out must be lent."""
        return not self.users

    def outer(self, *, network: bool) -> tuple[str, ...]:
        """Return the command that makes the namespaces and then runs what follows as process 1."""
        mapped = () if self.root else _MAPPED_ROOT
        alone = () if network else ("--net",)
        parts = ("--mount", "--pid", "--ipc", "--fork", "--kill-child")
        return (self.unshare, *mapped, *alone, *parts, "--")

    def inner(
        self, user: User, root: Path, directory: str, environment: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Return the command that gives rights up, enters ``root`` and runs what follows.

        It runs with exactly ``environment``.
        """
        variables = (f"{name}={value}" for name, value in environment.items())
        if self.users:
            identity = ["--user", f"--map-user={user.uid}", f"--map-group={user.gid}"]
        else:
            identity = [f"--setuid={user.uid}", f"--setgid={user.gid}"]
        return (
            *(self.env, "-i", *variables),
            *(self.unshare, *identity, f"--root={root}", f"--wd={directory}", "--"),
        )


def available() -> Namespaces:
    """Find out what this process may do, by doing it. Raises UnreachableError where it may not."""
    paths = {tool: shutil.which(tool, path=_CLEAN["PATH"]) for tool in TOOLS}
    absent = [tool for tool, path in paths.items() if path is None]
    if absent:
        raise UnreachableError(
            "the embedded engine is not available",
            expected="util-linux on PATH",
            found=f"no {', '.join(absent)}",
            hint="install util-linux (Debian: apt-get install util-linux mount), or use --engine docker",
        )
    unshare = str(paths["unshare"])
    root = os.geteuid() == 0
    users = _works(unshare, *_MAPPED_ROOT, "--mount", "--pid", "--fork")
    if not users and not (root and _works(unshare, "--mount", "--pid", "--fork")):
        raise _refused(root=root)
    return Namespaces(unshare=unshare, env=str(paths["env"]), sh=str(paths["sh"]), root=root, users=users)


def environment() -> dict[str, str]:
    """Return the variables with which the tools themselves run: nothing of the caller's."""
    return dict(_CLEAN)


def _works(*argv: str) -> bool:
    return process.run((*argv, "--", "true"), env=_CLEAN).exit_code == 0


def _refused(*, root: bool) -> UnreachableError:
    found, hint = why_restricted(_setting)
    return UnreachableError(
        "the embedded engine is not available",
        expected="root's rights over mounts" if root else "user namespaces for ordinary users",
        found=found,
        hint=f"{hint}, or use --engine docker",
    )


def why_restricted(setting: Callable[[str], str | None]) -> tuple[str, str]:
    """Return which setting forbids user namespaces, and what its administrator can do.

    ``setting`` returns the text of a name below /proc/sys, or None where the kernel has none.
    """
    for name, forbids, allowed in _RESTRICTIONS:
        value = setting(name)
        if value is not None and forbids(int(value)):
            return f"{name.replace('/', '.')}={value}", f"ask for `sysctl {name.replace('/', '.')}={allowed}`"
    return (
        "the kernel said no",
        "inside another container it must be started with --privileged or its own seccomp profile",
    )


def _zero(value: int) -> bool:
    return value == 0


def _not_zero(value: int) -> bool:
    return value != 0


# Debian and Arch; every kernel; Ubuntu 23.10 and later.
_RESTRICTIONS: tuple[tuple[str, Callable[[int], bool], str], ...] = (
    ("kernel/unprivileged_userns_clone", _zero, "1"),
    ("user/max_user_namespaces", _zero, "15000"),
    ("kernel/apparmor_restrict_unprivileged_userns", _not_zero, "0"),
)


def _setting(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None
