import os
import pty
import socket
import termios
from pathlib import Path

from envlock.host import streams


def test_feeding_sends_all_and_closes_the_sending_side_at_the_end(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"some text")
    ours, theirs = socket.socketpair()
    descriptor = os.open(source, os.O_RDONLY)
    with ours, theirs, streams.feeding(ours, descriptor):
        assert b"".join(iter(lambda: theirs.recv(100), b"")) == b"some text"
        ours_can_still_read = theirs.send(b"x")
    os.close(descriptor)
    assert ours_can_still_read == 1


def test_feeding_stops_with_the_block_and_leaves_later_input_alone() -> None:
    reader, writer = os.pipe()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with streams.feeding(ours, reader):
            os.write(writer, b"first")
            assert theirs.recv(100) == b"first"
        os.write(writer, b"second")
        assert os.read(reader, 100) == b"second"
    os.close(reader)
    os.close(writer)


def test_feeding_a_closed_connection_is_no_error() -> None:
    reader, writer = os.pipe()
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, streams.feeding(ours, reader):
        os.write(writer, b"nobody listens")
        os.close(writer)
    os.close(reader)


def test_write_takes_more_than_a_pipe_holds(tmp_path: Path) -> None:
    target = tmp_path / "out"
    descriptor = os.open(target, os.O_CREAT | os.O_WRONLY)
    streams.write(b"x" * 300_000, descriptor)
    os.close(descriptor)
    assert target.stat().st_size == 300_000


def test_write_to_a_reader_that_went_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    streams.write(b"text", writer)
    os.close(writer)


def test_a_raw_terminal_is_restored_after_the_block() -> None:
    main, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    with streams.raw_terminal(terminal):
        assert not termios.tcgetattr(terminal)[3] & (termios.ECHO | termios.ISIG)
    assert termios.tcgetattr(terminal) == before
    os.close(main)
    os.close(terminal)


def test_pytest_captures_so_this_is_no_terminal() -> None:
    assert not streams.is_terminal()
