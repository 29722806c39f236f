"""Proofs of write-verify: for every front end, every operand and every register, for ever."""

from __future__ import annotations

import pytest
from amaranth import Module, Signal
from amaranth.hdl import Assert, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ohmloom.hw.afe.interface import FrontEndTiming
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.timers import COUNT_BITS
from ohmloom.hw.verify import WriteVerify

CLK_HZ = 1_000_000_000
TIMING = FrontEndTiming(settle_ps=4000, dac_settle_ps=5000, switch_ps=2000, pulse_min_ps=3000)
DRIVE_CYCLES, PULSE_MIN_CYCLES = 5, 3


class PulsesSafely(wiring.Component):
    """What holds whenever a fast gate is open, with all inputs of the engine free.

    Only the timer keeps its contract: it is done exactly as many cycles after the
    strobe as were asked. The gates are never open together. While gate B is, nothing
    is latched, loaded, written to a DAC or converted, and all of that is
    ``DRIVE_CYCLES`` past. It stays open for exactly the cycles that the engine asked
    of the timer, which are never fewer than ``PULSE_MIN_CYCLES``.
    """

    def __init__(self, engine: WriteVerify) -> None:
        self.engine = engine
        self.free = {
            "_".join(map(str, path)): value
            for path, member, value in engine.signature.flatten(engine)
            if member.flow is In and path[0] != "timer"
        }
        super().__init__({name: In(len(Value.cast(value))) for name, value in self.free.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = engine = self.engine
        for name, value in self.free.items():
            m.d.comb += Value.cast(value).eq(getattr(self, name))
        fe, timer = engine.fe, engine.timer

        left = Signal(COUNT_BITS)
        asked = Signal(COUNT_BITS)
        m.d.comb += [timer.busy.eq(left != 0), timer.done.eq(left == 1)]
        with m.If(timer.start):
            m.d.sync += [left.eq(timer.cycles), asked.eq(timer.cycles)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

        # Cycles since the lines last moved: a switch, or a DAC until it says that it is idle.
        shifting = Signal()
        still = Signal(range(DRIVE_CYCLES + 2))
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

        opened = Signal(COUNT_BITS)
        with m.If(fe.gate_b):
            m.d.sync += opened.eq(opened + 1)
            m.d.comb += [
                Assert(~fe.gate_a),
                Assert(~fe.latch & ~fe.switch.valid & ~fe.dac.valid & ~fe.convert),
                Assert(still >= DRIVE_CYCLES),
                Assert(asked >= PULSE_MIN_CYCLES),
                Assert(opened + left == asked),
                Assert(left != 0),
            ]
        with m.Else():
            m.d.sync += opened.eq(0)
            # The pulse that has just ended was as long as was asked.
            m.d.comb += Assert((opened == 0) | (opened == asked))

        # Invariants, so that the proof is inductive: the timer runs only while the engine
        # waits for it, and while it waits for the lines, what is left of that wait makes up
        # for what has not passed.
        with m.If(engine.active | engine.idle):
            m.d.comb += Assert(left == 0)
        with m.Elif(~fe.gate_a & ~fe.gate_b):
            m.d.comb += [Assert(still + left > DRIVE_CYCLES), Assert(~shifting)]
        return m


class Impatient(WriteVerify):
    """A planted fault: the lines get one cycle less than they need."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.drive_cycles -= 1


class Hasty(WriteVerify):
    """A planted fault: pulses may be shorter than a fast gate can make."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.pulse_min_cycles -= 1


class Open(WriteVerify):
    """A planted fault: the gate opens with any timer."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.fe.gate_b.eq(self.timer.busy)
        return m


def spec(engine: type[WriteVerify]) -> PulsesSafely:
    return PulsesSafely(engine(Geometry(rows=8, columns=8), TIMING, CLK_HZ))


def test_pulses_are_safe(assert_formal):
    assert_formal(spec(WriteVerify), depth=3)


@pytest.mark.parametrize("fault", [Impatient, Hasty, Open])
def test_the_proof_finds_a_pulse_that_is_not(assert_formal, fault):
    with pytest.raises(AssertionError, match="failed assertion"):
        assert_formal(spec(fault), depth=30, mode="bmc")
