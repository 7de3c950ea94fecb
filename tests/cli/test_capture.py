from dataclasses import replace
from pathlib import Path

import click
import pytest

from envlock.cli import captured
from envlock.lock.model import Gap, Lock
from tests.image.wheels import lock_of


@pytest.fixture
def lock() -> Lock:
    return replace(
        lock_of(),
        gaps=(
            *(
                Gap(subject=name, reason="left out: only envlock needs it", harmless=True)
                for name in "abcdef"
            ),
            Gap(subject="gpu", reason="no [driver]", harmless=True),
        ),
    )


def test_gaps_of_one_reason_share_a_line(lock: Lock) -> None:
    told = map(click.unstyle, captured.lines(lock, Path("pylock.toml")))
    gaps = [line.strip() for line in told if "gap" in line]
    assert gaps == [
        "gap  a, b, c, d and 2 more: left out: only envlock needs it",
        "gap  gpu: no [driver]",
    ]


def test_every_gap_stands_in_the_json(lock: Lock) -> None:
    assert [one["subject"] for one in captured.summary(lock, Path("pylock.toml"))["gaps"]] == [
        *"abcdef",
        "gpu",
    ]


def test_strict_minds_only_what_should_have_been_captured(lock: Lock) -> None:
    assert lock.is_complete
    assert not replace(lock, gaps=(*lock.gaps, Gap(subject="x", reason="lost"))).is_complete
