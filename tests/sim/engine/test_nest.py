"""Which loops have rounds that are independent, and where each word comes from."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.hw.isa import Instruction, Op, instruction
from ohmloom.sim.engine.nest import MEMORY, Flow, flow_of, nest_at

from .conftest import (
    ADDS,
    END,
    GEOMETRY,
    HALT,
    PARAMS,
    RESULT,
    SCRATCH,
    SOURCE,
    convolution,
    loop,
    mvm,
    pool,
    requant,
)

NOP = instruction(Op.NOP)


def flow(code: list[Instruction], act: int = 0, out: int = 0) -> Flow | None:
    nest = nest_at(code, 0)
    assert nest is not None
    return flow_of(nest, act, out, GEOMETRY, np.array(PARAMS, np.uint64))


def lut(act: int, out: int, count: int = 4) -> Instruction:
    return instruction(Op.LUT, act=act, out=out, table=0, count=count)


def test_a_convolution_reads_its_patch_from_memory_and_the_product_from_the_patch():
    found = flow(convolution(3, 3, maps=2), act=1, out=2)
    assert found is not None
    copy, product, scaled = found.steps
    assert found.width == 6 and (copy.column, scaled.column) == (0, 4)
    assert copy.sources.ravel().tolist() == [MEMORY] * 4
    assert product.sources.ravel().tolist() == [0, 1, 2, 3]
    assert copy.read(slice(4, 5), 0).tolist() == [[SOURCE + 1 + 4 + 1 + k for k in (0, 1, 4, 5)]]
    assert found.written(slice(4, 5)).tolist() == [
        [*range(SCRATCH, SCRATCH + 4), RESULT + 2 + 8, RESULT + 2 + 9]
    ]


@pytest.mark.parametrize(
    ("body", "step"),
    [
        ([pool(SOURCE, SOURCE + 4, 2, move_act=1, move_out=1)], 4),  # of the round before
        ([pool(SOURCE, RESULT, 2, move_act=1), pool(RESULT - 4, SCRATCH, 2, move_act=1)], 1),
        ([lut(SCRATCH, SCRATCH)], 1),  # again and again
        ([pool(SOURCE, SOURCE + 1, 2)], 1),  # one value after the other
        ([mvm(SOURCE, clear=0), requant(RESULT)], 1),
        ([requant(RESULT), mvm(SOURCE)], 1),
        ([mvm(SOURCE), requant(79, 1, move_out=1)], 1),  # beyond the memory
        ([pool(SOURCE, 76, 2, move_out=1)], 1),
        ([mvm(SOURCE)], 1),  # makes nothing
        ([instruction(Op.POOL, act=0, out=0, param=len(PARAMS) - 1, average=0)], 1),
    ],
)
def test_rounds_that_are_not_independent(body, step):
    assert flow(loop(6, step, step, *body)) is None


@pytest.mark.parametrize(
    ("body", "step"),
    [
        ([lut(SCRATCH, RESULT)], 1),
        ([pool(SOURCE, SCRATCH, 2, move_act=1), lut(SCRATCH, SCRATCH)], 1),
        ([mvm(SOURCE, move_act=1), requant(SOURCE, 4, move_out=1)], 4),
        ([mvm(SOURCE), mvm(SOURCE, clear=0), requant(RESULT)], 1),
        (
            [
                pool(SOURCE, SCRATCH, 2, move_act=1),
                instruction(Op.ADD, out=RESULT, param=ADDS[1], count=2),
                instruction(Op.ARGMAX, act=RESULT, out=RESULT, count=2, last=0),
                NOP,
            ],
            1,
        ),
        ([pool(SOURCE + 8, SOURCE + 4, 2, move_act=1, move_out=1)], 4),  # of the round after
    ],
)
def test_rounds_that_are_independent(body, step):
    assert flow(loop(5, step, step, *body)) is not None


def test_a_nest_that_is_too_long_to_follow_is_left_alone():
    body = (pool(SOURCE, SCRATCH), requant(RESULT))
    assert flow(loop(65535, 0, 0, *loop(65535, 0, 0, *loop(65535, 0, 0, mvm(0), *body)))) is None
    assert flow(loop(3, 0, 0, mvm(0), *body)) is None


@pytest.mark.parametrize(
    "code",
    [
        [NOP],
        [END],
        loop(5, 0, 0),
        loop(5, 0, 0, NOP)[:-1],
        loop(5, 0, 0, NOP, *loop(5, 0, 0, NOP)),
        loop(5, 0, 0, *loop(5, 0, 0, NOP), NOP),
        loop(5, 0, 0, instruction(Op.WAIT, cycles=1)),
        loop(5, 0, 0, instruction(Op.DAC, channel=0, code=0)),
        [*loop(5, 0, 0, NOP)[:-1], HALT],
    ],
)
def test_what_is_no_nest(code):
    assert nest_at(code, 0) is None


def test_the_innermost_loops_of_others_are_a_nest():
    inside = loop(2, 1, 1, *loop(3, 1, 1, NOP, NOP))
    code = loop(5, 0, 0, NOP, *inside)
    assert nest_at(code, 0) is None
    found = nest_at(code, 2)
    assert found is not None
    assert [at for at, _ in found.loops] == [2, 3] and [at for at, _ in found.body] == [4, 5]
    assert found.rounds == 6
