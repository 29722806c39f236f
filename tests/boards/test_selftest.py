"""Self-test and calibration against the numpy engine; the RTL's are in tests/sim/cosim/fast."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ohmloom.boards.reader import Reading, rail_code
from ohmloom.boards.selftest import (
    OPEN_ROW,
    PATH_OHMS,
    TEST_V,
    CalibrationError,
    calibrate,
    card_ohms,
    expected_code,
    failures,
    limit_codes,
    reference_ohms,
    require,
    require_resistors,
    self_test,
)
from ohmloom.hw.afe.tia import RANGES
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, Span
from ohmloom.hw.isa import Dac, Op, Reg, instruction, unpack_reading
from ohmloom.hw.link.protocol import Info
from ohmloom.hw.ranges import AUTO
from ohmloom.hw.tables import IDENTITY, unpack_entry
from ohmloom.sim.converters import Channels, ConverterError, Converters
from ohmloom.sim.cosim.resistors import Resistors
from ohmloom.sim.engine import NumpyEngine

GEOMETRY = Geometry(rows=8, columns=8, tiles=1, calibration=True)
COLUMNS = GEOMETRY.columns


def ohms() -> np.ndarray:
    """The self-test card with its path."""
    return np.array(card_ohms(GEOMETRY.rows, COLUMNS))


def errors() -> tuple[np.ndarray, np.ndarray]:
    """Gain errors and offsets of a card whose parts keep to their tolerances."""
    rng = np.random.default_rng(11)
    tolerance = np.array([[network.tolerance] for network in RANGES])
    shape = (len(RANGES), COLUMNS)
    return tolerance * rng.uniform(-1, 1, shape), rng.integers(-10, 11, shape).astype(float)


class Engine:
    """Reads of the numpy engine, with a card of resistors that keeps its noise going."""

    info: Any = SimpleNamespace(rows=GEOMETRY.rows, columns=COLUMNS, tiles=1)

    def __init__(self, gain=None, offset=None, card=None, sigma=2e-5):
        self.channels = None if gain is None or offset is None else Channels.of(gain, offset)
        self.array: Any = Resistors(ohms() if card is None else card, sigma, seed=4)
        self.table = [IDENTITY] * (8 * COLUMNS)

    def read(self, tile, cell, count, volts, tia_range=None, average=0):
        registers = {Reg.TIA_RANGE: AUTO if tia_range is None else tia_range, Reg.AVERAGE: average}
        code = (
            instruction(Op.DAC, channel=Dac.RAIL_A, code=rail_code(volts)),
            *(instruction(Op.SET, reg=reg, value=value) for reg, value in registers.items()),
            instruction(Op.READ, tile=tile, cell=cell, count=count),
            instruction(Op.HALT),
        )
        image = Image(GEOMETRY, code, {"setup": 0}, np.zeros(1, np.uint64), 1, Span(0, 1), ())
        engine = NumpyEngine(
            image, self.array, Converters(), 48_000_000, 1, channels=self.channels,
            calibration=np.reshape(self.table, (8, COLUMNS)),
        )  # fmt: skip
        engine.setup()
        return [Reading(*unpack_reading(int(word))) for word in engine.cell_memory[:count]]

    def write_table(self, words):
        self.table = list(words)


def test_an_ideal_card_passes_and_every_resistor_uses_its_range():
    checks = self_test(Engine())
    assert len(checks) == 2 * len(RANGES) * COLUMNS and not failures(checks)
    for check in checks:
        wanted = expected_code(check.tia_range) if check.driven else 0
        assert abs(check.reading.code - wanted) < 8
    assert [round(expected_code(n) / 32768, 2) for n in range(len(RANGES))] == [0.8] * 6
    assert [reference_ohms(n) for n in (0, 5)] == pytest.approx([1562.5, 156.25e6])


def test_a_card_within_its_tolerances_passes_and_bad_channels_are_named():
    gain, offset = errors()
    assert not failures(self_test(Engine(gain, offset)))
    gain[1, 3] = 0.05
    offset[4, 6] = 400
    found = failures(self_test(Engine(gain, offset)))
    assert {(check.tia_range, check.column) for check in found} == {(1, 3), (4, 6)}
    assert "range 1, column 3, 15625 ohm" in str(found[0]) and "FAIL" in str(found[0])


@pytest.mark.parametrize(("factor", "each"), [(0.9, 0), (1.1, COLUMNS)])
def test_one_that_is_just_beyond_its_limit_fails_and_one_just_within_does_not(factor, each):
    gain = np.zeros((len(RANGES), COLUMNS))
    for tia_range in range(len(RANGES)):
        off = limit_codes(tia_range, True, False) / expected_code(tia_range)
        gain[tia_range] = factor * off
    found = failures(self_test(Engine(gain, np.zeros_like(gain))))
    assert len(found) == each * len(RANGES) and all(check.driven for check in found)


def test_a_saturated_reading_fails_whatever_its_limit():
    gain = np.zeros((len(RANGES), COLUMNS))
    gain[0, 2] = 0.3
    (check,) = failures(self_test(Engine(gain, np.zeros_like(gain))))
    assert (check.tia_range, check.column) == (0, 2) and check.reading.saturated


def test_a_missing_resistor_fails():
    card = ohms()
    card[3, 1] = np.inf
    (check,) = failures(self_test(Engine(card=card)))
    assert (check.tia_range, check.column, check.driven) == (3, 1, True)


def test_a_calibrated_card_is_as_good_as_its_references():
    gain, offset = errors()
    engine = Engine(gain, offset)
    assert failures(self_test(engine, calibrated=True))
    words = calibrate(engine)
    assert words == engine.table and not failures(self_test(engine, calibrated=True))
    for tia_range in range(len(RANGES)):
        for column in range(COLUMNS):
            mend, shift = unpack_entry(words[COLUMNS * tia_range + column])
            assert mend / 32768 * (1 + gain[tia_range, column]) == pytest.approx(1, abs=4e-4)
            assert abs(shift + offset[tia_range, column]) < 2
    assert words[COLUMNS * len(RANGES) :] == [IDENTITY] * COLUMNS * (8 - len(RANGES))


def test_a_broken_channel_is_not_calibrated_away_and_the_table_stays_empty():
    gain, offset = errors()
    gain[2, 5] = 0.05
    engine = Engine(gain, offset)
    with pytest.raises(CalibrationError, match="range 2, column 5"):
        calibrate(engine)
    assert set(engine.table) == {IDENTITY}


def test_automatic_ranges_find_the_row_of_each_range():
    gain, offset = errors()
    found = Engine(gain, offset).read(0, 0, GEOMETRY.cells, TEST_V, None, 3)
    for row in range(GEOMETRY.rows):
        for reading in found[COLUMNS * row : COLUMNS * (row + 1)]:
            assert reading.tia_range == min(row, len(RANGES) - 1) and not reading.saturated
            if row < OPEN_ROW:
                amperes = TEST_V / (reference_ohms(row) + PATH_OHMS)
                assert reading.amperes == pytest.approx(amperes, rel=0.03)


def test_a_card_of_too_few_rows_is_refused():
    engine = Engine()
    engine.info = SimpleNamespace(rows=OPEN_ROW, columns=8, tiles=1)
    with pytest.raises(CalibrationError, match="the card of resistors has 7 rows"):
        self_test(engine)


def test_errors_of_two_shapes_are_refused():
    with pytest.raises(ConverterError, match="expected \\(ranges, columns\\) twice"):
        Channels.of(np.zeros((6, 8)), np.zeros((6, 9)))


@pytest.mark.parametrize(
    ("change", "front_end", "table", "said"),
    [
        (
            {},
            "PmodCard",
            False,
            "front end is PmodCard, the card of resistors is read by A",
        ),
        ({"verify": False}, "ChainedCard", False, "lacks READ"),
        ({"calibration": False}, "ArrayCard", True, "has no calibration table"),
    ],
)
def test_controllers_that_read_no_resistors(change, front_end, table, said):
    info = Info.of(replace(GEOMETRY, **change), 48_000_000, front_end)
    with pytest.raises(CalibrationError, match=said):
        require(info, table)
    require(Info.of(GEOMETRY, 48_000_000, "ArrayCard"), table)
    if table:
        require(info, not table)


def test_cells_are_not_taken_for_resistors():
    gain, offset = errors()
    gain[2, 5], offset[4, 1] = 0.4, 3000  # for the self-test to find
    require_resistors(Engine(gain, offset))
    cells = ohms()
    cells[3] /= 1.6
    with pytest.raises(CalibrationError, match=r"8 of 8 crossings of row 3 are not 1\.5625e\+06"):
        require_resistors(Engine(card=cells))
    # Whatever it is, it never gets more than a read's voltage.
    seen = []

    class Watched(Engine):
        def read(self, tile, cell, count, volts, tia_range=None, average=0):
            seen.append(volts)
            return super().read(tile, cell, count, volts, tia_range, average)

    with pytest.raises(CalibrationError, match="row 0"):
        require_resistors(Watched(card=np.full_like(cells, 1e4)))
    assert set(seen) == {0.1}
