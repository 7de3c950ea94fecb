import time
from email.utils import formatdate

import pytest

from envlock.core.progress import Silent
from envlock.host.backoff import Backoff, Waits

waited = Backoff().seconds


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_pauses_double_up_to_the_longest() -> None:
    assert [waited(attempt) for attempt in (0, 1, 2, 9)] == [0.5, 1.0, 2.0, 30.0]


@pytest.mark.parametrize(
    ("stated", "seconds"), [("7", 7.0), ("0", 0.5), ("3600", 30.0), ("soon", 0.5), ("-1", 0.5)]
)
def test_the_server_is_given_the_time_that_it_asks_for(stated: str, seconds: float) -> None:
    assert waited(0, stated) == seconds


def test_a_time_may_be_a_date() -> None:
    assert 15 < waited(0, formatdate(time.time() + 20, usegmt=True)) <= 21
    assert waited(0, formatdate(time.time() - 20, usegmt=True)) == 0.5


def test_a_pause_is_told_once_for_all_that_wait_for_one_server() -> None:
    notes = Notes()
    waits = Waits(notes)
    for server in ("a.example", "a.example", "b.example"):
        waits.tell(server, "status 503", 0.2)
    time.sleep(0.3)
    waits.tell("a.example", "status 503", 1.0)
    assert notes.lines == [
        "a.example: status 503; asking again in 0.2 s",
        "b.example: status 503; asking again in 0.2 s",
        "a.example: status 503; asking again in 1 s",
    ]
