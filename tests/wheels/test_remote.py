import io
import zipfile

import pytest
import requests

from envlock.runtime.errors import InputError, UnreachableError
from envlock.wheels.remote import NoRangesError, RemoteFile, read_record
from tests.wheels.conftest import IndexSimulator

DATA = bytes(range(256)) * 1024


@pytest.fixture
def remote(index: IndexSimulator, client: requests.Session) -> RemoteFile:
    index.files["/x"] = DATA
    return RemoteFile(client, f"{index.url}/x")


def test_any_part_of_a_file_can_be_read(remote: RemoteFile) -> None:
    assert (remote.size, remote.readable(), remote.seekable()) == (len(DATA), True, True)
    for start, length in ((0, 10), (100_000, 50_000), (len(DATA) - 5, 100), (3, 0)):
        assert remote.seek(start) == start
        assert io.BufferedReader(remote).read(length) == DATA[start : start + length]
        remote = _again(remote)


def _again(remote: RemoteFile) -> RemoteFile:
    # A BufferedReader closes what it wraps when it goes; the pieces read so far are kept either way.
    return RemoteFile(remote._client, remote._url)


def test_positions_count_from_the_start_the_end_and_here(remote: RemoteFile) -> None:
    assert remote.seek(-10, io.SEEK_END) == len(DATA) - 10
    assert remote.seek(4, io.SEEK_CUR) == remote.tell() == len(DATA) - 6
    assert remote.read(100) == DATA[-6:]
    assert remote.read(100) == b""
    with pytest.raises(ValueError, match="before the beginning"):
        remote.seek(-1)


def test_what_was_read_is_not_asked_for_again(index: IndexSimulator, remote: RemoteFile) -> None:
    for _ in range(3):
        remote.seek(-100, io.SEEK_END)
        remote.read(10)
        remote.seek(0)
        remote.read(10)
    assert len(index.requests) == 2


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_not_there_is_not_found(
    index: IndexSimulator, client: requests.Session, status: int
) -> None:
    index.faults["/x"] = [status]
    with pytest.raises(FileNotFoundError):
        RemoteFile(client, f"{index.url}/x")


@pytest.mark.parametrize("status", [401, 403])
def test_a_file_for_those_with_a_login_is_told(
    index: IndexSimulator, client: requests.Session, status: int
) -> None:
    index.faults["/x"] = [status]
    with pytest.raises(UnreachableError, match=f"status {status}") as caught:
        RemoteFile(client, f"{index.url}/x")
    assert "login" in str(caught.value.hint)
    assert "s3cret" not in caught.value.render()


@pytest.mark.parametrize("status", [200, 206, 400, 416, 501])
def test_a_server_without_range_requests_is_known_by_its_answer(
    index: IndexSimulator, client: requests.Session, status: int
) -> None:
    index.faults["/x"] = [status]
    with pytest.raises(NoRangesError):
        RemoteFile(client, f"{index.url}/x")


def test_a_range_that_does_not_fit_its_bytes_is_not_believed(
    index: IndexSimulator, client: requests.Session
) -> None:
    index.files["/x"] = DATA
    index.wrong_ranges = True
    with pytest.raises(NoRangesError):
        RemoteFile(client, f"{index.url}/x")


@pytest.mark.parametrize("name", ["demo/RECORD", "demo/_vendor/x.dist-info/RECORD", "RECORD"])
def test_only_the_wheel_s_own_record_counts(name: str) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, "a.py,,\n")
    with pytest.raises(InputError, match="no RECORD"):
        read_record(stream, "x")
