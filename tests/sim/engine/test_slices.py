"""Weights in bit slices on the numpy engine: two tiles of few levels are one of many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import Dac, Instruction, Op, Reg, instruction, pack_requant
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load
from ohmloom.sim.engine import EngineError, NumpyEngine

ROWS, COLUMNS, PAIRS = 8, 8, 4
OUT = 16
PER_LEVEL = 8
"""ADC codes of one level: exact, so that the sum of a product is."""
GEOMETRY = Geometry(rows=ROWS, columns=COLUMNS, tiles=2, program_depth=64, param_depth=16)


def slices(bits: int, planes: int, signed: int, **second: int) -> list[Instruction]:
    """The low slice of tile 0 and the high one of tile 1 with the same activations."""
    mvm = {"act": 0, "first": 0, "rows": ROWS, "planes": planes, "signed": signed}
    return [
        instruction(Op.MVM, tile=0, clear=1, **mvm),
        instruction(Op.MVM, tile=1, clear=0, **mvm, **{"shift": bits, **second}),
    ]


def engine(bits: int, mvms: list[Instruction], geometry: Geometry = GEOMETRY) -> NumpyEngine:
    """On exact levels, ``2**bits`` a cell; its results are accumulators / PER_LEVEL."""
    device = load(f"ideal:{1 << bits}")
    plain = Converters()
    volts = plain.dac_volts(plain.read_code(device.v_read))
    step = float(device.level_codes[1] - device.level_codes[0])
    ohms = PER_LEVEL * plain.adc_lsb / (step * device.g_lsb * volts)
    card = replace(plain, tia_ohms=(ohms,))
    code = [
        instruction(Op.DAC, channel=Dac.RAIL_A, code=card.read_code(device.v_read)),
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=-32768),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=32767),
        *mvms,
        instruction(Op.REQUANT, out=OUT, param=0, count=PAIRS),
        instruction(Op.HALT),
    ]
    image = Image(
        geometry=geometry,
        code=tuple(code),
        entries={"infer": 0},
        params=np.array([pack_requant(0, 1 << 23, 23 + 3)] * PAIRS, np.uint64),
        tiles=2,
        input=Span(0, ROWS),
        layers=(LayerSpan("product", Span(OUT, PAIRS)),),
    )
    return NumpyEngine(image, SimulatedArray(device, 2, ROWS, COLUMNS, 1), card, 12_000_000, 1)


def place(made: NumpyEngine, weights: np.ndarray, bits: int) -> None:
    """Put signed weights, shape (rows, pairs), into the two tiles of pairs."""
    for tile in range(2):
        level = np.abs(weights) >> bits * tile & (1 << bits) - 1
        plus, minus = np.where(weights > 0, level, 0), np.where(weights < 0, level, 0)
        levels = np.stack([plus, minus], axis=-1).reshape(ROWS, COLUMNS)
        made.array.set_codes(tile, made.array.device.level_codes[levels])


@settings(max_examples=40, deadline=None)
@given(
    bits=st.integers(1, 3),
    planes=st.integers(1, 5),
    signed=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_two_slices_are_one_exact_product(bits, planes, signed, seed):
    rng = np.random.default_rng(seed)
    most = (1 << 2 * bits) - 1
    weights = rng.integers(-most, most + 1, (ROWS, PAIRS))
    low = -(1 << planes - 1) if signed else 0
    x = rng.integers(low, low + (1 << planes), (3, ROWS))
    made = engine(bits, slices(bits, planes, int(signed)))
    place(made, weights, bits)
    assert np.array_equal(made.infer(x).layers["product"], x @ weights)


def test_a_shift_that_is_ignored_is_found():
    weights = np.arange(-16, 16).reshape(ROWS, PAIRS)
    x = np.arange(ROWS)[np.newaxis]
    found = {}
    for shift in (3, 0):
        made = engine(3, slices(3, 4, 0, shift=shift))
        place(made, weights, 3)
        found[shift] = made.infer(x).layers["product"]
    assert np.array_equal(found[3], x @ weights)
    assert not np.array_equal(found[0], x @ weights)


@pytest.mark.parametrize("lacking", [{"slices": False}, {"compact": True}])
def test_a_controller_without_slices_takes_no_shift(lacking):
    geometry = replace(GEOMETRY, **lacking)
    with pytest.raises(EngineError, match="shift=2, and this controller has no bit slices"):
        engine(2, slices(2, 4, 0), geometry).infer(np.ones((1, ROWS), int))
    made = engine(2, slices(2, 4, 0, shift=0), geometry)
    assert made.infer(np.ones((1, ROWS), int)).layers["product"].shape == (1, PAIRS)
