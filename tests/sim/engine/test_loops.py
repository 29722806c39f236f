"""Open loops in any of their rounds, as stepping through them has them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.hw.isa import Op, instruction
from ohmloom.sim.engine.loops import Loops

_loops = st.lists(
    st.builds(
        lambda count, act, out: instruction(Op.LOOP, count=count, act_step=act, out_step=out),
        st.integers(1, 4), st.integers(0, 65535), st.integers(0, 65535),
    ),
    min_size=1,
    max_size=3,
)  # fmt: skip


def state(loops: Loops) -> tuple[object, ...]:
    """All that there is of open loops."""
    return (loops.iteration, loops.added, loops.depth, loops._open)


@pytest.mark.parametrize("around", [0, 1])
@given(begins=_loops)
def test_any_round_is_that_of_stepping(around, begins):
    outer = Loops()
    for n in range(around):  # in its second round, with an end before
        outer.begin(n, instruction(Op.LOOP, count=3, act_step=7, out_step=9))
        outer.end(n + 30)
    before = state(outer)
    nest = list(enumerate(begins))
    code = [*begins, instruction(Op.NOP), *(instruction(Op.END) for _ in begins)]
    stepping, number, address = outer.at([], 0), 0, 0
    while address < len(code):
        match code[address].op:
            case Op.LOOP:
                stepping.begin(address, code[address])
            case Op.END:
                address = stepping.end(address)
            case _:
                assert state(outer.at(nest, number)) == state(stepping)
                number += 1
        address += 1
    assert number == math.prod(instr["count"] for instr in begins)
    assert state(outer) == before
