"""What travels over the link: one source for gateware and host. Plain Python.

A frame, before COBS, is ``[seq u8][kind u8][payload][CRC-32 u32]``; every
number is little-endian. See ``docs/link.md``.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass, field
from enum import IntEnum
from types import MappingProxyType

from ..geometry import Feature, Geometry, feature_bit
from ..isa import Op
from ..profile import PROFILE_QUARTERS, ModeStatus
from ..tables import table_depth

VERSION = 2
GATEWARE = 1
"""Version of the gateware: raised when the same request or instruction does something else."""
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
    """No payload; the reply carries :class:`Info`. Forgets the executed requests: the next
    one that changes something has the number after this one's."""
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
"""Requests that change something: numbered one after the other and remembered, so that
they are executed in order, and a repetition is not."""
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
    """That limit has been lowered since the reset, or a profile has been adopted."""
    EXCLUDES = 10
    """The limit excludes 0 V or the code that its channel has, or a code is being written."""
    GAP = 11
    """A request before this one has not arrived; nothing was done and nothing remembered."""


STATUS_SENTENCES: MappingProxyType[Status, str] = MappingProxyType(
    {
        Status.OK: "done",
        Status.BAD_KIND: "it knows no such request",
        Status.BAD_LENGTH: "the request is too short or too long, or asks for too much at once",
        Status.BAD_SPACE: "it has no such memory, or that one cannot be read or written",
        Status.BAD_ADDRESS: "the address is beyond the end",
        Status.BUSY: "a run is under way",
        Status.SAFE: "the guard is in its safe state",
        Status.CAUSE: "the interlock is still open",
        Status.RAISES: "a limit can only be lowered",
        Status.LOCKED: "it has been set since the reset, and only once is possible",
        Status.EXCLUDES: "the limit excludes 0 V or a code that is in use",
        Status.GAP: "a request before it has been lost",
    }
)
"""What a host says of a status."""


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
    BIAS = 14


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
        Reason.BIAS: "a cell that was not selected would have had more than half of the voltage",
    }
)
"""What a host says of a reason."""


class Trap(IntEnum):
    """Why the sequencer ended a run at an instruction that it did not execute to its end."""

    NONE = 0
    OPCODE = 1
    STRAY = 2
    FEATURE = 3
    OPERAND = 4
    REGISTER = 5
    BOUNDS = 6
    RAN_OFF = 7
    ENGINE = 8
    MODE = 9
    NESTING = 10


TRAP_BITS = 4
TRAP_SENTENCES: MappingProxyType[Trap, str] = MappingProxyType(
    {
        Trap.NONE: "the program ended at a HALT",
        Trap.OPCODE: "the word is no instruction",
        Trap.STRAY: "the word is no instruction: it has bits outside the layout of its opcode",
        Trap.FEATURE: "it is no instruction of this controller, which was built without it",
        Trap.OPERAND: "an operand is 0 or beyond the controller's geometry",
        Trap.REGISTER: "SET names a register that does not exist",
        Trap.BOUNDS: "a register that it needs is out of its bounds",
        Trap.RAN_OFF: "the program ran off its end: there is no instruction at that address",
        Trap.ENGINE: "its engine could not finish it",
        Trap.MODE: "the mode of the tile does not permit it",
        Trap.NESTING: "it is an END without a LOOP, or a LOOP inside too many others",
    }
)
"""What a host says of a trap."""


class Event(IntEnum):
    """What the log keeps (:mod:`~ohmloom.hw.link.log`): each with a code and a detail."""

    STOP = 1
    """The guard went to its safe state. Code: :class:`Reason`; detail: program address."""
    CLEARED = 2
    """It left it."""
    TRAP = 3
    """An instruction was refused. Code: :class:`Trap`; detail: its address."""
    ENDED = 4
    """A run ended at a ``HALT``. Detail: its address."""
    SATURATED = 5
    """In that run codes were at a rail. Detail: how many, at most 65535."""
    PULSE = 6
    """A pulse or sweep was not done. Code: ``PulseStatus``; detail: program address."""
    DROPPED = 7
    """A broken frame, the first since a good one."""


LOG_FIELDS = (("time", 40), ("event", 4), ("code", 4), ("detail", 16))
"""Fields of an entry from bit 0 up, and their bits."""
LOG_TIME_SHIFT = 8
"""The time of an entry counts 2^8 clock cycles."""
LOG_HEAD = struct.Struct("<IHH")
"""Word 0 of the log: entries written since the reset, events lost, entries it has room for."""
ADDRESS_MASK = 0xFFFF


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
    TARGET = 5
    """Cell memory as it is written: one target ADC code of two bytes."""
    WEAR = 6
    """Cycles that each cell of the tile at work has had, four bytes."""
    PROFILE = 7
    """The device profile, as quarters of two bytes of its words; locked once adopted."""
    MODE = 8
    """Mode of each tile, and what the last mode instruction said, two bytes."""
    LOCK = 9
    """One byte for each write-once cell: 1 says that it is unwritten
    (:meth:`~ohmloom.hw.geometry.Geometry.lock_address`)."""
    LOG = 10
    """The event log: :data:`LOG_HEAD`, then its ring of entries; readable during a run."""
    CALIBRATION = 11
    """Gain and offset of each TIA range and column, four bytes (:mod:`~ohmloom.hw.tables`)."""


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
        Space.TARGET: Access(2, False, True),
        Space.WEAR: Access(4, True, True),
        Space.PROFILE: Access(2, True, True),
        Space.MODE: Access(2, True, False),
        Space.LOCK: Access(1, True, True),
        Space.LOG: Access(8, True, False),
        Space.CALIBRATION: Access(4, True, True),
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
        Space.TARGET: geometry.cells if geometry.line else 0,
        Space.WEAR: geometry.cells if geometry.wear else 0,
        Space.PROFILE: PROFILE_QUARTERS,
        Space.MODE: geometry.tiles,
        Space.LOCK: geometry.lock_depth,
        Space.LOG: geometry.log_depth + 1 if geometry.log_depth else 0,
        Space.CALIBRATION: table_depth(geometry) if geometry.calibration else 0,
    }[space]


WRITE_HEAD = struct.Struct("<BH")
"""space, address; whole words follow."""
READ_HEAD = struct.Struct("<BHH")
"""space, address, count in words."""
RUN_HEAD = struct.Struct("<HI")
"""program address, epoch of the first inference."""
STATUS_BODY = struct.Struct("<BIIQIBBH")
"""running, good frames, dropped frames, then of the last run: cycles, saturations, end, trap,
address."""
DONE_BODY = struct.Struct("<QIBBH")
"""cycles, saturations, end (bit 0: at a word that is no instruction, bit 1: stopped by the
guard, then the refusal), :class:`Trap`, address of what was refused; the tail of
:data:`STATUS_BODY`."""
ILLEGAL, STOPPED = 1, 2
"""Bits of the end of a run."""
REFUSAL_SHIFT, REFUSAL_BITS = 2, 4
"""Above them, what the mode engine said: a :class:`~ohmloom.hw.profile.ModeStatus`, or
:data:`ADOPT_REFUSAL` and the :class:`~ohmloom.hw.profile.ProfileStatus` of an ``ADOPT``."""
ADOPT_REFUSAL = max(ModeStatus)
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
    features: int
    """As ``Geometry.features``."""
    lock_depth: int
    window: int
    log_depth: int
    gateware: int = field(default=GATEWARE, compare=False)
    """Version of the gateware, whatever the link's."""
    front_end: str = field(default="", compare=False)
    """Name of the front end, up to 16 ASCII characters."""

    @classmethod
    def of(cls, geometry: Geometry, clk_hz: int, front_end: str = "") -> Info:
        """The description of a controller of this geometry, clock and front end."""
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
            features=geometry.features,
            lock_depth=geometry.lock_depth,
            window=geometry.window,
            log_depth=geometry.log_depth,
            front_end=front_end,
        )

    def has(self, what: Op | Feature) -> bool:
        """Whether it has an instruction that it may lack, or a feature."""
        return bool(self.features >> feature_bit(what) & 1)

    def pack(self) -> bytes:
        """The payload of a PING reply, after its status byte."""
        *numbers, front_end = astuple(self)
        name = front_end.encode("ascii")
        if len(name) > FRONT_END_BYTES:
            raise ValueError(f"{front_end!r} is longer than {FRONT_END_BYTES} characters")
        return INFO_BODY.pack(MAGIC, *numbers, name)

    @classmethod
    def unpack(cls, body: bytes) -> Info:
        """What :meth:`pack` packed."""
        _, *numbers, name = INFO_BODY.unpack(body)
        return cls(*numbers, name.rstrip(b"\0").decode("ascii", "replace"))


FRONT_END_BYTES = 16
INFO_HEAD = struct.Struct("<4sH")
"""magic and version, which every version of the link begins with."""
INFO_BODY = struct.Struct(f"<4s4H2B6IBHH{FRONT_END_BYTES}s")
"""magic, then the fields of :class:`Info`."""
