from __future__ import annotations

import os
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from ohmloom.boards.link import LinkError
from ohmloom.boards.serial_port import SerialTransport


@pytest.fixture
def line() -> Iterator[tuple[int, str]]:
    """The other end of a line, and the name of this one."""
    other, mine = os.openpty()
    tty.setraw(mine)
    name = os.ttyname(mine)
    try:
        yield other, name
    finally:
        os.close(mine)
        os.close(other)


def test_bytes_both_ways(line: tuple[int, str]) -> None:
    other, name = line
    data = bytes(range(256)) * 8
    with SerialTransport(name, 1_000_000) as port:
        port.write(data[:1000])
        assert os.read(other, 2000) == data[:1000]
        assert port.read(0.01) == b""
        os.write(other, data[:500])
        found = b""
        while len(found) < 500:
            found += port.read(1.0)
        assert found == data[:500]


def test_a_port_is_one_programs_alone(line: tuple[int, str]) -> None:
    with (
        SerialTransport(line[1], 500_000),
        pytest.raises(LinkError, match=f"{line[1]} cannot be opened: another program has it"),
    ):
        SerialTransport(line[1], 500_000)


def test_a_port_that_is_none(tmp_path: Path) -> None:
    missing = tmp_path / "ttyUSB9"
    with pytest.raises(LinkError, match="cannot be opened: there is no such port"):
        SerialTransport(str(missing), 1_000_000)
    missing.write_text("")
    with pytest.raises(LinkError, match="cannot be opened: "):
        SerialTransport(str(missing), 1_000_000)


def test_a_port_that_is_gone(line: tuple[int, str]) -> None:
    port = SerialTransport(line[1], 1_000_000)
    port.close()
    with pytest.raises(LinkError, match="takes no bytes"):
        port.write(b"x")
    with pytest.raises(LinkError, match="gives no bytes"):
        port.read(0.01)
