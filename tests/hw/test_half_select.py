"""The weighing of the bias in gateware: the rule of the instruction set, code for code."""

from __future__ import annotations

import pytest
from amaranth.sim import Simulator
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.hw.afe.array_card import ArrayCard
from ohmloom.hw.afe.interface import Ceilings
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.guard import CeilingError, Guard
from ohmloom.hw.half_select import HalfSelect
from ohmloom.hw.isa import selected_code

ZERO = 0x8000
CLK_HZ = 48_000_000
CODES = st.integers(0, 0xFFFF) | st.integers(ZERO - 9, ZERO + 9)
BIAS = st.tuples(CODES, CODES, CODES, st.booleans(), st.booleans())


@given(st.lists(BIAS, min_size=1, max_size=40))
def test_it_is_the_rule_of_the_instruction_set(biases):
    dut = HalfSelect(ZERO)
    found = []

    async def bench(ctx):
        for bias in biases:
            for name, value in zip(
                ("rail", "program", "on", "on_program", "on_on"), bias, strict=True
            ):
                ctx.set(getattr(dut, name), value)
            found.append((ctx.get(dut.cell), ctx.get(dut.uneven)))

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
    for (rail, program, on, on_program, on_on), (cell, uneven) in zip(biases, found, strict=True):
        column, others = program if on_program else ZERO, on if on_on else ZERO
        wanted = selected_code(rail, column, others)
        assert bool(uneven) == (wanted is None)
        assert cell == min(max(rail - column + ZERO, 0), 0xFFFF)
        assert wanted is None or cell == wanted


def test_a_front_end_without_a_limiter_is_for_arrays_with_transistors():
    passive = Geometry(rows=8, columns=8, passive=True)
    card = ArrayCard(passive, CLK_HZ)
    assert card.ceilings().limiter is not None
    Guard(passive, card.timing(), card.ceilings(), CLK_HZ)
    made = ArrayCard(Geometry(rows=8, columns=8), CLK_HZ).ceilings()
    assert isinstance(made, Ceilings) and made.limiter is None
    with pytest.raises(CeilingError, match="limiter"):
        Guard(passive, card.timing(), made, CLK_HZ)
