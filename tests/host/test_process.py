import sys
from pathlib import Path

import pytest

from envlock.host import process
from envlock.runtime.errors import UnreachableError


def test_output_and_status_come_back(tmp_path: Path) -> None:
    program = (
        "import sys, os; sys.stdout.write(os.getcwd() + sys.stdin.read()); sys.stderr.write('e'); sys.exit(3)"
    )
    done = process.run([sys.executable, "-c", program], cwd=tmp_path, stdin=b"!")
    assert done.exit_code == 3
    assert done.stdout.decode() == f"{tmp_path}!"
    assert done.stderr == b"e"


def test_only_the_given_environment_reaches_the_program() -> None:
    done = process.run(["/usr/bin/env"], env={"ONLY": "this"})
    assert done.stdout == b"ONLY=this\n"


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(UnreachableError, match="no-such-program"):
        process.run(["no-such-program"])


def test_a_program_that_takes_too_long_is_ended_and_named() -> None:
    with pytest.raises(UnreachableError, match="took too long: sleep"):
        process.run(["sleep", "30"], timeout=0.1)
