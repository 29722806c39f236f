"""The calibrator: exact values, exact latency, and the table's memory."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.calibration import Calibrator
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import IsaError
from ohmloom.hw.tables import (
    CALIBRATION_CYCLES,
    IDENTITY,
    pack_entry,
    table_columns,
    table_depth,
    unpack_entry,
)
from ohmloom.sim.converters import calibrate

GEOMETRY = Geometry(rows=8, columns=8, calibration=True)
LOW, HIGH = -(1 << 15), (1 << 15) - 1
CODES = st.one_of(st.integers(LOW, HIGH), st.sampled_from([LOW, LOW + 1, -1, 0, 1, HIGH - 1, HIGH]))
GAINS = st.one_of(st.integers(0, 65535), st.sampled_from([0, 1 << 15, 1 << 14, 65535]))
OFFSETS = st.one_of(st.integers(LOW, HIGH), st.sampled_from([LOW, 0, HIGH]))


def mended(code: int, gain: int, offset: int) -> int:
    """The formula, in fractions."""
    if code in (LOW, HIGH):
        return code
    return min(max(round(Fraction(code * gain, 1 << 15)) + offset, LOW), HIGH)


@pytest.fixture(scope="module")
def run(simulate):
    """``run(table, [(range, bypass, codes)])`` -> codes out; latencies are checked here."""

    def go(table, conversions, dut=None):
        dut = dut or Calibrator(GEOMETRY)
        found = []

        async def bench(ctx):
            for address, word in table.items():
                ctx.set(dut.address, address)
                ctx.set(dut.word, word)
                ctx.set(dut.write, 1)
                await ctx.tick()
            ctx.set(dut.write, 0)
            ctx.set(dut.i_idle, 1)
            await ctx.tick().repeat(CALIBRATION_CYCLES)
            assert ctx.get(dut.o_idle)
            for tia_range, bypass, codes in conversions:
                ctx.set(dut.range, tia_range)
                ctx.set(dut.bypass, bypass)
                ctx.set(dut.convert, 1)
                await ctx.tick()
                ctx.set(dut.convert, 0)
                # What moves after the strobe is not of this conversion.
                ctx.set(dut.range, 7 - tia_range)
                ctx.set(dut.bypass, 1 - bypass)
                ctx.set(dut.i_idle, 0)
                assert not ctx.get(dut.o_idle)
                out = {}
                for n in range(len(codes) + CALIBRATION_CYCLES + 2):
                    sent = n < len(codes)
                    ctx.set(dut.i.valid, sent)
                    ctx.set(dut.i.payload["column"], 7 - n if sent else 3)
                    ctx.set(dut.i.payload["code"], codes[n] & 0xFFFF if sent else 0x1234)
                    ctx.set(dut.i_idle, n >= len(codes))
                    if ctx.get(dut.o.valid):
                        code = ctx.get(dut.o.payload["code"])
                        column = ctx.get(dut.o.payload["column"])
                        assert column == 7 - (n - CALIBRATION_CYCLES)
                        out[column] = code - (code >> 15 << 16)
                    # It rises as many cycles later as the samples come.
                    assert ctx.get(dut.o_idle) == (n >= len(codes) + CALIBRATION_CYCLES)
                    await ctx.tick()
                assert sorted(out) == sorted(range(8 - len(codes), 8))
                found.append([out[7 - n] for n in range(len(codes))])

        simulate(dut, bench)
        return found

    return go


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_codes_are_those_of_the_formula(run, data):
    entries = {
        (tia_range, column): (data.draw(GAINS), data.draw(OFFSETS))
        for tia_range in range(8)
        for column in range(8)
    }
    table = {8 * r + c: pack_entry(*entry) for (r, c), entry in entries.items()}
    conversions = [
        (data.draw(st.integers(0, 7)), data.draw(st.integers(0, 1)), data.draw(
            st.lists(CODES, min_size=8, max_size=8)))
        for _ in range(4)
    ]  # fmt: skip
    found = run(table, conversions)
    for (tia_range, bypass, codes), got in zip(conversions, found, strict=True):
        wanted = [
            code if bypass else mended(code, *entries[tia_range, 7 - n])
            for n, code in enumerate(codes)
        ]
        assert got == wanted


@settings(max_examples=300, deadline=None)
@given(code=CODES, gain=GAINS, offset=OFFSETS)
def test_the_numpy_engine_mends_the_same(code, gain, offset):
    assert int(calibrate(code, gain, offset)) == mended(code, gain, offset)


def test_ties_go_to_even_and_rails_stay(run):
    half = pack_entry(1 << 14, 0)
    codes = [1, 3, -1, -3, HIGH, LOW, HIGH - 1, 5]
    (found,) = run({column: half for column in range(8)}, [(0, 0, codes)])
    assert found == [0, 2, 0, -2, HIGH, LOW, 16383, 2]


def test_an_empty_table_changes_nothing(run):
    codes = [LOW, -32767, -1, 0, 1, 2, 32766, HIGH]
    assert run({}, [(tia_range, 0, codes) for tia_range in range(8)]) == [codes] * 8


def test_the_comparison_finds_another_rounding(run):
    """A planted fault: an entry that is one off in its last place."""
    wrong = {0: pack_entry((1 << 15) + 1, 0)}
    (found,) = run(wrong, [(0, 0, [0, 0, 0, 0, 0, 0, 0, 20000])])
    assert found[-1] == 20001 and mended(20000, 1 << 15, 0) == 20000


def test_the_table_can_be_read_back(simulate):
    dut = Calibrator(GEOMETRY)

    async def bench(ctx):
        ctx.set(dut.reading, 1)
        for address in range(table_depth(GEOMETRY)):
            ctx.set(dut.address, address)
            await ctx.tick()
            assert ctx.get(dut.entry) == IDENTITY
        ctx.set(dut.address, 9)
        ctx.set(dut.word, 0xDEADBEEF)
        ctx.set(dut.write, 1)
        await ctx.tick()
        ctx.set(dut.write, 0)
        await ctx.tick()
        assert ctx.get(dut.entry) == 0xDEADBEEF

    simulate(dut, bench)


def test_columns_are_rounded_up_to_a_power_of_two():
    odd = Geometry(rows=8, columns=24, calibration=True)
    assert table_columns(odd.columns) == 32 and table_depth(odd) == 256
    assert table_columns(GEOMETRY.columns) == 8 and table_depth(GEOMETRY) == 64


@pytest.mark.parametrize(("gain", "offset"), [(65536, 0), (-1, 0), (0, 1 << 15)])
def test_words_that_do_not_fit_are_refused(gain, offset):
    with pytest.raises(IsaError, match="calibration"):
        pack_entry(gain, offset)
    assert unpack_entry(pack_entry(40000, -5)) == (40000, -5)
