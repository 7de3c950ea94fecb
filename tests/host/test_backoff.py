import time
from email.utils import formatdate

import pytest

from envlock.host.backoff import Backoff


def waited(attempt: int, retry_after: str | None = None) -> float:
    pauses: list[float] = []
    Backoff(pause=pauses.append).wait(attempt, retry_after)
    (seconds,) = pauses
    return seconds


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
