"""Sizes of a controller: what is accepted, and accumulators that cannot overflow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.hw.banks import BANKS
from ohmloom.hw.geometry import (
    MOST_SHIFT,
    OPTIONAL_OPERANDS,
    Feature,
    Geometry,
    GeometryError,
    accumulator_bits,
    feature_bit,
)
from ohmloom.hw.isa import LAYOUTS, Op, Reg, decode, encode, instruction

LIMITS = {
    "rows": (8, 248),
    "columns": (8, 248),
    "tiles": (1, 4096),
    "act_width": (4, 16),
    "acc_width": (16, 64),
    "program_depth": (16, 65536),
    "param_depth": (16, 65536),
    "act_depth": (16, 65536),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name):
    for value in LIMITS[name]:
        assert getattr(Geometry(**{name: value}), name) == value
    low, high = LIMITS[name]
    for value in (low - 1, high + 1, 0, -8):
        with pytest.raises(ValueError, match=rf"^{name} = {value} is outside {low}\.\.{high}$"):
            Geometry(**{name: value})


@pytest.mark.parametrize("name", ["rows", "columns"])
def test_lines_are_whole_chips(name):
    with pytest.raises(ValueError, match=f"^{name} = 12 is not a multiple of 8"):
        Geometry(**{name: 12})


def test_derived_sizes():
    geometry = Geometry(rows=16, columns=40)
    assert (geometry.pairs, geometry.cells) == (20, 640)


def test_post_processing_sizes():
    geometry = Geometry(act_width=9, param_depth=200)
    assert (geometry.act_max, geometry.tables) == (255, 3)


@pytest.mark.parametrize(
    ("name", "op", "bit"),
    [("lut", Op.LUT, 0), ("pool", Op.POOL, 1), ("residual", Op.ADD, 2), ("argmax", Op.ARGMAX, 3)],
)
def test_what_is_left_out_is_said(name, op, bit):
    whole, lacking = Geometry(), Geometry(**{name: False})
    assert whole.has(op) and not lacking.has(op)
    assert whole.features - lacking.features == 1 << bit
    assert whole.features & 1 << bit
    assert all(lacking.has(other) for other in Op if other is not op)


def test_the_current_source_is_said_above_the_instructions():
    whole, lacking = Geometry(), Geometry(power=False)
    assert whole.features - lacking.features == 1 << feature_bit(Feature.SOURCE)
    assert whole.has_source and not lacking.has_source
    assert not Geometry(pulse=False).has_source
    assert all(lacking.has(op) for op in Op)


def test_a_compact_controller_has_no_loops():
    assert Geometry().has(Op.LOOP) and "loop" not in Geometry().left_out
    for lacking in (Geometry(loop=False), Geometry(compact=True)):
        assert not (lacking.has(Op.LOOP) or lacking.has(Op.END)) and "loop" in lacking.left_out


def test_bit_slices_are_said_above_all_else():
    whole, lacking = Geometry(), Geometry(slices=False)
    assert whole.features - lacking.features == 1 << feature_bit(Feature.SLICES)
    assert whole.takes("shift") and whole.most_shift == MOST_SHIFT
    assert "slices" not in whole.left_out
    for each in (lacking, Geometry(compact=True)):
        assert not each.takes("shift") and each.most_shift == 0 and "slices" in each.left_out
        assert not each.features >> feature_bit(Feature.SLICES)


def test_single_columns_are_asked_for_and_make_an_accumulator_of_each():
    plain, single = Geometry(columns=40), Geometry(columns=40, single=True)
    assert (plain.accumulators, single.accumulators, single.pairs) == (20, 40, 20)
    assert single.features - plain.features == 1 << feature_bit(Feature.SINGLE)
    assert [reg for reg in Reg if single.knows(reg) != plain.knows(reg)] == [Reg.SCHEME]
    assert single.knows(Reg.SCHEME) and "single" not in plain.left_out + single.left_out
    compact = replace(single, compact=True)
    assert not compact.has_single and not compact.knows(Reg.SCHEME)
    assert compact.accumulators == compact.pairs
    assert compact.features == replace(compact, single=False).features


def test_every_accumulator_can_be_requantised():
    widest = Geometry(columns=LIMITS["columns"][1], single=True)
    fields = {"out": 0, "param": 0, "count": widest.accumulators}
    assert decode(encode(instruction(Op.REQUANT, **fields)))["count"] == widest.columns


def test_bank_registers_are_those_of_banks():
    plain, banked = Geometry(), Geometry(banks=True)
    assert {reg for reg in Reg if banked.knows(reg) and not plain.knows(reg)} == BANKS


def test_every_optional_operand_has_its_flag():
    optional = {field.name for layout in LAYOUTS.values() for field in layout if field.optional}
    assert optional == set(OPTIONAL_OPERANDS)
    for name, flag in OPTIONAL_OPERANDS.items():
        assert Geometry().takes(name) and not Geometry(**{flag: False}).takes(name)
        assert all(
            Geometry(**{flag: False}).takes(n) for n, f in OPTIONAL_OPERANDS.items() if f != flag
        )
    assert Geometry(compact=True).takes("tile")


def test_a_passive_array_is_said_and_has_no_transistors():
    whole, passive = Geometry(), Geometry(passive=True)
    assert (passive.features ^ whole.features) >> feature_bit(Feature.PASSIVE) == 1
    assert passive.features >> feature_bit(Feature.PASSIVE) & 1
    lacking = {op for op in Op if whole.has(op) and not passive.has(op)}
    assert lacking == {Op.SWEEP, Op.MODE, Op.PROGRAM}
    assert not passive.has_source and "passive" not in whole.left_out


def test_an_instruction_reaches_the_whole_of_the_largest_geometry():
    largest = Geometry(**{name: high for name, (_, high) in LIMITS.items()})
    instruction(
        Op.MVM, tile=largest.tiles - 1, act=largest.act_depth - 1, first=largest.rows - 1,
        rows=largest.rows, planes=largest.act_width, signed=1, clear=1, shift=largest.most_shift,
    )  # fmt: skip
    instruction(
        Op.REQUANT,
        out=largest.act_depth - 1,
        param=largest.param_depth - 1,
        count=largest.pairs,
    )
    instruction(Op.LUT, act=0, out=largest.act_depth - 1, table=largest.tables - 1, count=1)
    instruction(Op.READ, tile=largest.tiles - 1, cell=largest.cells - 1, count=largest.cells)
    assert {field.name for field in LAYOUTS[Op.MVM]} >= {"tile", "rows"}


@given(st.integers(2, 16), st.integers(1, 31), st.integers(1, 5000))
def test_the_largest_sum_fits_and_has_no_bit_to_spare(adc_bits, planes, conversions):
    low, high = -(1 << adc_bits - 1), (1 << adc_bits - 1) - 1
    bits = accumulator_bits(adc_bits, planes, conversions)
    weights = (1 << planes) - 1
    extreme = conversions * weights * (high - low)
    assert extreme < 1 << bits - 1
    # One bit less would not do for any number of conversions of this length.
    most = 1 << (conversions - 1).bit_length()
    assert most * weights * (high - low) >= 1 << bits - 3


@given(st.integers(1, 31), st.integers(1, 5000))
def test_the_largest_signed_sum_fits(planes, conversions):
    # All planes at one rail, the top one, which is subtracted, at the other.
    weights = (1 << planes) - 1
    extreme = conversions * weights * 65535
    assert extreme < 1 << accumulator_bits(16, planes, conversions) - 1


@given(st.integers(1, 16), st.lists(st.integers(0, MOST_SHIFT), min_size=1, max_size=40))
def test_the_largest_sum_of_slices_fits(planes, shifts):
    extreme = sum(((1 << planes) - 1) * 65535 << shift for shift in shifts)
    assert extreme < 1 << accumulator_bits(16, planes + max(shifts), len(shifts)) - 1


@pytest.mark.parametrize(
    ("arguments", "bits"), [((16, 8, 1), 25), ((16, 8, 2), 26), ((16, 9, 3), 28), ((2, 1, 1), 4)]
)
def test_known_widths(arguments, bits):
    assert accumulator_bits(*arguments) == bits


@pytest.mark.parametrize("step", [2, 4, 8])
def test_the_front_end_says_in_what_steps_lines_come(step):
    geometry = Geometry(rows=step, columns=3 * step, step=step)
    assert (geometry.rows, geometry.pairs) == (step, 3 * step // 2)
    assert Geometry(rows=255 // step * step, columns=step, step=step).rows % step == 0
    for rows in (0, step - 1, 256):
        with pytest.raises(GeometryError, match=f"^rows = {rows} is outside {step}"):
            Geometry(rows=rows, step=step)
    with pytest.raises(GeometryError, match=f"columns = {step + 1} is not a multiple of {step},"):
        Geometry(columns=step + 1, step=step)


@pytest.mark.parametrize("step", [0, 1, 3, 16])
def test_only_whole_fractions_of_eight_are_steps(step):
    with pytest.raises(GeometryError, match=f"step = {step} is none of 2, 4, 8"):
        Geometry(step=step)


def test_a_front_end_refuses_another_s_steps():
    Geometry(rows=8, columns=8).require_step(2, "a small front end")
    with pytest.raises(GeometryError, match="steps of 4 are not for a card, whose chips have 8"):
        Geometry(rows=8, columns=8, step=4).require_step(8, "a card")


def test_write_verify_can_be_left_out_and_the_names_of_what_is():
    lacking = Geometry(verify=False, pool=False)
    assert not lacking.has(Op.PROGRAM) and not lacking.has(Op.READ)
    assert {"verify", "pool"} == set(lacking.left_out) - set(Geometry().left_out)
    both = Geometry().features - Geometry(verify=False).features
    assert both.bit_count() == 2
