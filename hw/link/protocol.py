"""What travels over the link: one source for gateware and host. Plain Python.

A frame, before COBS, is ``[seq u8][kind u8][payload][CRC-32 u32]``; every
number is little-endian. See ``docs/link.md``.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass
from enum import IntEnum
from types import MappingProxyType

from ..geometry import Geometry

VERSION = 1
MAGIC = b"OHML"

DELIMITER = 0x00
"""The byte that ends a frame and occurs nowhere inside it."""
HEAD_BYTES = 2
CRC_BYTES = 4
MAX_PAYLOAD = 1016
MIN_FRAME = HEAD_BYTES + CRC_BYTES
MAX_FRAME = MIN_FRAME + MAX_PAYLOAD
"""Longest frame in bytes, before COBS."""


class Kind(IntEnum):
    """Requests."""

    PING = 0x01
    """No payload; the reply carries :class:`Info`. Forgets the last executed request."""
    WRITE = 0x02
    """:data:`WRITE_HEAD`, then whole words."""
    READ = 0x03
    """:data:`READ_HEAD`; the reply carries the words."""
    RUN = 0x04
    """:data:`RUN_HEAD`; acknowledged at once, a :data:`DONE` event follows."""
    STATUS = 0x05
    """No payload; the reply carries :data:`STATUS_BODY`."""


REPLY = 0x80
"""Added to the kind of a request in its reply."""
DONE = 0xC0
"""Kind of the event at the end of a run; its seq is the one of the RUN."""


class Status(IntEnum):
    """First payload byte of every reply and event."""

    OK = 0
    BAD_KIND = 1
    BAD_LENGTH = 2
    BAD_SPACE = 3
    BAD_ADDRESS = 4
    BUSY = 5


class Space(IntEnum):
    """Memories that the link reaches."""

    PROGRAM = 0
    PARAM = 1
    ACT = 2
    LEVEL = 3
    """Cell memory as it is written: one target level a byte."""
    CELL = 4
    """Cell memory as it is read: one result word of four bytes."""


@dataclass(frozen=True)
class Access:
    """Bytes of a word and what a request may do with the space."""

    word_bytes: int
    readable: bool
    writable: bool


ACCESS: MappingProxyType[Space, Access] = MappingProxyType(
    {
        Space.PROGRAM: Access(8, True, True),
        Space.PARAM: Access(8, True, True),
        Space.ACT: Access(2, True, True),
        Space.LEVEL: Access(1, False, True),
        Space.CELL: Access(4, True, False),
    }
)


def depth(space: Space, geometry: Geometry) -> int:
    """Words of a space."""
    return {
        Space.PROGRAM: geometry.program_depth,
        Space.PARAM: geometry.param_depth,
        Space.ACT: geometry.act_depth,
        Space.LEVEL: geometry.cells,
        Space.CELL: geometry.cells,
    }[space]


WRITE_HEAD = struct.Struct("<BH")
"""space, address; whole words follow."""
READ_HEAD = struct.Struct("<BHH")
"""space, address, count in words."""
RUN_HEAD = struct.Struct("<HI")
"""program address, epoch of the first inference."""
STATUS_BODY = struct.Struct("<BIIQIB")
"""running, good frames, dropped frames, then of the last run: cycles, saturations, illegal."""
DONE_BODY = struct.Struct("<QIB")
"""cycles, saturations, illegal (1: it ended at a word that is no instruction); the tail of
:data:`STATUS_BODY`."""
STATUS_BYTES = 1

MAX_WRITE = MAX_PAYLOAD - WRITE_HEAD.size
"""Bytes of words in one WRITE."""
MAX_READ = MAX_PAYLOAD - STATUS_BYTES
"""Bytes of words in the reply to one READ."""


@dataclass(frozen=True)
class Info:
    """What a controller says of itself in the reply to PING; sizes as in ``Geometry``."""

    version: int
    rows: int
    columns: int
    tiles: int
    act_width: int
    acc_width: int
    program_depth: int
    param_depth: int
    act_depth: int
    clk_hz: int

    @classmethod
    def of(cls, geometry: Geometry, clk_hz: int) -> Info:
        """The description of a controller of this geometry and clock."""
        return cls(
            version=VERSION,
            rows=geometry.rows,
            columns=geometry.columns,
            tiles=geometry.tiles,
            act_width=geometry.act_width,
            acc_width=geometry.acc_width,
            program_depth=geometry.program_depth,
            param_depth=geometry.param_depth,
            act_depth=geometry.act_depth,
            clk_hz=clk_hz,
        )

    def pack(self) -> bytes:
        """The payload of a PING reply, after its status byte."""
        return INFO_BODY.pack(MAGIC, *astuple(self))


INFO_BODY = struct.Struct("<4s4H2B4I")
"""magic, then the fields of :class:`Info`."""
