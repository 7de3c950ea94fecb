import os
import subprocess
import sys
from pathlib import Path

import pytest

from envlock.cli import trace
from envlock.host.home import home_directory


def test_the_variable_counts_more_than_the_account() -> None:
    assert home_directory({"HOME": "/home/ann"}) == Path("/home/ann")
    assert home_directory({}) == Path(os.path.expanduser("~"))


def test_without_variable_and_account_it_is_the_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody without an account")
    script = (
        "import os; from envlock.host.home import home_directory; "
        "os.setuid(47_114_711); print(home_directory({}))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "/\n"


def test_a_line_of_verbose_keeps_its_slashes_where_the_root_is_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    assert trace.public("/usr/bin/true") == "/usr/bin/true"
