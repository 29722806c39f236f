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
    ABORT = 0x10
    """No payload; the guard goes to its safe state, and a run ends."""
    CLEAR = 0x11
    """No payload; leaves the safe state once its cause has gone."""
    HEALTH = 0x12
    """No payload; the reply carries :data:`HEALTH_BODY`."""
    LIMIT = 0x13
    """:data:`LIMIT_BYTES`: the :class:`Limit` and its value; lowers it, once per reset."""


CHANGES = (Kind.WRITE, Kind.RUN, Kind.ABORT, Kind.CLEAR, Kind.LIMIT)
"""Requests that change something: remembered, so that a repetition is not executed."""
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
    SAFE = 6
    """The guard is in its safe state: :data:`Kind.HEALTH` says why."""
    CAUSE = 7
    """The cause of the safe state has not gone."""
    RAISES = 8
    """A limit can only be lowered."""
    LOCKED = 9
    """That limit has been lowered since the reset."""
    EXCLUDES = 10
    """The limit excludes 0 V or the code that its channel has, or a code is being written."""


class Reason(IntEnum):
    """Why the guard went to its safe state."""

    NONE = 0
    INTERLOCK = 1
    ABORT = 2
    LINK_LOST = 3
    REQUEST = 4
    DAC_CODE = 5
    SWITCH_CODE = 6
    BOTH_GATES = 7
    UNSETTLED = 8
    MOVED = 9
    READ_VOLTAGE = 10
    WIDTH = 11
    DUTY = 12
    ENERGY = 13


SENTENCES: MappingProxyType[Reason, str] = MappingProxyType(
    {
        Reason.NONE: "nothing was refused",
        Reason.INTERLOCK: "the interlock is or was open",
        Reason.ABORT: "the host asked for it",
        Reason.LINK_LOST: "a pulse was on or asked for while the host was silent for too long",
        Reason.REQUEST: "an engine asked for it",
        Reason.DAC_CODE: "a DAC code lay outside its channel's limits",
        Reason.SWITCH_CODE: "a line was asked onto two ways at once",
        Reason.BOTH_GATES: "both fast gates were asked open at once",
        Reason.UNSETTLED: "a fast gate was asked open before the lines had settled",
        Reason.MOVED: "something was to move while a fast gate was open",
        Reason.READ_VOLTAGE: "a rail was above the limit for reading",
        Reason.WIDTH: "a pulse was longer than its limit",
        Reason.DUTY: "the gate-on time was used up",
        Reason.ENERGY: "a pulse had more energy than its limit",
    }
)
"""What a host says of a reason."""


class Limit(IntEnum):
    """Limits of the guard that a profile may lower; see ``docs/guard.md`` for the units."""

    LOW_RAIL_A = 0
    LOW_RAIL_B = 1
    LOW_GATE_PROGRAM = 2
    LOW_GATE_ON = 3
    HIGH_RAIL_A = 4
    HIGH_RAIL_B = 5
    HIGH_GATE_PROGRAM = 6
    HIGH_GATE_ON = 7
    READ = 8
    SENSE = 9
    WIDTH = 10
    BUDGET = 11
    DUTY = 12
    ENERGY = 13
    WATCHDOG = 14


RISING = frozenset(
    {
        Limit.LOW_RAIL_A,
        Limit.LOW_RAIL_B,
        Limit.LOW_GATE_PROGRAM,
        Limit.LOW_GATE_ON,
        Limit.DUTY,
    }
)
"""Limits whose larger value is the stricter one."""


class GuardState(IntEnum):
    """What the guard lets through."""

    STARTING = 0
    """Nothing: the front end is being initialised."""
    OPEN = 1
    """What is within its limits."""
    SAFE = 2
    """Nothing: it is in its safe state."""


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
"""cycles, saturations, end (bit 0: at a word that is no instruction, bit 1: stopped by the
guard); the tail of :data:`STATUS_BODY`."""
ILLEGAL, STOPPED = 1, 2
"""Bits of the end of a run."""
HEALTH_BODY = struct.Struct("<6BH")
"""state (:class:`GuardState`), reason, refusals of codes, of gates, pulses cut short, stops
(each stays at 255), limits lowered (bit ``n``: limit ``n``)."""
LIMIT_VALUE_BYTES = 5
LIMIT_BYTES = 1 + LIMIT_VALUE_BYTES
"""A limit's number, and its value in five bytes."""
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
