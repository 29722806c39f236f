"""Products against the documented arithmetic in Python integers, in every way they are made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.errors import OhmloomError
from ohmloom.hw.isa import Instruction, Scheme
from ohmloom.sim.array import Lines, MeteredArray, Operands, SimulatedArray
from ohmloom.sim.converters import ADC_MAX, Channels, Converters, Readout, codes
from ohmloom.sim.engine import fused, product
from ohmloom.sim.engine.drives import Drives
from ohmloom.sim.engine.product import Product
from ohmloom.sim.numerics import Domain, draw_normal

from .conftest import ARRAY, CARD, SOURCE, array, mvm

COLUMNS, SEED = ARRAY.columns, 5
LANES = 6
EPOCHS, INDEX = np.arange(LANES) + 7, np.arange(LANES) * 3 + 40


def made(
    instr: Instruction,
    scheme: Scheme = Scheme.DIFFERENTIAL,
    cells: SimulatedArray = ARRAY,
    *,
    card: Converters = CARD,
    noise: bool = True,
    channels: Channels | None = None,
    tia_range: int = 0,
) -> Product:
    gain = card.gain(cells.device.g_lsb, cells.device.v_read, tia_range)
    readout = Readout(card, channels)
    seed = SEED if noise else None
    return Product(instr, scheme, cells, readout, gain, tia_range, seed)


@contextmanager
def compiled(loops: bool) -> Iterator[None]:
    """Products in compiled loops, however few, or without."""
    with pytest.MonkeyPatch.context() as patch:
        if loops:
            patch.setattr("ohmloom.sim.compiled.FROM", 0)
        else:
            patch.setattr(fused, "compiled", lambda *_: None)
        yield


def by_the_document(wanted: Product, x: np.ndarray) -> tuple[list[list[int]], int]:
    """Sums of every lane, and the codes at a rail."""
    card, cells, instr = wanted.readout.converters, wanted.array, wanted.instr
    bits, joined = card.input_bits, card.sensing == "differential"
    tile, first, planes = instr["tile"], instr["first"], instr["planes"]
    exponent = cells.device.var_exponent
    step = 1 << 16 - card.adc_bits
    half = 1 << card.adc_bits - 1
    sums, railed = [], 0
    for lane, values in enumerate(x.tolist()):
        acc = [0] * COLUMNS
        for plane in range(0, planes, bits):
            width = min(bits, planes - plane)
            top = bool(instr["signed"]) and plane + bits >= planes
            drives = [value >> plane & (1 << width) - 1 for value in values]
            sense = -1 if wanted.scheme == Scheme.SUBTRACTED else 1
            share = 0
            if bits > 1:
                share = bits - top
                if top:
                    drives = [d - (1 << width) * (d >> width - 1) for d in drives]
            elif top:
                sense = -sense

            def code(
                g: list[int], v: list[int], column: int, drives=drives, share=share, plane=plane,
                lane=lane,
            ) -> int:  # fmt: skip
                nonlocal railed
                total = sum(d * c for d, c in zip(drives, g, strict=True))
                sigma = math.isqrt(sum(d * d * c for d, c in zip(drives, v, strict=True)))
                name = tile * COLUMNS + column, EPOCHS[lane], INDEX[lane] + plane
                z = int(draw_normal(SEED, Domain.INFERENCE, *name)) if wanted.seed else 0
                mantissa, shift = wanted.gain.mantissa, wanted.gain.shift + share
                noise = (z * sigma * mantissa) >> (12 + exponent)
                found = round(Fraction(total * mantissa + noise, step << shift))
                railed += not -half < found < half - 1
                found = min(max(found, -half), half - 1)
                return ADC_MAX if found == half - 1 else found * step

            rows = slice(first, first + instr["rows"])
            g = cells.g_code[tile, rows].T.tolist()
            v = cells.var_code[tile, rows].T.tolist()
            weight = sense << plane + instr["shift"] + share
            if wanted.scheme != Scheme.DIFFERENTIAL:
                codes = [code(g[c], v[c], c) for c in range(COLUMNS)]
                added = [each - codes[0] for each in codes[1:]]
            elif joined:
                added = [
                    code(
                        [a - b for a, b in zip(g[2 * k], g[2 * k + 1], strict=True)],
                        [a + b for a, b in zip(v[2 * k], v[2 * k + 1], strict=True)],
                        2 * k,
                    )
                    for k in range(COLUMNS // 2)
                ]
            else:
                codes = [code(g[c], v[c], c) for c in range(COLUMNS)]
                added = [a - b for a, b in zip(codes[0::2], codes[1::2], strict=True)]
            for k, each in enumerate(added):
                acc[k] += each * weight
        sums.append(acc)
    return sums, railed


products = st.builds(
    lambda rows, first, planes, **fields: mvm(
        SOURCE, min(rows, 8 - first), first=first, planes=planes, **fields
    ),
    st.integers(1, 8), st.integers(0, 7), st.integers(1, 9), tile=st.integers(0, 1),
    signed=st.integers(0, 1), shift=st.integers(0, 9),
)  # fmt: skip
cards = st.builds(
    lambda **fields: replace(CARD, **fields),
    input_bits=st.integers(1, 8), sensing=st.sampled_from(["columns", "differential"]),
    adc_bits=st.sampled_from([8, 12, 16]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    instr=products,
    scheme=st.sampled_from(Scheme),
    card=cards,
    noise=st.booleans(),
    tia_range=st.integers(0, 1),
    seed=st.integers(0, 1 << 16),
)
def test_every_way_gives_what_the_document_says(
    instr: Instruction, scheme: Scheme, card: Converters, noise: bool, tia_range: int, seed: int
) -> None:
    x = np.random.default_rng(seed).integers(-400, 400, (LANES, instr["rows"]))
    x[1] = 0
    for loops in (False, True):
        wanted = made(instr, scheme, card=card, noise=noise, tia_range=tia_range)
        with compiled(loops):
            sums, railed = wanted.sums(Drives.of(x), EPOCHS, INDEX, COLUMNS)
        expected = by_the_document(wanted, x)
        assert (sums.tolist(), railed) == expected
        bound, saturates = wanted.bounds(COLUMNS)
        assert (np.abs(sums) <= bound).all()
        assert saturates.any() or not railed


def test_a_planted_fault_is_seen() -> None:
    x = np.full((LANES, 8), 85)
    for cells, seed in ((array(), SEED), (array(), SEED + 1)):
        wanted = made(mvm(SOURCE, 8, planes=8), cells=cells)
        expected = by_the_document(wanted, x)
        cells.set_codes((0, 2, 1), cells.g_code[0, 2, 1] + (seed == SEED) * 64)
        sums, _ = replace(wanted, seed=seed).sums(Drives.of(x), EPOCHS, INDEX, COLUMNS)
        assert sums.tolist() != expected[0]


@pytest.mark.parametrize("bits", [1, 8])
def test_many_lanes_in_parts_of_any_size(monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    card = replace(CARD, input_bits=bits)
    rng = np.random.default_rng(2)
    x = rng.integers(-128, 128, (3000, 8)) * (rng.random((3000, 1)) < 0.8)
    names = np.arange(3000), np.arange(3000) % 7
    instr = mvm(SOURCE, 8, planes=8, signed=1)
    whole = made(instr, card=card).sums(Drives.of(x), *names, 4)
    for size in (1 << 30, 999, 1):
        monkeypatch.setattr(product, "_BYTES", size)
        few = made(instr, card=card).sums(Drives.of(x[:500]), names[0][:500], names[1][:500], 4)
        assert np.array_equal(few[0], whole[0][:500])
    with compiled(False):
        plain = made(instr, card=card).sums(Drives.of(x), *names, 4)
    assert np.array_equal(plain[0], whole[0]) and plain[1] == whole[1]


def test_sums_that_floats_do_not_hold_are_made_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cells = array()
    cells.set_codes(..., 16383, 65535)
    x = np.full((LANES, 8), 255)
    wanted = made(mvm(SOURCE, 8, planes=8), cells=cells, card=replace(CARD, input_bits=8))
    expected = by_the_document(wanted, x)
    monkeypatch.setattr(codes, "_EXACT", 1 << 40)
    with compiled(True):
        assert wanted.sums(Drives.of(x), EPOCHS, INDEX, COLUMNS)[0].tolist() == expected[0]


def test_sums_that_no_float_holds_are_whole_numbers() -> None:
    codes = np.full((8, 2), 1 << 51)
    lines = Lines(0, 0, 8, range(0, 2, 2), range(1, 2, 2))
    found = Operands.of(lines, codes + 1, codes)
    assert found.total.dtype == found.variance.dtype == np.int64
    assert (np.ones((1, 8), np.int64) @ found.total).tolist() == [[8 * ((1 << 51) + 1)] * 2]
    assert fused.fused(1 << 20, CARD.scales(CARD.gain(1e-9, 0.1, 0), 0), found) is None


def test_channels_with_errors_are_made_without_compiled_loops() -> None:
    x = np.full((LANES, 8), 3)
    channels = Channels.drawn(COLUMNS, 4, scale=5.0)
    wanted = made(mvm(SOURCE, 8), channels=channels)
    with compiled(True):
        first = wanted.sums(Drives.of(x), EPOCHS, INDEX, COLUMNS)[0]
    with compiled(False):
        assert np.array_equal(first, wanted.sums(Drives.of(x), EPOCHS, INDEX, COLUMNS)[0])
    assert not np.array_equal(
        first, made(mvm(SOURCE, 8)).sums(Drives.of(x), EPOCHS, INDEX, COLUMNS)[0]
    )


def test_undriven_rows_leave_the_offsets_of_channels() -> None:
    channels = Channels.drawn(COLUMNS, 4, scale=5.0)
    wanted = made(mvm(SOURCE, 8), channels=channels)
    found, _ = wanted.sums(Drives.of(np.zeros((LANES, 8), int)), EPOCHS, INDEX, 2)
    offset = channels.offset[0]
    each = (offset[[0, 2]] - offset[[1, 3]]) * sum(digit.weight for digit in wanted.digits)
    assert each.any() and found.tolist() == [each.tolist()] * LANES


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_rows_are_driven_as_often_in_every_way(bits: int) -> None:
    """Digits of one bit, with squares of one byte and of two, bipolar ones among them."""
    x = np.random.default_rng(6).integers(-128, 128, (LANES, 8))
    card, found = replace(CARD, input_bits=bits), []
    for loops in (False, True):
        cells = MeteredArray(ARRAY.device, ARRAY.tiles, ARRAY.rows, ARRAY.columns, 3)
        wanted = made(mvm(SOURCE, 8, planes=8, signed=1), cells=cells, card=card)
        with compiled(loops):
            wanted.sums(Drives.of(x), EPOCHS, INDEX, 4)
        found.append(cells.driven.tolist())
    assert found[0] == found[1] and np.sum(found[0]) > 0


def test_codes_that_change_are_seen() -> None:
    cells, x = array(), np.ones((LANES, 8), np.int64)
    wanted = made(mvm(SOURCE, 8), cells=cells, noise=False)
    before = wanted.sums(Drives.of(x), EPOCHS, INDEX, 4)[0]
    cells.set_codes(np.s_[0, 0, 0], 9000)
    changed = wanted.sums(Drives.of(x), EPOCHS, INDEX, 4)[0]
    assert (changed[:, 0] != before[:, 0]).all() and (changed[:, 1:] == before[:, 1:]).all()
    cells.stick([1], [0.0])
    assert (wanted.sums(Drives.of(x), EPOCHS, INDEX, 4)[0][:, 0] != changed[:, 0]).all()
    with pytest.raises(ValueError, match="read-only"):
        cells.g_code[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"input_bits": 0}, "row DAC of 0 bits, 1 to 8"),
        ({"input_bits": 9}, "row DAC of 9 bits"),
        ({"sensing": "pairs"}, "sensing 'pairs', columns and differential"),
    ],
)
def test_other_converters_are_refused(fields: dict, says: str) -> None:
    with pytest.raises(OhmloomError, match=says):
        replace(CARD, **fields)
