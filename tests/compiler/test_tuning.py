"""Images that program to targets: what they hold, what they refuse, and what comes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.tuning import LINE_ADDRESS, TRIES, target_codes, target_image
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import LINE_WORDS, CellStatus, Op, Reg, unpack_result
from ohmloom.hw.line import unpack_line
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import DeviceError, load
from ohmloom.sim.engine import EngineError, NumpyEngine
from ohmloom.sim.engine.tally import tally

CARD = Converters()
CLK_HZ = 48_000_000
GEOMETRY = Geometry(rows=16, columns=16, tiles=4, program_depth=64, param_depth=64, act_depth=64)


def engine(geometry=GEOMETRY, seed=1, image=None, **options):
    device = load("cspbbr3_ogb")
    made, gain = target_image(device, CARD, geometry, CLK_HZ, **options)
    array = SimulatedArray(device, geometry.tiles, geometry.rows, geometry.columns, seed)
    ready = NumpyEngine(image(made) if image else made, array, CARD, CLK_HZ, seed)
    ready.setup()
    return ready, gain


def spread_targets(ready, gain, seed=1):
    """Over the whole window, one each: conductances and codes, shape (tiles, rows, columns)."""
    levels = ready.array.device.levels
    shape = ready.array.g.shape
    wanted = np.linspace(levels[0], levels[-1], ready.array.g.size)
    wanted = np.random.default_rng(seed).permutation(wanted).reshape(shape)
    return wanted, target_codes(wanted, ready.array.device, gain)


def test_cells_come_within_one_percent_of_the_window():
    ready, gain = engine()
    wanted, codes = spread_targets(ready, gain)
    words = ready.program(codes)
    levels = ready.array.device.levels
    tolerance = 0.01 * float(levels[-1] - levels[0])
    found = tally(words, ready.array.g, wanted, tolerance)
    assert found.cells == 1024 and found.inside >= 0.995
    assert found.mean_pairs <= 2.3 and found.most_pairs <= TRIES
    # A gate that is some codes off costs pairs: what the line is worth.
    off, _ = engine(image=lambda image: _shifted(image, 60))
    off_words = off.program(codes)
    worse = tally(off_words, off.array.g, wanted, tolerance)
    assert worse.mean_pairs > 1.3 * found.mean_pairs
    assert worse.statuses[CellStatus.NOT_CONVERGED] > 10


def _shifted(image, codes):
    """The image with every gate code of the line higher by some codes."""
    params = image.params.copy()
    for n in range(LINE_ADDRESS + 2, LINE_ADDRESS + LINE_WORDS):
        params[n] += np.uint64(codes << 8)
    return replace(image, params=params)


def test_a_window_that_is_off_is_found():
    """Reads around another code than the target: done, and beyond the tolerance."""
    ready, gain = engine()
    wanted, codes = spread_targets(ready, gain)
    span = float(ready.array.device.levels[-1] - ready.array.device.levels[0])
    words = ready.program(codes + 20)  # half a percent of the window
    found = tally(words, ready.array.g, wanted, 0.01 * span)
    assert found.inside < 0.9
    assert len(found.deceived) > 50


def test_counts_of_every_tile_are_kept_and_refused_at_the_endurance():
    ready, gain = engine()
    _, codes = spread_targets(ready, gain)
    words = ready.program(codes).reshape(4, -1)
    tries = np.array([[unpack_result(int(word))[1] for word in tile] for tile in words])
    assert (ready.wear == tries).all()
    assert ready.registers[Reg.ENDURANCE] == 5655
    ready.wear[2, 7], ready.wear[2, 8] = 5655, 5654
    again = ready.program_tile(2, codes[2])
    assert unpack_result(int(again[7])) == (0, 0, CellStatus.WORN)
    code, attempts, status = unpack_result(int(again[8]))
    assert attempts == 1 and status in (CellStatus.DONE, CellStatus.WORN)
    assert ready.wear[2, 7] == ready.wear[2, 8] == 5655
    assert (status is CellStatus.WORN) == (abs(code - codes[2].ravel()[8]) > 36)


def test_without_counters_nothing_is_counted():
    geometry = replace(GEOMETRY, wear=False)
    ready, gain = engine(geometry)
    _, codes = spread_targets(ready, gain)
    ready.program_tile(0, codes[0])
    assert not ready.wear.any() and ready.registers[Reg.ENDURANCE] == 0
    ready.registers[Reg.ENDURANCE] = 1
    with pytest.raises(EngineError, match=r"ENDURANCE = 1, accepted is 0\.\.0"):
        ready.program_tile(0, codes[0])


def test_the_image_holds_the_line_and_an_entry_for_each_tile():
    ready, _ = engine()
    image = ready.image
    line = unpack_line(image.params[LINE_ADDRESS : LINE_ADDRESS + LINE_WORDS].tolist())
    assert line.half == 38 and line.low == 0
    for tile in range(4):
        start = image.entries[f"program/{tile}"]
        assert [word.op for word in image.code[start : start + 3]] == [
            Op.RESTORE, Op.PROGRAM, Op.HALT,
        ]  # fmt: skip


@pytest.mark.parametrize("codes", [-(1 << 15) - 1, 1 << 15])
def test_targets_that_are_no_codes_are_refused(codes):
    ready, _ = engine()
    with pytest.raises(EngineError, match="are not all codes of the ADC"):
        ready.program_tile(0, np.full((16, 16), codes))


@pytest.mark.parametrize("g", [0.99e-4, 3.6e-4, float("nan")])
def test_conductances_outside_the_window_are_refused(g):
    ready, gain = engine()
    with pytest.raises(TargetError, match="the window of cspbbr3_ogb is 0.0001"):
        target_codes([2e-4, g], ready.array.device, gain)


@pytest.mark.parametrize(
    ("geometry", "options", "message"),
    [
        ({"line": False}, {}, "takes levels only"),
        ({}, {"conversions": 100}, "100 conversions: accepted are powers of two"),
        ({}, {"half_window": 1e-5}, "is less than a code"),
        ({"param_depth": 18}, {}, "19 words of parameter memory, the target has 18"),
        ({"program_depth": 32}, {}, "words of program memory, the target has 32"),
    ],
)
def test_what_cannot_be_is_refused(geometry, options, message):
    with pytest.raises(TargetError, match=message):
        engine(replace(GEOMETRY, **geometry), **options)


def test_cells_that_pulses_write_have_no_line():
    with pytest.raises(DeviceError, match="all_in_one cells are put on levels by pulses"):
        target_image(load("all_in_one"), CARD, GEOMETRY, CLK_HZ)
