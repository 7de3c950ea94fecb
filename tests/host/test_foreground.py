import os
import signal
import sys
import threading
import time

import pytest

from envlock.host.foreground import Ended, foreground
from envlock.runtime.errors import UsageError


def run(source: str) -> Ended:
    return foreground((sys.executable, "-c", source), env=os.environ)


def test_status_is_the_programs_own_or_128_and_the_signal() -> None:
    assert run("raise SystemExit(7)") == Ended(status=7)
    assert run("import os; os.kill(os.getpid(), 9)") == Ended(status=137)


def test_program_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot start the job"):
        foreground(("/no/such/program",), env={})


def test_signal_goes_to_the_program_and_is_told(tmp_path: object) -> None:
    source = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        f"open({str(tmp_path)!r} + '/ready', 'w').close()\ntime.sleep(60)"
    )

    def end() -> None:
        until = time.monotonic() + 30
        while not os.path.exists(f"{tmp_path}/ready") and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end)
    thread.start()
    assert run(source) == Ended(status=5, interrupted_by=signal.SIGTERM)
    thread.join()
