import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from envlock.lock import record_lines
from envlock.lock.environment import RecordEntry
from envlock.wheels import record

HASH = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
PLAIN = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters='",'), min_size=1)
ENTRIES = st.lists(
    st.builds(
        RecordEntry,
        path=PLAIN,
        sha256=st.none() | st.text("AZaz09-_", min_size=43, max_size=43),
        size=st.none() | st.integers(0, 10**15 - 1),
    )
)


@given(ENTRIES)
def test_what_is_written_is_read_again(entries: list[RecordEntry]) -> None:
    text = record.dumps(entries).decode()
    assert record_lines.read(text) == tuple(entries)
    assert record_lines.read(text.replace("\n", "\r\n")) == tuple(entries)


@given(
    st.lists(
        st.sampled_from(["a.py", "b/é.py", "a,b", '"', f"sha256={HASH}", "7", "\x0b", "\n", ",", "\r", " "])
    )
)
def test_what_is_read_is_what_csv_reads(parts: list[str]) -> None:
    text = "".join(parts)
    found = record_lines.read(text)
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row] if found is not None else []
    assert found is None or [one.path for one in found] == [row[0] for row in rows]


def test_many_lines_are_read_block_by_block() -> None:
    lines = [f"demo/{number:06}.py,sha256={HASH},{number}" for number in range(3_000)]
    found = record_lines.read("\n".join(lines))
    assert found == tuple(
        RecordEntry(path=f"demo/{number:06}.py", sha256=HASH, size=number) for number in range(3_000)
    )


def test_a_line_that_is_quoted_has_another_hash_or_lacks_a_column_is_left_to_csv() -> None:
    usual = f"a.py,sha256={HASH},1\n"
    assert record_lines.read(usual) == (RecordEntry(path="a.py", sha256=HASH, size=1),)
    for line in ('"a,b.py",,', "a.py,md5=abc,1", "only", "a.py,,x", "", f"a.py,sha256={HASH},{10**15}"):
        assert record_lines.read(f"{usual}{line}\n{usual}") is None
