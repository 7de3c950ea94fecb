from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from envlock.host.memory import Answer, Memory
from tests.host.clocks import later


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "file"
    path.write_bytes(b"some bytes")
    return str(path)


def _never() -> Answer:
    pytest.fail("it was asked again")


def _learned(file: str, answer: Answer = "yes") -> Mapping[str, object]:
    memory = Memory("group", {}, later)
    assert memory.answer("name", [file], lambda: answer) == answer
    assert memory.changed
    return memory.kept


@pytest.mark.parametrize("answer", ["yes", "", [], ["a", "b"]])
def test_an_answer_is_given_again_while_the_files_stay(file: str, answer: Answer) -> None:
    memory = Memory("group", _learned(file, answer), later)
    assert memory.answer("name", [file], _never) == answer
    assert not memory.changed


def test_a_changed_file_makes_the_question_new(file: str) -> None:
    known = _learned(file)
    Path(file).write_bytes(b"other bytes")
    assert Memory("group", known, later).answer("name", [file], lambda: "no") == "no"


def test_another_question_has_another_answer(file: str) -> None:
    known = _learned(file)
    assert Memory("group", known, later).answer("other", [file], lambda: "no") == "no"
    # An entry that came to another group, or under another name, is none of theirs.
    assert Memory("another group", known, later).answer("name", [file], lambda: "no") == "no"
    moved = {"other": known["name"]}
    assert Memory("group", moved, later).answer("other", [file], lambda: "no") == "no"


def test_files_that_changed_a_moment_ago_vouch_for_nothing(file: str) -> None:
    memory = Memory("group", {})
    assert memory.answer("name", [file], lambda: "yes") == "yes"
    assert not memory.kept


def test_files_that_change_during_the_work_vouch_for_nothing(file: str) -> None:
    def work() -> Answer:
        Path(file).write_bytes(b"changed meanwhile")
        return "yes"

    memory = Memory("group", {}, later)
    assert memory.answer("name", [file], work) == "yes"
    assert not memory.kept


def test_answers_that_nobody_asked_for_stay_and_a_new_one_takes_the_place_of_an_old(file: str) -> None:
    known = _learned(file)
    memory = Memory("group", known, later)
    memory.answer("other", [file], lambda: "no")
    memory.answer("name", [file], lambda: "new", about="something else")
    again = Memory("group", memory.kept, later)
    assert again.answer("other", [file], _never) == "no"
    assert again.answer("name", [file], _never, about="something else") == "new"
    assert len(memory.kept) == 2


def test_an_answer_is_given_to_what_it_was_about_alone(file: str) -> None:
    memory = Memory("group", _learned(file), later)
    assert memory.answer("name", [file], lambda: "no", about="something else") == "no"


_DAMAGES: dict[str, Callable[[list[object]], object]] = {
    "another answer": lambda entry: [entry[0], "no"],
    "another kind of answer": lambda entry: [entry[0], ["yes"]],
    "another seal": lambda entry: [str(entry[0])[::-1], entry[1]],
    "no answer": lambda entry: entry[:1],
    "a number": lambda entry: [entry[0], 1],
    "nothing": lambda _: None,
}


@pytest.mark.parametrize("damage", _DAMAGES.values(), ids=_DAMAGES)
def test_a_damaged_memory_is_no_memory(file: str, damage: Callable[[list[object]], object]) -> None:
    entry = _learned(file)["name"]
    assert isinstance(entry, list)
    memory = Memory("group", {"name": damage(entry)}, later)
    assert memory.answer("name", [file], lambda: "found") == "found"
