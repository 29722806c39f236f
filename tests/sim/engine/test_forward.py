"""Copies that are passed by, and what stays of rounds."""

from __future__ import annotations

import numpy as np

from ohmloom.hw.isa import Instruction
from ohmloom.sim.engine import forward
from ohmloom.sim.engine.forward import forwarded
from ohmloom.sim.engine.nest import MEMORY, Flow, flow_of, nest_at
from ohmloom.sim.engine.staying import Plan

from .conftest import (
    GEOMETRY,
    PARAMS,
    RESULT,
    SCRATCH,
    SOURCE,
    convolution,
    loop,
    mvm,
    outcome,
    pool,
    requant,
)


def flow(code: list[Instruction]) -> Flow:
    nest = nest_at(code, 0)
    assert nest is not None
    found = flow_of(nest, 0, 0, GEOMETRY, np.array(PARAMS, np.uint64))
    assert found is not None
    return found


def test_a_product_reads_what_its_patch_is_a_copy_of() -> None:
    found = forwarded(flow(convolution(3, 3)))
    copy, product, scaled = found.steps
    assert (copy.late, product.late, scaled.late) == (True, False, False)
    assert found.width == 2 and scaled.column == 0
    assert (product.sources == MEMORY).all()
    assert product.read(slice(4, 5)).tolist() == [[[SOURCE + 5 + k for k in (0, 1, 4, 5)]]]


def test_a_copy_that_others_read_is_made() -> None:
    """And one that a product reads in part, beside other words."""
    chain = pool(SCRATCH, RESULT, 2, move_out=1)
    for body in (
        [pool(SOURCE, SCRATCH, move_act=1), mvm(SCRATCH), requant(60), chain],
        [pool(SOURCE, SCRATCH, move_act=1), mvm(SCRATCH, 5), requant(60, move_out=1)],
    ):
        found = forwarded(flow(loop(6, 1, 2, *body)))
        assert not any(step.late for step in found.steps)
        assert found.width == sum(step.writes.size for step in found.steps)


def test_of_copies_those_of_the_last_round_stay() -> None:
    plan = Plan(forwarded(flow(convolution(3, 3))))
    found = plan.staying(slice(2, 6))
    assert plan.staying(slice(2, 6)) is found
    act = np.arange(80)[np.newaxis]
    after, made = act.copy(), 1000 + np.arange(8)[np.newaxis]
    found.write(after, made)
    patch = [SOURCE + 4 + 2 + k for k in (0, 1, 4, 5)]  # of round 5: second row, last column
    assert after[0, SCRATCH : SCRATCH + 4].tolist() == patch
    assert after[0, RESULT + 4 : RESULT + 12].tolist() == made[0].tolist()
    rest = np.ones(80, bool)
    rest[SCRATCH : SCRATCH + 4] = rest[RESULT + 4 : RESULT + 12] = False
    assert np.array_equal(after[0, rest], act[0, rest])


def test_a_wrong_forward_would_be_seen(monkeypatch) -> None:
    right = outcome(convolution(4, 4), by_round=True)
    assert outcome(convolution(4, 4), by_round=False) == right
    past = forward._past

    def wrong(step, *given):
        found = past(step, *given)
        return found if found is step else forward.replace(found, reads=found.reads[:, ::-1])

    monkeypatch.setattr(forward, "_past", wrong)
    assert outcome(convolution(4, 4), by_round=False) != right
