"""The link under fire: frames of every kind, good and broken, at the compiled controller.

The frames are made and judged in C++ (``fuzz.cc``), so that Python is not woken. There
each good frame must be answered as a model of the link says, broken ones must be counted
and do nothing, and in every clock cycle the gates, DAC codes and switches at the chips'
pins must be within their limits.
"""

from __future__ import annotations

import ctypes
import random
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ....errors import OhmloomError
from ....hw.afe.array_card import ArrayCard
from ....hw.geometry import Geometry
from ....hw.isa import (
    LAYOUTS,
    Dac,
    Op,
    Reg,
    Train,
    assemble,
    encode,
    instruction,
    pack_pulse,
)
from ....hw.link.exchange import pack_words
from ....hw.link.protocol import RUN_HEAD, WRITE_HEAD, Info, Space
from ....hw.link.protocol import Kind as Request
from ....hw.link.uart import UartRx, UartTx
from ....hw.profile import MODE_SLOTS, Drive, Kind, ModeRecord, Profile, pack_profile, quarters
from ..bench import Bench
from .build import library

CLK_HZ = 3_000_000
BAUD = CLK_HZ // 4
"""The fastest rate that the receiver takes."""
GEOMETRY = Geometry(
    rows=8, columns=8, tiles=2, program_depth=64, param_depth=64, act_depth=64, locks=256
)
SESSION = 5000
"""Frames between two resets of the controller."""
PATIENCE = 200_000
"""Clock cycles without a byte from the controller after which an answer is missing: more
than the front end's start and the longest replies take at the rate of the line."""
LENGTH = struct.Struct("<BH")
"""Kind and bytes of a request of the prologue."""
WORDS = 4096
RECORD = 8
"""Words that are put aside for a record of pulses."""
GENTLE_LOW, GENTLE_HIGH = 32768, 40960
"""Codes that every channel may have."""
OFTEN = (*(10 * (Op.PULSE,)), *(4 * (Op.DAC,)), Op.SET, Op.READ, Op.MVM)
WIDE, SMALL = 0.7, 3
"""Share of DAC codes and register values from their whole range, and what is small."""
DRIVER = "fuzz.cc"
STUCK = (0x5A, 0x03)
"""Two bytes after which a planted fault leaves the receiver stuck."""


class Class(IntEnum):
    """What is sent."""

    KNOWN = 0
    """PING, STATUS or READ, all of whose answer is known."""
    REQUEST = 1
    """What a host might send, and much that it would not."""
    RANDOM_REQUEST = 2
    """Any kind with any payload, its CRC good."""
    DUPLICATE = 3
    WRONG_SEQ = 4
    FLIPPED = 5
    TRUNCATED = 6
    WRONG_CRC = 7
    INTERLEAVED = 8
    """With further delimiters inside."""
    OVER_LONG = 9
    EMPTY = 10
    RANDOM_BYTES = 11


class Failure(IntEnum):
    """What went wrong first."""

    NONE = 0
    BOTH_GATES = 1
    DAC_CODE = 2
    BOTH_RAILS = 3
    CHIP = 4
    HANG = 5
    WRONG_REPLY = 6
    WRONG_COUNT = 7
    NO_END = 8


FAILURES = {
    Failure.BOTH_GATES: "both fast gates were open",
    Failure.DAC_CODE: "a DAC had a code beyond its ceiling",
    Failure.BOTH_RAILS: "a row was on both rails",
    Failure.CHIP: "a chip complained",
    Failure.HANG: "a good frame was not answered",
    Failure.WRONG_REPLY: "an answer was not that of the model",
    Failure.WRONG_COUNT: "the frames were counted wrong",
    Failure.NO_END: "a run did not end when it was to",
}


@dataclass(frozen=True)
class Fuzzed:
    """What happened.

    Attributes
    ----------
    sent:
        Pieces of each class.
    good, answered, dropped:
        Good frames, those that were answered as the model says, and broken ones.
    runs, events, pulses:
        Runs that began, ends that were reported, and openings of gate B.
    cycles:
        Clock cycles that were simulated; each was looked at.
    failure, frame, cycle, detail:
        What went wrong first, in which piece and cycle.
    """

    sent: dict[Class, int]
    good: int
    answered: int
    dropped: int
    events: int
    runs: int
    cycles: int
    pulses: int
    failure: Failure
    frame: int
    cycle: int
    detail: int

    def __str__(self) -> str:
        if self.failure is Failure.NONE:
            return (
                f"{self.frame} pieces, {self.good} good frames, {self.answered} answered, "
                f"{self.dropped} broken ones dropped, {self.runs} runs, {self.pulses} pulses, "
                f"{self.cycles} cycles"
            )
        return (
            f"piece {self.frame}, cycle {self.cycle}: {FAILURES[self.failure]} "
            f"(detail {self.detail:#x})"
        )


class FuzzError(OhmloomError, ValueError):
    """What cannot be fuzzed."""


class _Receiver(wiring.Component):
    """The serial receiver, or bytes without a line; ``plant`` makes it stick."""

    def __init__(self, uart: UartRx) -> None:
        self.uart = uart
        self.divisor = uart.divisor
        super().__init__(
            {
                "rx": In(1, init=1),
                "o": Out(stream.Signature(8, always_ready=True)),
                "active": Out(1),
                "serial": In(1),
                "plant": In(1),
                "byte": In(8),
                "strobe": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.uart = uart = self.uart
        before, stuck = Signal(8), Signal()
        m.d.comb += [
            uart.rx.eq(self.rx),
            self.active.eq(uart.active | self.strobe),
            self.o.payload.eq(self.byte),
            self.o.valid.eq(self.strobe & ~stuck),
        ]
        with m.If(self.serial):
            m.d.comb += [
                self.o.payload.eq(uart.o.payload),
                self.o.valid.eq(uart.o.valid & ~stuck),
            ]
        with m.If(self.o.valid):
            m.d.sync += before.eq(self.o.payload)
            with m.If(self.plant & (before == STUCK[0]) & (self.o.payload == STUCK[1])):
                m.d.sync += stuck.eq(1)
        return m


class _Transmitter(wiring.Component):
    """The serial transmitter, or bytes without a line."""

    def __init__(self, uart: UartTx) -> None:
        self.uart = uart
        self.divisor = uart.divisor
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "tx": Out(1, init=1),
                "active": Out(1),
                "serial": In(1),
                "byte": Out(8),
                "strobe": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.uart = uart = self.uart
        m.d.comb += [
            self.tx.eq(uart.tx),
            self.active.eq(uart.active),
            uart.i.payload.eq(self.i.payload),
            uart.i.valid.eq(self.i.valid & self.serial),
            self.byte.eq(self.i.payload),
            self.strobe.eq(self.i.valid & ~self.serial),
            self.i.ready.eq(uart.i.ready | ~self.serial),
        ]
        return m


class FuzzBench(wiring.Component):
    """The bench with a way past the serial line, whose bit would take four cycles.

    Parameters
    ----------
    geometry : Geometry
        Of the controller; at most ten rows.
    card : type
        The front end's class; tests plant a faulty one.

    Members
    -------
    (those of :class:`~ohmloom.sim.cosim.bench.Bench`)
    serial : In(1)
        Bytes come and go over ``rx`` and ``tx``; otherwise
    in_byte, in_strobe, out_byte, out_strobe
        without a line, one in a cycle.
    plant : In(1)
        Plants a receiver that sticks at two certain bytes.
    """

    def __init__(
        self,
        geometry: Geometry = GEOMETRY,
        card: type[ArrayCard] = ArrayCard,
    ) -> None:
        if geometry.rows > 10:
            raise FuzzError(f"{geometry.rows} rows are more than the 10 that are looked at")
        self.geometry = geometry
        self.bench = bench = Bench(geometry, CLK_HZ, BAUD, card)
        link = bench.top.link
        self.receiver = link.uart_rx = _Receiver(link.uart_rx)
        self.transmitter = link.uart_tx = _Transmitter(link.uart_tx)
        super().__init__(
            {
                **bench.signature.members,
                "serial": In(1),
                "plant": In(1),
                "in_byte": In(8),
                "in_strobe": In(1),
                "out_byte": Out(8),
                "out_strobe": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bench = self.bench
        for name, member in self.bench.signature.members.items():
            inside, outside = getattr(self.bench, name), getattr(self, name)
            m.d.comb += outside.eq(inside) if member.flow is Out else inside.eq(outside)
        m.d.comb += [
            self.receiver.serial.eq(self.serial),
            self.receiver.plant.eq(self.plant),
            self.receiver.byte.eq(self.in_byte),
            self.receiver.strobe.eq(self.in_strobe),
            self.transmitter.serial.eq(self.serial),
            self.out_byte.eq(self.transmitter.byte),
            self.out_strobe.eq(self.transmitter.strobe),
        ]
        return m


class _Plan(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("seed", "frames", "session", "patience", "window")),
        *((name, ctypes.c_uint64) for name in ("serial", "plant", "rows")),
        *((name, ctypes.c_uint64) for name in ("program_depth", "param_depth")),
        ("low", ctypes.c_uint64 * len(Dac)),
        ("high", ctypes.c_uint64 * len(Dac)),
        ("info", ctypes.c_char_p),
        ("info_size", ctypes.c_uint64),
        ("words", ctypes.POINTER(ctypes.c_uint64)),
        *((name, ctypes.c_uint64) for name in ("code_count", "record_count", "record")),
        ("prologue", ctypes.c_char_p),
        ("prologue_size", ctypes.c_uint64),
    ]


class _Found(ctypes.Structure):
    _fields_ = [
        ("sent", ctypes.c_uint64 * len(Class)),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "good",
                "answered",
                "dropped",
                "events",
                "runs",
                "cycles",
                "pulses",
                "failure",
                "frame",
                "cycle",
                "detail",
            )
        ),
    ]


def plausible_code(rng: random.Random, geometry: Geometry) -> list[int]:
    """Instructions that a controller may well execute.

    Most operands are small, DAC codes and registers take the whole of their range.
    """
    words = []
    while len(words) < WORDS:
        op = rng.choice((*Op, *OFTEN))
        operands = {}
        for field in LAYOUTS[op]:
            wide = op in (Op.SET, Op.DAC) and rng.random() < WIDE
            low = field.minimum if wide else max(0, field.minimum)
            high = field.maximum if wide else min(field.maximum, SMALL)
            operands[field.name] = rng.randint(low, high)
        if "param" in operands:
            operands["param"] = rng.choice((0, 0, RECORD, operands["param"]))
        if "code" in operands and rng.random() < WIDE:
            operands["code"] = rng.randrange(GENTLE_LOW, GENTLE_HIGH)
        if op is Op.SET:
            operands["reg"] = rng.choice([reg for reg in Reg if geometry.knows(reg)])
        if op is Op.WAIT:
            operands["cycles"] = rng.randrange(1 << rng.randrange(20))
        words.append(encode(instruction(op, **operands)))
    return words


def plausible_records(rng: random.Random) -> list[int]:
    """Records of pulses that a controller may well drive, :data:`RECORD` words each."""
    words: list[int] = []
    while len(words) < WORDS:
        width = rng.choice((2, 8, 50, 400))
        record = pack_pulse(
            Train(
                rail=rng.randrange(1 << 16),
                width=width,
                gate=rng.choice((GENTLE_HIGH, rng.randrange(1 << 16))),
                limit=rng.randrange(4),
                pulses=rng.choice((1, 1, 2, 5)),
                interval=width * rng.choice((2, 8, 50)) + 200,
            )
        )
        words += (record + [0] * RECORD)[:RECORD]
    return words


def prologue() -> bytes:
    """Requests after a reset: a profile that permits much, so that pulses come to the pins.

    Each with its kind and its length in front.
    """
    drive = Drive(
        gate_low=0,
        gate_high=(1 << 16) - 1,
        gap_low=0,
        gap_high=0,
        rail_low=0,
        rail_high=(1 << 16) - 1,
        width_max=1000,
        limited=0,
    )
    kinds = [kind for kind in Kind if kind is not Kind.NONE]
    modes = tuple(ModeRecord(kind, drive, verify=True, source=True) for kind in 2 * kinds)
    profile = pack_profile(Profile(modes[:MODE_SLOTS], ()))
    start = [
        instruction(Op.ADOPT),
        instruction(Op.RESTORE, tile=0, mode=0),
        instruction(Op.RESTORE, tile=1, mode=1),
        instruction(Op.HALT),
    ]
    requests = [
        (
            Request.WRITE,
            WRITE_HEAD.pack(Space.PROFILE, 0) + pack_words(Space.PROFILE, quarters(profile)),
        ),
        (Request.WRITE, WRITE_HEAD.pack(Space.PROGRAM, 0) + assemble(start)),
        (Request.RUN, RUN_HEAD.pack(0, 0)),
    ]
    return b"".join(LENGTH.pack(kind, len(payload)) + payload for kind, payload in requests)


def fuzz(
    path: Path,
    frames: int,
    seed: int,
    *,
    geometry: Geometry = GEOMETRY,
    front_end: str = ArrayCard.__name__,
    serial: bool = False,
    plant: bool = False,
    session: int = SESSION,
) -> Fuzzed:
    """Send ``frames`` pieces to the compiled bench.

    Parameters
    ----------
    path : Path
        The library (:func:`fuzz_library`).
    frames, seed : int
        How many; the same seed gives the same ones.
    geometry, front_end : Geometry, str
        Of the bench, and the name of its front end. What may be driven is that of the
        array card, whatever the bench's.
    serial : bool
        Over the serial line, instead of up to a byte a cycle.
    plant : bool
        With the planted fault.
    session : int
        Pieces between two resets.
    """
    ceilings = ArrayCard(geometry, CLK_HZ).ceilings()
    info = Info.of(geometry, CLK_HZ, front_end).pack()
    rng = random.Random(seed)
    code, records = plausible_code(rng, geometry), plausible_records(rng)
    words = code + records
    first = prologue()
    plan = _Plan(
        seed=seed,
        frames=frames,
        session=session,
        patience=PATIENCE,
        window=geometry.window,
        serial=serial,
        plant=plant,
        rows=geometry.rows,
        program_depth=geometry.program_depth,
        param_depth=geometry.param_depth,
        low=(ctypes.c_uint64 * len(Dac))(*(ceilings.low[dac] for dac in Dac)),
        high=(ctypes.c_uint64 * len(Dac))(*(ceilings.high[dac] for dac in Dac)),
        info=info,
        info_size=len(info),
        words=(ctypes.c_uint64 * len(words))(*words),
        code_count=len(code),
        record_count=len(records) // RECORD,
        record=RECORD,
        prologue=first,
        prologue_size=len(first),
    )
    found = _Found()
    function = ctypes.CDLL(str(path)).ohmloom_fuzz
    function.restype = None
    function(ctypes.byref(plan), ctypes.byref(found))
    values = {name: getattr(found, name) for name, *_ in _Found._fields_}
    values["sent"] = dict(zip(Class, found.sent, strict=True))
    values["failure"] = Failure(found.failure)
    return Fuzzed(**values)


def fuzz_library(bench: FuzzBench, cache: Path | None = None) -> Path:
    """The compiled bench; not elaborated before."""
    return library(bench, cache=cache, driver=DRIVER)
