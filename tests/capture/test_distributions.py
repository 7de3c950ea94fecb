import base64
import hashlib
from pathlib import Path

import pytest

from envlock.capture import distributions, record
from envlock.capture.distributions import Raw
from envlock.core.progress import Silent
from envlock.lock.environment import DirectUrl, RecordEntry


def raw(
    name: str = "demo-1.0.dist-info",
    metadata: str | None = "Name: Demo.Pkg\nVersion: 1.0\n",
    *,
    site: str = "/site",
    wheel: str | None = None,
    lines: str | None = "demo.py,sha256=abc,3\n",
    installer: str | None = None,
    direct_url: str | None = None,
) -> Raw:
    return {
        "site": site,
        "name": name,
        "METADATA": metadata,
        "WHEEL": wheel,
        "RECORD": lines,
        "INSTALLER": installer,
        "direct_url.json": direct_url,
    }


def test_facts_of_metadata_wheel_record_and_installer() -> None:
    metadata = (
        "Name: Demo.Pkg\nVersion: 1.0\nRequires-Python: >=3.9\nRequires-Dist: b\nRequires-Dist: a>1\n\nText"
    )
    wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nBuild: 2\n"
    wheel += "Tag: py3-none-any\nTag: cp311-cp311-linux_x86_64\n"
    lines = 'demo.py,sha256=ab_-c=,3\n"a,b.py",md5=x,\ndemo/__pycache__/x.pyc,,\n\nonly\n'
    (found,), gaps = distributions.read([raw(metadata=metadata, wheel=wheel, lines=lines, installer="pip\n")])
    assert gaps == ()
    assert (found.name, found.raw_name, found.version) == ("demo-pkg", "Demo.Pkg", "1.0")
    assert found.tags == ("cp311-cp311-linux_x86_64", "py3-none-any")
    assert (found.build, found.root_is_purelib, found.installer) == ("2", False, "pip")
    assert (found.requires_python, found.requires) == (">=3.9", ("a>1", "b"))
    assert found.record == (
        RecordEntry(path="demo.py", sha256="ab_-c", size=3),
        RecordEntry(path="a,b.py", sha256=None, size=None),
        RecordEntry(path="demo/__pycache__/x.pyc", sha256=None, size=None),
        RecordEntry(path="only", sha256=None, size=None),
    )


DAMAGED = [
    None,
    "",
    "\0\0\0",
    "Name: x\n",
    "Version: 1\n",
    "\udcff: \n::\n",
    "Name:\nVersion:\n",
    "Name: ../../up\nVersion: 1\n",
    f"Name: x\nVersion: {'1' * 999}\n",
]


@pytest.mark.parametrize("metadata", DAMAGED)
@pytest.mark.parametrize(
    ("directory", "lines"),
    [("demo-1.0.dist-info", None), ("demo.dist-info", "demo.py,,\n"), ("demo-new.dist-info", "demo.py,,\n")],
)
def test_corrupt_metadata_is_a_gap(metadata: str | None, directory: str, lines: str | None) -> None:
    found, gaps = distributions.read([raw(directory, metadata, lines=lines)])
    assert found == ()
    assert [gap.subject for gap in gaps] == [directory]


@pytest.mark.parametrize("metadata", [*DAMAGED, "Name: demo\nVersion: \ufffd1\nRequires-Dist: x\n"])
def test_with_its_files_recorded_a_directory_tells_what_corrupt_metadata_does_not(
    metadata: str | None,
) -> None:
    (found,), (gap,) = distributions.read([raw(metadata=metadata)])
    assert (found.name, found.version, found.requires) == ("demo", "1.0", ())
    assert found.replaced == ("demo-1.0.dist-info/METADATA",)
    assert (gap.subject, gap.harmless) == ("demo", False)


@pytest.mark.parametrize(
    "wheel",
    [
        "",
        "\0\0",
        "Wheel-Version: 1.0\n",
        "Wheel-Version: 2.0\nTag: py3-none-any\n",
        "Wheel-Version: 1.0\nTag: a/../../b-c-d\n",
        "Wheel-Version: 1.0\nTag: py3-none\n",
        "Wheel-Version: 1.0\nTag: py3-none-any\nBuild: ../x\n",
    ],
)
def test_a_wheel_file_that_no_wheel_can_have_is_replaced(wheel: str) -> None:
    (found,), _ = distributions.read([raw(wheel=wheel)])
    assert (found.tags, found.build, found.replaced) == ((), None, ("demo-1.0.dist-info/WHEEL",))


def test_a_distribution_without_record_is_kept() -> None:
    found, gaps = distributions.read([raw(lines=None)])
    assert (found[0].record, gaps) == ((), ())


@pytest.mark.parametrize(
    "metadata",
    ["Name: ../../up\nVersion: 1\n", "Name: -x\nVersion: 1\n", f"Name: x\nVersion: {'1' * 999}\n"],
)
def test_names_and_versions_that_nothing_can_have_are_gaps(metadata: str) -> None:
    found, (gap,) = distributions.read([raw(metadata=metadata, lines=None)])
    assert found == ()
    assert gap.reason == "its METADATA has no valid name and version"


def test_what_an_interrupted_uninstall_left_is_no_distribution() -> None:
    found, (gap,) = distributions.read([raw("~emo-1.0.dist-info"), raw()])
    assert [one.dist_info for one in found] == ["demo-1.0.dist-info"]
    assert (gap.subject, gap.harmless) == ("~emo-1.0.dist-info", True)


def test_a_directory_name_that_is_no_utf_8_can_be_written_down() -> None:
    _, (gap,) = distributions.read([raw("d\udcff.dist-info", None)])
    assert gap.subject == "d\\udcff.dist-info"


def test_absurd_sizes_in_record_are_none() -> None:
    found, _ = distributions.read([raw(lines=f"demo.py,,{'9' * 5000}\n")])
    assert found[0].record[0].size is None


def test_record_that_is_no_csv_counts_as_missing() -> None:
    found, _ = distributions.read([raw(lines="x" * 200_000 + ',"\n')])
    assert found[0].record == ()


def test_the_first_version_on_the_path_wins_and_a_later_one_is_a_gap() -> None:
    second = raw("demo-2.0.dist-info", "Name: demo-pkg\nVersion: 2.0\n", site="/other")
    (found,), (gap,) = distributions.read([raw(), second])
    assert found.version == "1.0"
    assert "version 2.0 is also installed, in a later directory" in gap.reason
    assert "/other" not in gap.reason


def test_of_two_versions_in_one_directory_the_one_whose_files_are_there_wins(tmp_path: Path) -> None:
    (tmp_path / "demo.py").write_bytes(b"new")
    (tmp_path / "more.py").write_bytes(b"same in both")

    def lines(code: bytes) -> str:
        return f"demo.py,sha256={_sha(code)},3\nmore.py,sha256={_sha(b'same in both')},12\n"

    old = raw(lines=lines(b"old"), site=str(tmp_path))
    new = raw("demo-2.0.dist-info", "Name: demo-pkg\nVersion: 2.0\n", lines=lines(b"new"), site=str(tmp_path))
    left = raw("demo-0.5.dist-info", "Name: demo-pkg\nVersion: 0.5\n", lines=None, site=str(tmp_path))
    both, gaps = distributions.read([left, old, new])
    assert gaps == ()
    (found,), others = distributions.settled(record.verify(both, Silent()))
    assert found.version == "2.0"
    assert [gap.reason for gap in others] == [
        f"version {version} is also installed, in the same directory; 2.0 was captured"
        for version in ("0.5", "1.0")
    ]


def test_of_versions_that_are_equally_there_the_first_wins() -> None:
    second = raw("demo-2.0.dist-info", "Name: demo-pkg\nVersion: 2.0\n", lines=None)
    both, _ = distributions.read([raw(lines=None), second])
    (found,), _ = distributions.settled(both)
    assert found.version == "1.0"


def test_same_version_twice_is_one_distribution() -> None:
    found, gaps = distributions.read([raw(), raw("demo-1.0.egg-info", site="/other")])
    assert (len(found), gaps) == (1, ())


def test_distributions_are_sorted_by_name() -> None:
    found, _ = distributions.read([raw("b", "Name: b\nVersion: 1"), raw("a", "Name: a\nVersion: 1")])
    assert [one.name for one in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("{", None),
        ("[]", None),
        ('{"url": 3}', None),
        (
            '{"url": "https://user:secret@index.example/a.whl", "archive_info": {"hash": "sha256=0f"}}',
            DirectUrl(kind="archive", url="https://index.example/a.whl", sha256="0f"),
        ),
        (
            '{"url": "file:///home/ann/a.whl", "archive_info": {"hashes": {"sha256": "aa"}}}',
            DirectUrl(kind="archive", url="file:a.whl", sha256="aa", local=Path("/home/ann/a.whl")),
        ),
        (
            '{"url": "file:///srv/a.whl", "archive_info": {}}',
            DirectUrl(kind="archive", url="file:///srv/a.whl", local=Path("/srv/a.whl")),
        ),
        (
            '{"url": "https://t@g.example/x", "vcs_info": {"vcs": "git", "commit_id": "c"}}',
            DirectUrl(kind="vcs", url="https://g.example/x", vcs="git", commit="c"),
        ),
        (
            '{"url": "file:///home/ann/work", "dir_info": {"editable": true}}',
            DirectUrl(kind="directory", url="file:work", editable=True, local=Path("/home/ann/work")),
        ),
        ("[" * 100_000, None),
        ('{"url": "http://[broken"}', None),
    ],
)
def test_direct_url_without_credentials_and_home(text: str | None, expected: DirectUrl | None) -> None:
    (found,), _ = distributions.read([raw(direct_url=text)])
    assert found.direct_url == expected


def test_changed_and_missing_files_are_modified(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_bytes(b"good")
    (tmp_path / "bad.py").write_bytes(b"changed")
    digest = "dw6j-Ti9E5pBlMNwpcVElkUoRGi-_eTwQeRz7YqMhE8"
    lines = (
        f"__pycache__/good.cpython-311.pyc,sha256={digest},3\n"
        f"good.py,sha256={_sha(b'good')},4\nbad.py,sha256={digest},3\ngone.py,sha256={digest},3\nx.pyc,,\n"
    )
    found, _ = distributions.read([raw(site=str(tmp_path), lines=lines), raw("z", "Name: z\nVersion: 1")])
    verified = record.verify(found, Silent())
    assert verified[0].modified == ("bad.py", "gone.py")
    assert verified[1].modified == ("demo.py",)


def _sha(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
