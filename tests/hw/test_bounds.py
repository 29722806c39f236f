"""The bounds that engines and gateware share."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.hw.bounds import BOUNDS, operand_bits
from ohmloom.hw.geometry import MOST_SHIFT, Geometry
from ohmloom.hw.isa import LAYOUTS, Op, instruction

SHIFT = next(bound for bound in BOUNDS[Op.MVM] if bound.name == "shift")
MVM = {"tile": 0, "act": 0, "first": 0, "rows": 1, "planes": 1, "signed": 0, "clear": 1}


@pytest.mark.parametrize("op", BOUNDS)
def test_bounds_are_those_of_operands_and_name_one(op):
    names = {field.name for field in LAYOUTS[op]}
    for bound in BOUNDS[op]:
        assert set(bound.operands) <= names and bound.name in bound.operands
        assert hasattr(Geometry(), bound.limit)


@given(st.integers(0, 31))
def test_a_shift_has_its_bound_and_none_is_taken_without_slices(shift):
    mvm = instruction(Op.MVM, **MVM, shift=shift)
    assert SHIFT.holds(mvm, Geometry()) == (shift <= MOST_SHIFT)
    for lacking in (Geometry(slices=False), Geometry(compact=True)):
        assert SHIFT.holds(mvm, lacking) == (shift == 0)


def test_no_weight_is_more_than_the_accumulators_shift_takes():
    """The top plane of the widest activation, shifted as far as it goes, is 2^31."""
    widest = Geometry(act_width=16)
    planes = next(p for p in range(31, 0, -1) if _taken(widest, planes=p, shift=MOST_SHIFT))
    assert planes - 1 + MOST_SHIFT == 31


def _taken(geometry: Geometry, **changes: int) -> bool:
    mvm = instruction(Op.MVM, **{**MVM, **changes})
    return all(bound.holds(mvm, geometry) for bound in BOUNDS[Op.MVM])


def test_a_controller_without_slices_looks_at_no_bit_of_a_shift():
    assert operand_bits(Op.MVM, "shift", Geometry()) == MOST_SHIFT.bit_length()
    assert operand_bits(Op.MVM, "shift", replace(Geometry(), slices=False)) == 0
