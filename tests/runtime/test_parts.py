"""Values, the spool, hashing and reading, apart from a whole run."""

import os
from pathlib import Path

import pytest

from envlock.runtime import decimals, image, names, outputs, spool
from envlock.runtime.errors import InputError
from envlock.runtime.image import Gap
from envlock.runtime.job import find_program
from envlock.runtime.layout import Layout
from envlock.runtime.manifest import Cpu, Output
from envlock.runtime.outputs import FileState
from tests.runtime.conftest import IMAGE


def test_a_value_is_immutable_comparable_and_hashable() -> None:
    one, same, other = Gap("a", "b"), Gap(subject="a", reason="b"), Gap("a", "c")
    assert one == same
    assert one != other
    assert one != ("a", "b")
    assert len({one, same, other}) == 2
    assert sorted([other, one]) == [one, other]
    assert repr(one) == "Gap(subject='a', reason='b')"
    assert one.replace(reason="c") == other
    with pytest.raises(AttributeError, match="immutable"):
        one.subject = "b"  # type: ignore[misc]  # what is checked
    with pytest.raises(AttributeError, match="immutable"):
        del one.subject


def test_a_value_has_its_fields_and_no_other() -> None:
    assert Cpu() == Cpu(isa=None, threads=None)
    with pytest.raises(TypeError, match="Gap lacks reason"):
        Gap("a")  # type: ignore[call-arg]  # what is checked
    with pytest.raises(TypeError, match="has the fields"):
        Gap("a", "b", "c")  # type: ignore[call-arg]  # what is checked
    with pytest.raises(TypeError, match="has the fields"):
        Gap("a", "b", odd=1)  # type: ignore[call-arg]  # what is checked


@pytest.mark.parametrize("text", ["", "-1", "1.0", "٣", " 1"])
def test_only_ascii_digits_are_a_number(text: str) -> None:
    assert decimals.from_text(text) is None


def test_decimal_text_of_any_length_survives() -> None:
    for value in (0, 9, 10**4000 - 1, 10**4000, 10**9000 + 5):
        assert decimals.from_text(decimals.to_text(value)) == value


def test_names_of_the_contract() -> None:
    assert names.problem("trial/0") is None
    assert names.problem("é") is None


def test_the_spool_keeps_whole_lines_of_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = spool.make(str(tmp_path))
    monkeypatch.setenv(spool.VARIABLE, directory)
    spool.report("gap", "odd\tname%", "two\nlines")
    spool.report_seed("rank/0", "torch", 5)
    spool.report_seed("rank/0", "torch", 5)
    with (Path(directory) / "events-1").open("w") as stream:
        stream.write("seed\trank/0\tnumpy\t7\nseed\trank/0\tkilled whi")
    (Path(directory) / "events-2").mkdir()
    assert spool.merge(directory) == (
        ("gap", "odd\tname%", "two\nlines"),
        ("seed", "rank/0", "numpy", "7"),
        ("seed", "rank/0", "torch", "5"),
    )


def test_a_spool_that_is_gone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(spool.VARIABLE, str(tmp_path / "gone"))
    spool.report("gap", "a")
    assert spool.claim("a") == 0
    assert spool.merge(str(tmp_path / "gone")) == ()
    spool.remove(str(tmp_path / "gone"))
    monkeypatch.delenv(spool.VARIABLE)
    spool.report("gap", "a")
    assert spool.claim("a") == 0


def test_claims_count_up_for_each_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(spool.VARIABLE, str(tmp_path))
    assert [spool.claim(name) for name in ("a|1/2", "a|1/2", "b", "a|1/2")] == [0, 1, 0, 2]


def test_an_output_that_cannot_be_read_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    state = {str(tmp_path / "a"): FileState(0, 0, 0, 0)}
    assert outputs.written_since(state, str(tmp_path))[0].size == 1
    (tmp_path / "link").symlink_to("nowhere")
    found = outputs.declared([Output("link"), Output("a")], str(tmp_path))
    assert [(one.path, one.size) for one in found] == [("link", None), ("a", 1)]


def test_what_is_no_regular_file_or_cannot_be_read_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "gone").symlink_to(tmp_path / "d" / "nowhere")
    assert outputs.snapshot(str(tmp_path)) == {}
    (found,) = outputs.declared([Output("/proc/self/mem")], str(tmp_path))
    assert (found.sha256, found.size) == (None, None)


def test_a_program_is_found_as_a_shell_finds_it(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "second" / "tool").chmod(0o755)
    path = f"first:{tmp_path}/second"
    assert find_program("tool", path, str(tmp_path)) == f"{tmp_path}/second/tool"
    assert find_program("second/tool", "", str(tmp_path)) == f"{tmp_path}/second/tool"


def test_the_image_is_read_with_gpus_and_libraries() -> None:
    device = {"model": "NVIDIA H200", "capability": "9.0", "memory": 5, "mig": True}
    found = image.parse(
        {
            **IMAGE,
            "gpu": {"driver": "580", "cuda": "13.0", "devices": [device]},
            "cuda": [{"name": "cudart", "version": "13.0", "origin": "wheel:a"}],
        },
        "image.json",
    )
    assert found.gpu.devices[0].mig
    assert found.cuda[0].origin == "wheel:a"
    assert dict(found.packages) == {"idna": "3.10"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "unknown version: image.json: format"),
        ({"environment-id": None}, "image.json: environment-id"),
        ({"gpu": {"devices": [{"model": "x", "mig": 1}]}}, "image.json: gpu.devices[0].mig"),
        ({"packages": {"a": 1}}, "image.json: packages.a: expected text, found the number 1"),
        ({"cpu": {"cores": 0}}, "image.json: cpu.cores"),
    ],
)
def test_a_bad_image_description_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        image.parse({**IMAGE, **change}, "image.json")
    assert message in str(caught.value)


def test_the_image_stands_where_the_contract_says() -> None:
    assert Layout().image == "/opt/envlock/image.json"
    assert Layout().records == "/out/records"
    assert os.path.isabs(Layout().library)
