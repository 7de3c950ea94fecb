import os
import subprocess
import sys

import pytest

from envlock.engines import namespaces
from envlock.runtime.errors import UnreachableError
from tests.engines.conftest import ROOT

# Inside a user namespace of its own a process may lower the limit for itself: a real restriction.
RESTRICTED = """
import os, sys
if sys.argv[1] == "no user namespaces":
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
from envlock.engines import namespaces
from envlock.runtime.errors import EnvlockError
os.setresuid(*[int(sys.argv[2])] * 3)
try:
    found = namespaces.available()
    print(found.root, found.users, found.lends)
except EnvlockError as error:
    print(error.render())
"""


def restricted(how: str, *, uid: int) -> str:
    outer = ("unshare", "--user", "--map-root-user", "--mount")
    done = subprocess.run(
        [*outer, sys.executable, "-c", RESTRICTED, how, str(uid)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_root_without_user_namespaces_still_has_a_way(namespaces: None) -> None:
    assert restricted("no user namespaces", uid=0) == "True False True\n"
    assert restricted("as it is", uid=0) == "True True False\n"


@pytest.mark.parametrize(
    ("settings", "found", "hint"),
    [
        (
            {"user/max_user_namespaces": "0", "kernel/unprivileged_userns_clone": "0"},
            "kernel.unprivileged_userns_clone=0",
            "ask for `sysctl kernel.unprivileged_userns_clone=1`",
        ),
        (
            {"user/max_user_namespaces": "0", "kernel/unprivileged_userns_clone": "1"},
            "user.max_user_namespaces=0",
            "ask for `sysctl user.max_user_namespaces=15000`",
        ),
        (
            {"kernel/apparmor_restrict_unprivileged_userns": "1", "user/max_user_namespaces": "9"},
            "kernel.apparmor_restrict_unprivileged_userns=1",
            "ask for `sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
        ),
        (
            {},
            "the kernel said no",
            "inside another container it must be started with --privileged or its own seccomp profile",
        ),
    ],
)
def test_the_setting_that_forbids_namespaces_is_named(
    settings: dict[str, str], found: str, hint: str
) -> None:
    assert namespaces.why_restricted(settings.get) == (found, hint)


def test_the_refusal_names_the_engine_and_the_other_one() -> None:
    text = namespaces._refused(root=False).render()
    assert text.startswith(
        "envlock: the embedded engine is not available: expected user namespaces for ordinary users, found "
    )
    assert text.endswith("or use --engine docker")


def test_a_setting_that_the_kernel_lacks_is_none() -> None:
    assert namespaces._setting("kernel/no_such_setting") is None
    assert namespaces._setting("kernel/ostype") == "Linux"


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "TOOLS", ("sh", "no-such-tool"))
    with pytest.raises(UnreachableError, match="no no-such-tool"):
        namespaces.available()
