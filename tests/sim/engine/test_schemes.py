"""Single columns less a reference column, against the documented arithmetic in Python integers."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.isa import Instruction, Op, Reg, Scheme, conversion_index, instruction
from ohmloom.sim.engine import product
from ohmloom.sim.numerics import Domain, draw_normal

from .conftest import ARRAY, CARD, GEOMETRY, RESULT, SOURCE, array, loop, mvm, outcome, requant

SINGLE = replace(GEOMETRY, single=True, acc_width=40)
COLUMNS, ROWS = SINGLE.columns, SINGLE.rows
ACT = np.random.default_rng(6).integers(-16, 16, (3, SINGLE.act_depth))


def scheme(value: int) -> Instruction:
    return instruction(Op.SET, reg=Reg.SCHEME, value=value)


def by_the_document(code: list[Instruction], act: list[int], epoch: int, noise: bool, cells=ARRAY):
    """Accumulators that ``MVM``s leave, and how many codes were at a rail."""
    gain = CARD.gain(cells.device.g_lsb, cells.device.v_read, 0)
    acc, chosen, railed = [0] * COLUMNS, 0, 0
    for address, instr in enumerate(code):
        if instr.op is Op.SET:
            chosen = instr["value"]
            continue
        if instr["clear"]:
            acc = [0] * COLUMNS
        tile, first = instr["tile"], instr["first"]
        for plane in range(instr["planes"]):
            driven = [
                row
                for row in range(first, first + instr["rows"])
                if act[instr["act"] + row] >> plane & 1
            ]
            codes = []
            for column in range(COLUMNS):
                total = sum(int(cells.g_code[tile, row, column]) for row in driven)
                variance = sum(int(cells.var_code[tile, row, column]) for row in driven)
                index = conversion_index(address, plane)
                z = int(draw_normal(5, Domain.INFERENCE, tile * COLUMNS + column, epoch, index))
                scale = 12 + cells.device.var_exponent
                extra = (z * noise * math.isqrt(variance) * gain.mantissa) >> scale
                made = round(Fraction(total * gain.mantissa + extra, 1 << gain.shift))
                codes.append(min(max(made, -32768), 32767))
            railed += sum(each in (-32768, 32767) for each in codes)
            weight = 1 << plane + instr["shift"]
            if instr["signed"] and plane == instr["planes"] - 1:
                weight = -weight
            for k in range(COLUMNS // 2 if chosen == 0 else COLUMNS - 1):
                if chosen == 0:
                    acc[k] += (codes[2 * k] - codes[2 * k + 1]) * weight
                elif chosen == 1:
                    acc[k] += (codes[k + 1] - codes[0]) * weight
                else:
                    acc[k] -= (codes[k + 1] - codes[0]) * weight
    return acc, railed


mvms = st.builds(
    lambda rows, first, **fields: mvm(SOURCE, min(rows, ROWS - first), first=first, **fields),
    st.integers(1, ROWS), st.integers(0, ROWS - 1), tile=st.integers(0, 1),
    clear=st.sampled_from([0, 0, 0, 1]), signed=st.integers(0, 1), planes=st.integers(1, 5),
    shift=st.integers(0, 9),
)  # fmt: skip
codes = st.lists(st.one_of(mvms, st.builds(scheme, st.sampled_from(Scheme))), max_size=6)


@settings(max_examples=40, deadline=None)
@given(codes, st.booleans())
def test_every_accumulator_is_that_of_the_document(code, noise):
    code = [mvm(SOURCE, clear=1), *code]
    found = outcome(code, by_round=False, act=ACT, geometry=SINGLE, read_noise=noise)
    assert found.refusal == ""
    railed = 0
    for sample, act in enumerate(ACT.tolist()):
        acc, more = by_the_document(code, act, 7 + sample, noise)
        assert found.acc[sample].tolist() == acc
        railed += more
    made = sum(each["planes"] for each in code if each.op is Op.MVM)
    assert found.counted == (railed, 3 * made * COLUMNS)


def test_one_flipped_code_and_one_wrong_scheme_are_seen():
    code = [scheme(Scheme.SINGLE), mvm(SOURCE, 8)]
    acc, _ = by_the_document(code, ACT[0].tolist(), 7, True)
    other = array()
    row = int(np.flatnonzero(ACT[0, SOURCE : SOURCE + 8])[0])
    other.set_codes((0, row, 5), other.g_code[0, row, 5] ^ 64)
    found = outcome(code, by_round=False, act=ACT, geometry=SINGLE, cells=other).acc[0]
    assert np.flatnonzero(found != acc).tolist() == [4]
    code[0] = scheme(Scheme.SUBTRACTED)
    wrong = outcome(code, by_round=False, act=ACT, geometry=SINGLE).acc[0]
    assert (wrong == -np.array(acc)).all() and wrong.any()


def test_a_slice_of_the_sign_gives_twos_complement():
    """Weights of four bits, each bit in a row of its own that the same input drives."""
    weights = np.random.default_rng(2).integers(-8, 8, COLUMNS - 1)
    cells = array("ideal")
    low = 500
    cells.set_codes(..., var_code=0)
    cells.set_codes(np.s_[0, :4, 0], low)
    cells.set_codes(np.s_[0, :4, 1:], low + 1000 * (weights >> np.arange(4)[:, np.newaxis] & 1))
    code = [scheme(Scheme.SINGLE)]
    for bit in range(4):
        if bit == 3:
            code.append(scheme(Scheme.SUBTRACTED))
        code.append(mvm(SOURCE, 1, clear=int(bit == 0), first=bit, shift=bit))
    act = np.tile(np.array([[-16], [-3], [11]]), SINGLE.act_depth)
    found = outcome(code, by_round=False, act=act, geometry=SINGLE, cells=cells).acc
    gain = float(CARD.gain(cells.device.g_lsb, cells.device.v_read, 0))
    one = round((low + 1000) * gain) - round(low * gain)
    assert (found[:, :-1] == act[:, :1] * weights * one).all() and one > 50


@pytest.mark.parametrize("value", Scheme)
def test_the_last_accumulator_is_only_cleared(value):
    assert (
        outcome([scheme(value), mvm(SOURCE, clear=0)], by_round=False, geometry=SINGLE)
        .acc[:, -1]
        .any()
    )
    cleared = outcome([scheme(value), mvm(SOURCE)], by_round=False, geometry=SINGLE).acc
    assert not cleared[:, -1].any() and cleared.any()


def test_every_column_is_requantised():
    code = [scheme(Scheme.SINGLE), mvm(SOURCE, 8), requant(RESULT, COLUMNS - 1)]
    made = outcome(code, by_round=False, act=ACT, geometry=SINGLE)
    assert made.refusal == "" and (made.act[:, RESULT + 4 : RESULT + COLUMNS - 1] != 0).any()
    code = [mvm(SOURCE, 8), requant(RESULT, GEOMETRY.pairs + 1)]
    assert "has its count outside" in outcome(code, by_round=False).refusal


@pytest.mark.parametrize("value", [-1, 3, 4, 1 << 30])
def test_a_scheme_that_there_is_not_is_refused(value):
    found = outcome([scheme(value), mvm(SOURCE)], by_round=False, geometry=SINGLE)
    assert f"SCHEME = {value}, accepted is 0..2" in found.refusal


@pytest.mark.parametrize("geometry", [GEOMETRY, replace(SINGLE, compact=True)])
@pytest.mark.parametrize("value", [0, 1])
def test_a_controller_without_single_columns_has_no_such_register(geometry, value):
    found = outcome([scheme(value), mvm(SOURCE)], by_round=False, geometry=geometry)
    assert "has no single columns" in found.refusal


@pytest.mark.parametrize("value", Scheme)
def test_blocks_change_nothing(monkeypatch, value):
    code = [scheme(value), mvm(SOURCE, 8)]
    whole = outcome(code, by_round=False, geometry=SINGLE, samples=9)
    monkeypatch.setattr(product, "_BYTES", 64)
    assert outcome(code, by_round=False, geometry=SINGLE, samples=9) == whole


def test_a_scheme_that_a_loop_breaks_is_refused_in_its_round():
    code = loop(6, 1, 0, mvm(SOURCE, move_act=1), requant(RESULT, 2), scheme(7))
    together, alone = (outcome(code, by_round=by, geometry=SINGLE) for by in (False, True))
    assert together == alone and "SCHEME = 7" in together.refusal
