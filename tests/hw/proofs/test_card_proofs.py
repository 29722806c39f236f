"""What the card does with what the guard lets through: the serial DAC, and the safe state."""

from __future__ import annotations

import pytest
from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ohmloom.hw.afe import ad5754r
from ohmloom.hw.afe.array_card import ArrayCard
from ohmloom.hw.geometry import Geometry

CLK_HZ = 12_000_000
FRAME = ad5754r.FRAME_BITS


class TheDacShiftsOutWhatItAccepted(wiring.Component):
    """When SYNC rises, the bits on SDIN at SCLK's falling edges were the accepted frame.

    Those are all 24, most significant first, the write bit and the zero below it on
    top. LDAC only falls after that, and no other frame is accepted in between.
    """

    def __init__(self, dac: ad5754r.QuadDac) -> None:
        self.dac = dac
        super().__init__({"payload": In(ad5754r.write_layout.size), "valid": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dac = dac = self.dac
        m.d.comb += [dac.frame.payload.as_value().eq(self.payload), dac.frame.valid.eq(self.valid)]
        payload = dac.frame.payload
        asked, accepted, seen = Signal(FRAME), Signal(FRAME), Signal(FRAME)
        with m.Switch(payload.setup):
            with m.Case(0):
                m.d.comb += asked.eq(Cat(payload.code, payload.channel))
            for setup, frame in enumerate(ad5754r.CONFIGURATION, start=1):
                with m.Case(setup):
                    m.d.comb += asked.eq(frame.as_value())
        count = Signal(range(FRAME + 2))
        sclk, sync_n, ldac_n = Signal(init=1), Signal(init=1), Signal(init=1)
        m.d.sync += [sclk.eq(dac.sclk), sync_n.eq(dac.sync_n), ldac_n.eq(dac.ldac_n)]
        with m.If(dac.frame.valid & dac.frame.ready):
            m.d.sync += [accepted.eq(asked), count.eq(0), seen.eq(0)]
        edge = Signal()
        m.d.comb += edge.eq(sclk & ~dac.sclk & ~dac.sync_n)
        with m.If(edge):
            m.d.sync += [seen.eq(Cat(dac.sdin, seen[:-1])), count.eq(count + 1)]
        # Invariants: a driver that takes a frame has ended the one before; in a frame, what
        # has been seen, what is out, what is to be shifted and the bits that are left make
        # up the frame.
        clock, bits, code = dac.clock, Signal(range(FRAME + 2)), Signal(ad5754r.CODE_BITS)
        low = ~dac.sclk
        m.d.comb += [bits.eq(count + edge), code.eq(Mux(dac.setup == 0, accepted, 0))]
        with m.If(dac.idle):
            m.d.comb += Assert(clock.idle & dac.sync_n & dac.ldac_n)
        with m.If(dac.sync_n):
            m.d.comb += [Assert(dac.sclk), Assert(dac.idle | (count == FRAME))]
            m.d.comb += Assert(dac.idle | (seen == accepted))
            m.d.comb += Assert(~clock.ended & ~dac.sdin)
        with m.Else():
            m.d.comb += [
                Assert(~dac.idle & dac.ldac_n),
                Assert((bits <= FRAME) & (~low | (bits != 0))),
                Assert(seen == accepted >> (FRAME - count).as_unsigned()),
            ]
            with m.If(clock.ended):
                m.d.comb += Assert((bits == FRAME) & ~low & ~dac.sdin)
            with m.Else():
                shifted = Mux(clock.left < ad5754r.CODE_BITS, ad5754r.CODE_BITS - clock.left, 0)
                m.d.comb += [
                    Assert(bits + clock.left == FRAME - 1 + low),
                    Assert(dac.sdin == accepted.bit_select(clock.left, 1)),
                    Assert(dac.shift == (code << shifted.as_unsigned()[:5])[: len(code)]),
                ]
            # What was accepted is what the driver has kept of it.
            with m.Switch(dac.setup):
                with m.Case(0):
                    m.d.comb += Assert(accepted[ad5754r.CODE_BITS :] == 0)
                for setup, frame in enumerate(ad5754r.CONFIGURATION, start=1):
                    with m.Case(setup):
                        m.d.comb += Assert(accepted == frame.as_value())
                with m.Default():
                    m.d.comb += Assert(accepted == 0)
        with m.If(dac.sync_n & ~sync_n):
            m.d.comb += [
                Assert(count == FRAME),
                Assert(seen == accepted),
                Assert(~dac.idle),
                Cover(accepted == 0x02_A5A5),
                Cover(accepted == ad5754r.CONFIGURATION[-1].as_value()),
            ]
        with m.If(ldac_n & ~dac.ldac_n):
            m.d.comb += [Assert(dac.sync_n), Assert(seen == accepted), Assert(count == FRAME)]
        return m


class Lossy(ad5754r.QuadDac):
    """A planted fault: a frame offered at the last bit of the one before changes it."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.clock.trailing & (self.clock.left == 1) & self.frame.valid):
            m.d.sync += self.sdin.eq(1)
        return m


class TheCardObeysSafe(wiring.Component):
    """One cycle after ``safe`` the card's DACs are cleared, its switches reset, its gates shut.

    The gates are shut one cycle after the guard shuts them, ``safe`` or not, and the card
    is not ready again before it has been through its initialisation.
    """

    def __init__(self, card: ArrayCard) -> None:
        self.card = card
        self.free = {
            "_".join(map(str, path)): value
            for path, member, value in card.signature.flatten(card)
            if member.flow is In and not isinstance(value, Const)
        }
        super().__init__({name: In(len(Value.cast(value))) for name, value in self.free.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.card = card = self.card
        for name, value in self.free.items():
            m.d.comb += Value.cast(value).eq(getattr(self, name))
        core = card.core
        safe, was_ready, asked, switched = Signal(), Signal(), Signal(2), Signal()
        m.d.sync += [
            safe.eq(core.safe),
            was_ready.eq(core.ready),
            switched.eq(card.sw_reset),
            asked.eq(Cat(core.gate_a, core.gate_b)),
        ]
        with m.If(safe):
            m.d.comb += Assert(~card.dac_clr & ~card.sw_reset & ~core.ready)
        m.d.comb += [
            Assert(~card.gate_a | (asked[0] & was_ready)),
            Assert(~card.gate_b | (asked[1] & was_ready)),
            Cover(safe & switched & ~card.sw_reset),
        ]
        return m


class Deaf(ArrayCard):
    """A planted fault: the DACs stay as they are."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.sync += self.dac_clr.eq(self.dac_clr | self.sw_reset)
        return m


def dac(kind: type[ad5754r.QuadDac] = ad5754r.QuadDac) -> wiring.Component:
    return TheDacShiftsOutWhatItAccepted(kind(CLK_HZ))


def card(kind: type[ArrayCard] = ArrayCard) -> wiring.Component:
    return TheCardObeysSafe(kind(Geometry(rows=8, columns=8), CLK_HZ))


FRAME_CYCLES = 75
"""More than a frame takes."""
START_CYCLES = 10
"""More than the card takes, with the shortest waits, to release its switches."""
CASES = {
    "TheDacShiftsOutWhatItAccepted": (dac, 4, Lossy, FRAME_CYCLES),
    "TheCardObeysSafe": (card, 2, Deaf, START_CYCLES),
}
NAMES = pytest.mark.parametrize("name", CASES)


@pytest.mark.slow
@NAMES
def test_it_holds_for_ever(assert_formal, name):
    spec, depth, _, _ = CASES[name]
    assert_formal(spec(), depth=depth)


@pytest.mark.slow
@NAMES
def test_what_it_speaks_of_can_happen(assert_formal, name):
    spec, _, _, depth = CASES[name]
    assert_formal(spec(), depth=depth, mode="cover")


@pytest.mark.slow
@NAMES
def test_it_finds_a_driver_that_does_not(assert_formal, name):
    spec, _, fault, depth = CASES[name]
    with pytest.raises(AssertionError, match="failed assertion"):
        assert_formal(spec(fault), depth=depth, mode="bmc")
