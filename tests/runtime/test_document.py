"""JSON and YAML 1.2 core, with the places of faults."""

import math

import pytest

from envlock.runtime import document
from envlock.runtime.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("-12", -12),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("!!int 12", 12),
        ("!!float 12", 12.0),
        ("!!bool true", True),
        ("|\n  text\n", "text\n"),
        ("[1, a, {b: c}]", [1, "a", {"b": "c"}]),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("{a: 1}", {"a": 1}),
        ('{"a": [1, null, true, 1.5]}', {"a": [1, None, True, 1.5]}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
    ],
)
def test_values_of_the_core_schema(text: str, value: object) -> None:
    assert document.read(text, "run.yaml") == value


def test_not_a_number_is_one() -> None:
    found = document.read(".nan", "run.yaml")
    assert isinstance(found, float)
    assert math.isnan(found)


def test_numbers_keep_the_text_they_were_written_as() -> None:
    found = document.read("[1.10, 0x10, 007, 1e3]", "run.yaml")
    assert isinstance(found, list)
    assert [item.text for item in found] == ["1.10", "0x10", "007", "1e3"]


def test_an_integer_of_any_length_is_read() -> None:
    assert document.read("1" + "0" * 5000, "run.yaml") == 10**5000
    assert document.read("[1" + "0" * 5000 + "]", "run.json") == [10**5000]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "a key stands twice: run.yaml: line 2, column 1: found 'a'"),
        ("1: a", "a key must be text: run.yaml: line 1, column 1"),
        ("a: &x [*x]", "an anchor contains itself: run.yaml: line 1, column 4"),
        ("a: !secret b", "an unknown tag: run.yaml: line 1, column 4: found !secret"),
        ("a: !!set {b}", "an unknown tag"),
        ("!!int text", "not a value of tag:yaml.org,2002:int"),
        ("!!timestamp 2026-01-01", "an unknown tag"),
        ("a: b: c", "not YAML: run.yaml: line 1, column 5"),
        ("a\n---\nb", "not YAML: run.yaml: line 2, column 1"),
        ("a: \x01", "not YAML: run.yaml"),
        ("[" * 5000, "run.yaml"),
    ],
)
def test_faults_of_yaml_name_their_place(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        document.read(text, "run.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "a key stands twice"),
        ('{"a": }', "run.json: line 1, column 7"),
        ('{"a": NaN}', "found NaN"),
        ("a: 1", "not JSON"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
def test_faults_of_json_name_their_place(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        document.read(text, "run.json")
    assert message in str(caught.value)
