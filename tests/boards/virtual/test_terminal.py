from __future__ import annotations

import os
from pathlib import Path

import pytest

from ohmloom.boards.serial_port import PortError, SerialTransport
from ohmloom.boards.virtual.terminal import Terminal, TerminalError

EVERY_BYTE = bytes(range(256))


def test_every_byte_arrives_as_it_is_both_ways() -> None:
    with Terminal() as terminal, SerialTransport(terminal.port, 115_200) as port:
        port.write(EVERY_BYTE)
        assert terminal.read(1) == EVERY_BYTE
        terminal.write(EVERY_BYTE)
        found = b""
        while len(found) < len(EVERY_BYTE) and (more := port.read(1)):
            found += more
        assert found == EVERY_BYTE


def test_nothing_arrives_where_nothing_is_sent() -> None:
    with Terminal() as terminal, SerialTransport(terminal.port, 115_200) as port:
        assert terminal.read(0.01) == b"" == port.read(0.01)


def test_host_may_come_again() -> None:
    with Terminal() as terminal:
        for _ in range(3):
            with SerialTransport(terminal.port, 115_200) as port:
                port.write(b"here")
                assert terminal.read(1) == b"here"


def test_host_that_does_not_listen_holds_nobody_up() -> None:
    with Terminal() as terminal:
        terminal.write(bytes(1 << 20))


def test_link_names_the_port_as_long_as_it_lasts(tmp_path: Path) -> None:
    link = tmp_path / "board"
    link.symlink_to("/dev/null")
    with Terminal(link) as terminal:
        assert os.readlink(link) == terminal.port
    assert not link.is_symlink()


def test_link_does_not_take_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "board").write_text("mine")
    with pytest.raises(TerminalError, match="no link"):
        Terminal(tmp_path / "board")
    assert (tmp_path / "board").read_text() == "mine"


def test_port_that_goes_is_one_sentence() -> None:
    with Terminal() as terminal:
        port = SerialTransport(terminal.port, 115_200)
    with port, pytest.raises(PortError, match="gives no bytes|takes no bytes"):
        port.write(b"x")
        port.read(0.01)
