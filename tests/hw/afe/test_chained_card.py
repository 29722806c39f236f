"""The pin chain: every line arrives, in order, within two periods; and the card behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from amaranth.hdl import Shape
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.afe.array_card import ArrayCard
from ohmloom.hw.afe.chained_card import (
    CHAINED,
    ChainedCard,
    PinChain,
    chain_lines,
    chain_period,
    pins_signature,
)
from ohmloom.hw.afe.interface import PlaneStep
from ohmloom.hw.geometry import Geometry

CLK_HZ = 12_000_000
GEOMETRY = Geometry(rows=16, columns=16, tiles=1, power=False)


class Registers:
    """74HC595s behind the chain: one shift register and one storage register a way."""

    def __init__(self, ways: int, bits: int) -> None:
        self.ways, self.bits = ways, bits
        self.shifted = [0] * ways
        self.stored = [0] * ways
        self.before = (0, 0)

    def see(self, clk: int, latch: int, data: int) -> None:
        """The pins in one cycle."""
        if clk and not self.before[0]:
            for way in range(self.ways):
                word = self.shifted[way] << 1 | (data >> way & 1)
                self.shifted[way] = word & ((1 << self.bits) - 1)
        if latch and not self.before[1]:
            self.stored = list(self.shifted)
        self.before = (clk, latch)

    @property
    def lines(self) -> int:
        """What stands at the outputs."""
        return sum(word << way * self.bits for way, word in enumerate(self.stored))


def watch(chain: PinChain, changes: dict[int, int], cycles: int) -> list[int]:
    """The lines behind the chain in each cycle; ``changes`` gives its input from a cycle on."""
    registers, seen = Registers(chain.ways, chain.bits), []

    async def bench(ctx):
        for cycle in range(cycles):
            if cycle in changes:
                ctx.set(chain.lines, changes[cycle])
            registers.see(ctx.get(chain.clk), ctx.get(chain.latch), ctx.get(chain.data))
            seen.append(registers.lines)
            await ctx.tick()

    sim = Simulator(chain)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return seen


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 25), st.integers(1, 4), st.data())
def test_a_change_is_at_its_pin_after_two_periods_at_the_latest(lines, ways, data):
    chain = PinChain(lines, ways)
    value = data.draw(st.integers(0, (1 << lines) - 1))
    at = data.draw(st.integers(0, 2 * chain.period))
    seen = watch(chain, {0: 0, at: value}, at + 3 * chain.period)
    assert set(seen[at + 2 * chain.period :]) == {value}
    assert set(seen) <= {0, value}


def test_changes_a_period_apart_are_all_seen_in_their_order():
    chain = PinChain(7, 2)
    changes = {5 + n * chain.period: n for n in range(1, 12)}
    seen = watch(chain, changes, 14 * chain.period)
    order = [value for n, value in enumerate(seen) if n == 0 or value != seen[n - 1]]
    assert order == list(range(12))


def test_the_lines_of_an_idle_card_stand_until_the_first_sample():
    assert PinChain(7, 2, 0b1110).lines.init == 0b1110
    members = ArrayCard(GEOMETRY, CLK_HZ).signature.members
    chain = ChainedCard(GEOMETRY, CLK_HZ).chain
    lines = chain_lines(GEOMETRY)
    assert [line.name for line in lines] == [name for name in CHAINED if name in members]
    assert set(CHAINED) - {line.name for line in lines} == {"tile_select"}
    for line in lines:
        init = chain.lines.init >> line.place & ((1 << line.width) - 1)
        assert init == (members[line.name].init or 0), line.name
        assert Shape.cast(members[line.name].shape).width == line.width
    assert sum(line.width for line in lines) == len(chain.lines) == 13


@pytest.mark.parametrize(
    ("tiles", "width", "period"), [(2, 1, 11), (4, 2, 11), (32, 5, 13), (33, 6, 15)]
)
def test_of_the_tile_bus_the_chain_has_what_the_tiles_need(tiles, width, period):
    geometry = replace(GEOMETRY, tiles=tiles)
    lines = {line.name: line for line in chain_lines(geometry)}
    assert lines["tile_select"].width == width
    assert chain_period(geometry) == ChainedCard(geometry, CLK_HZ).chain.period == period
    assert set(pins_signature(geometry).members) == set(pins_signature(GEOMETRY).members)


def test_what_begins_at_a_switch_waits_for_the_chain():
    card, plain = ChainedCard(GEOMETRY, CLK_HZ), ArrayCard(GEOMETRY, CLK_HZ)
    # Five bits a way, two cycles each, and one for the latch.
    assert card.chain.period == 11
    delay = 2 * 11 * 83_334
    assert card.timing().switch_ps - plain.timing().switch_ps == delay
    assert card.timing().settle_ps - plain.timing().settle_ps == delay
    assert card.timing().dac_settle_ps == plain.timing().dac_settle_ps
    assert card.card.switches.clock.timing.half == 11
    # A lead, 24 bits of two halves, and a gap.
    assert card.plane_period_cycles()[PlaneStep.SWITCH] == 11 + 24 * 2 * 11 + 11


def test_gates_converters_and_resets_have_pins_of_their_own():
    members = set(ChainedCard(GEOMETRY, CLK_HZ).signature.members)
    own = {"gate_a", "gate_b", "sw_reset", "dac_clr", "adc_convst", "interlock"}
    assert own <= members and not members & set(CHAINED)


def test_a_clock_that_is_too_fast_for_the_chain_is_refused():
    with pytest.raises(ValueError, match="48000000 Hz is too fast for the pin chain"):
        ChainedCard(GEOMETRY, 48_000_000)
