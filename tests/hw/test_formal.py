"""Proofs of write-verify: for every front end, every operand and every register, for ever."""

from __future__ import annotations

import pytest
from amaranth import Module, Signal
from amaranth.hdl import Assert, Cover, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ohmloom.hw.afe.interface import FrontEndTiming
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.timers import COUNT_BITS
from ohmloom.hw.verify import WriteVerify

CLK_HZ = 1_000_000_000
TIMING = FrontEndTiming(settle_ps=4000, dac_settle_ps=5000, switch_ps=2000, pulse_min_ps=3000)
DRIVE_CYCLES, PULSE_MIN_CYCLES = 5, 3


EAGER = {
    "start": 1,
    "program": 1,
    "operand_count": 1,
    "tries": 1,
    "fe_ready": 1,
    "fe_switch_ready": 1,
    "fe_loaded": 1,
    "fe_dac_ready": 1,
    "fe_dac_idle": 1,
    "fe_adc_idle": 1,
}
"""Inputs that lead to a first pulse soon; the others are 0."""


class VerifySpec(wiring.Component):
    """Write-verify with free inputs. A subclass adds assertions in ``check``.

    Only the timer keeps its contract: it is done exactly as many cycles after the
    strobe as were asked. Where a behaviour has only to be found, the inputs are
    those of :data:`EAGER`, so that the search for it is short.

    Attributes
    ----------
    left, asked : Signal
        Cycles that the timer still takes, and what it was asked for the last time.
    still : Signal
        Cycles since the lines last moved: a switch, or a DAC until it says that it is idle.
    opened : Signal
        Cycles for which gate B has been open.
    """

    def __init__(self, engine: WriteVerify, eager: bool) -> None:
        self.engine = engine
        self.eager = eager
        self.free = {
            "_".join(map(str, path)): value
            for path, member, value in engine.signature.flatten(engine)
            if member.flow is In and path[0] != "timer"
        }
        self.left, self.asked = Signal(COUNT_BITS), Signal(COUNT_BITS)
        self.still = Signal(range(DRIVE_CYCLES + 2))
        self.opened = Signal(COUNT_BITS)
        super().__init__({name: In(len(Value.cast(value))) for name, value in self.free.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = engine = self.engine
        for name, value in self.free.items():
            given = EAGER.get(name, 0) if self.eager else getattr(self, name)
            m.d.comb += Value.cast(value).eq(given)
        fe, timer = engine.fe, engine.timer
        left, still = self.left, self.still

        m.d.comb += [timer.busy.eq(left != 0), timer.done.eq(left == 1)]
        with m.If(timer.start):
            m.d.sync += [left.eq(timer.cycles), self.asked.eq(timer.cycles)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

        shifting = Signal()
        switched = fe.latch | (fe.switch.valid & fe.switch.ready)
        written = fe.dac.valid & fe.dac.ready
        with m.If(written):
            m.d.sync += shifting.eq(1)
        with m.Elif(fe.dac_idle):
            m.d.sync += shifting.eq(0)
        with m.If(switched | written | (shifting & ~fe.dac_idle)):
            m.d.sync += still.eq(0)
        with m.Elif(still <= DRIVE_CYCLES):
            m.d.sync += still.eq(still + 1)
        with m.If(fe.gate_b):
            m.d.sync += self.opened.eq(self.opened + 1)
        with m.Else():
            m.d.sync += self.opened.eq(0)

        # Invariants, so that the proofs are inductive: the timer runs only while the engine
        # waits for it, and while it waits for the lines, what is left of that wait makes up
        # for what has not passed.
        with m.If(engine.active | engine.idle):
            m.d.comb += Assert(left == 0)
        with m.Elif(~fe.gate_a & ~fe.gate_b):
            m.d.comb += [Assert(still + left > DRIVE_CYCLES), Assert(~shifting)]
        self.check(m)
        return m

    def check(self, m: Module) -> None:
        raise NotImplementedError


class WriteVerifyOpensOneGate(VerifySpec):
    """The gates are never open together."""

    def check(self, m: Module) -> None:
        fe = self.engine.fe
        m.d.comb += [Assert(~(fe.gate_a & fe.gate_b)), Cover(fe.gate_b)]


class WriteVerifyMovesNothingInAPulse(VerifySpec):
    """While gate B is open nothing is latched, loaded, written to a DAC or converted."""

    def check(self, m: Module) -> None:
        fe = self.engine.fe
        with m.If(fe.gate_b):
            m.d.comb += [
                Assert(~fe.latch & ~fe.switch.valid & ~fe.dac.valid & ~fe.convert),
                Cover(fe.dac.ready & fe.switch.ready),
            ]


class WriteVerifyWaitsForTheLines(VerifySpec):
    """When gate B opens, rails, I_cc and switches have stood for ``DRIVE_CYCLES``."""

    def check(self, m: Module) -> None:
        with m.If(self.engine.fe.gate_b):
            m.d.comb += [
                Assert(self.still >= DRIVE_CYCLES),
                Cover(self.opened == 0),
            ]


class WriteVerifyMakesExactPulses(VerifySpec):
    """Gate B is open for what was asked of the timer, never below ``PULSE_MIN_CYCLES``."""

    def check(self, m: Module) -> None:
        left, asked, opened = self.left, self.asked, self.opened
        with m.If(self.engine.fe.gate_b):
            m.d.comb += [
                Assert(asked >= PULSE_MIN_CYCLES),
                Assert(opened + left == asked),
                Assert(left != 0),
                Cover(asked == PULSE_MIN_CYCLES),
            ]
        with m.Else():
            # The pulse that has just ended was as long as was asked.
            m.d.comb += [Assert((opened == 0) | (opened == asked)), Cover(opened == asked)]


class Impatient(WriteVerify):
    """A planted fault: the lines get one cycle less than they need; the engine spends one."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.drive_cycles -= 2


class Hasty(WriteVerify):
    """A planted fault: pulses may be shorter than a fast gate can make."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.pulse_min_cycles -= 1


class Both(WriteVerify):
    """A planted fault: the read gate is open all the time."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.fe.gate_a.eq(1)
        return m


class Restless(WriteVerify):
    """A planted fault: a conversion whenever the converters are idle."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.fe.convert.eq(self.fe.adc_idle)
        return m


class Open(WriteVerify):
    """A planted fault: the gate opens with any timer."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.fe.gate_b.eq(self.timer.busy)
        return m


SPECS = {
    spec.__name__: spec
    for spec in (
        WriteVerifyOpensOneGate,
        WriteVerifyMovesNothingInAPulse,
        WriteVerifyWaitsForTheLines,
        WriteVerifyMakesExactPulses,
    )
}
FAULTS = [
    (WriteVerifyOpensOneGate, Both),
    (WriteVerifyMovesNothingInAPulse, Restless),
    (WriteVerifyWaitsForTheLines, Impatient),
    (WriteVerifyWaitsForTheLines, Open),
    (WriteVerifyMakesExactPulses, Hasty),
]
INDUCTION = 3
PULSE_DEPTH = 24
"""Cycles within which a first pulse can have been made."""
FAST = WriteVerifyWaitsForTheLines
"""The one whose proof is part of every test run."""


def spec(
    kind: type[VerifySpec], engine: type[WriteVerify] = WriteVerify, eager: bool = False
) -> VerifySpec:
    geometry = Geometry(rows=8, columns=8, line=not eager, wear=not eager)
    return kind(engine(geometry, TIMING, CLK_HZ), eager)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, id=name, marks=() if kind is FAST else pytest.mark.slow)
        for name, kind in SPECS.items()
    ],
)
def test_it_holds_for_ever(assert_formal, kind):
    assert_formal(spec(kind), depth=INDUCTION)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_what_it_speaks_of_can_happen(assert_formal, name):
    assert_formal(spec(SPECS[name], eager=True), depth=PULSE_DEPTH, mode="cover")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "fault"),
    [pytest.param(kind, fault, id=f"{kind.__name__}-{fault.__name__}") for kind, fault in FAULTS],
)
def test_it_finds_an_engine_that_does_not(assert_formal, kind, fault):
    with pytest.raises(AssertionError, match="failed assertion"):
        assert_formal(spec(kind, fault, eager=True), depth=PULSE_DEPTH, mode="bmc")


def test_every_specification_has_a_planted_fault():
    assert {kind for kind, _ in FAULTS} == set(SPECS.values())
