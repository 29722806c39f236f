"""Self-test, calibration and automatic range through host code, RTL and a card of resistors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ohmloom.boards.link import LinkClient, LinkRefused
from ohmloom.boards.reader import LinkReader, Reading, rail_code
from ohmloom.boards.selftest import (
    AVERAGE,
    OPEN_ROW,
    PATH_OHMS,
    TEST_V,
    CalibrationError,
    calibrate,
    card_ohms,
    expected_code,
    failures,
    reference_ohms,
    self_test,
)
from ohmloom.boards.temperature import TemperatureError, celsius_of_code, measure
from ohmloom.hw.afe.array_card import plane_period_cycles
from ohmloom.hw.afe.interface import PlaneStep
from ohmloom.hw.afe.tia import RANGES
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import Dac, Op, Reg, encode, instruction, pack_requant, unpack_reading
from ohmloom.hw.link.protocol import Space
from ohmloom.hw.ranges import AUTO, TEMPERATURE_RANGE
from ohmloom.hw.tables import CALIBRATION_CYCLES, IDENTITY, pack_entry
from ohmloom.sim.converters import Channels, Converters
from ohmloom.sim.cosim.bench import Bench, lags
from ohmloom.sim.cosim.card import Lags
from ohmloom.sim.cosim.fast.plugged import plugged
from ohmloom.sim.cosim.resistors import Resistors
from ohmloom.sim.engine import NumpyEngine

CLK_HZ = 3_000_000
BIT_CYCLES = 4
GEOMETRY = Geometry(
    rows=8, columns=8, tiles=1, program_depth=64, param_depth=64, act_depth=64,
    lut=False, pool=False, residual=False, argmax=False, pulse=False, wear=False, power=False,
    calibration=True,
)  # fmt: skip
RAILS, COLUMNS = len(RANGES), GEOMETRY.columns
CARD = Converters()
SEED = 5


def ohms() -> np.ndarray:
    """The self-test card with its path."""
    return np.array(card_ohms(GEOMETRY.rows, COLUMNS))


def errors(scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Gain errors and offsets of a card whose parts keep to their tolerances."""
    rng = np.random.default_rng(11)
    shape = (len(RANGES), COLUMNS)
    tolerance = np.array([[network.tolerance] for network in RANGES])
    return scale * tolerance * rng.uniform(-1, 1, shape), scale * rng.integers(-10, 11, shape)


@pytest.fixture
def plug() -> Iterator[Callable[..., LinkReader]]:
    """``plug(channels, sigma, analog)``: a controller with such a card, and its reader."""
    with ExitStack() as boards:

        def make(
            channels: Channels | None = None,
            sigma: float = 0.0,
            analog: Lags | None = None,
            array: Any = None,
            card: Converters = CARD,
        ) -> LinkReader:
            array = array or Resistors(ohms(), sigma, SEED)
            wire = boards.enter_context(
                plugged(GEOMETRY, CLK_HZ, BIT_CYCLES, array, card, channels=channels, analog=analog)
            )
            return LinkReader(LinkClient(wire, timeout=0.1))

        yield make


def reference(
    register: int, average: int, sigma: float, channels=None, table=None, cells=GEOMETRY.cells
) -> list[Reading]:
    """What the numpy engine reads of all cells."""
    code = (
        instruction(Op.DAC, channel=Dac.RAIL_A, code=rail_code(TEST_V)),
        instruction(Op.SET, reg=Reg.TIA_RANGE, value=register),
        instruction(Op.SET, reg=Reg.AVERAGE, value=average),
        instruction(Op.READ, tile=0, cell=0, count=cells),
        instruction(Op.HALT),
    )
    image = Image(GEOMETRY, code, {"setup": 0}, np.zeros(1, np.uint64), 1, Span(0, 1), ())
    array: Any = Resistors(ohms(), sigma, SEED)
    engine = NumpyEngine(image, array, CARD, CLK_HZ, SEED, channels=channels, calibration=table)
    engine.setup()
    return [Reading(*unpack_reading(int(word))) for word in engine.cell_memory[:cells]]


@pytest.mark.slow
def test_an_ideal_card_passes_and_each_resistor_is_where_it_should_be(plug):
    checks = self_test(plug())
    assert len(checks) == 2 * len(RANGES) * COLUMNS and not failures(checks)
    for check in checks:
        wanted = expected_code(check.tia_range) if check.driven else 0
        assert abs(check.reading.code - wanted) < 4 + 1e-4 * abs(wanted)
        assert abs(wanted) < 0.81 * 32768
    assert "pass" in str(checks[0])


@pytest.mark.slow
def test_a_card_within_its_tolerances_passes_and_one_bad_channel_is_named(plug):
    gain, offset = errors()
    assert not failures(self_test(plug(Channels.of(gain, offset), sigma=1e-5)))
    gain[1, 3] = 0.05
    offset[4, 6] = 400
    found = failures(self_test(plug(Channels.of(gain, offset), sigma=1e-5)))
    assert {(check.tia_range, check.column) for check in found} == {(1, 3), (4, 6)}
    assert "range 1, column 3" in str(found[0]) and "FAIL" in str(found[0])


@pytest.mark.slow
def test_a_calibrated_card_is_as_good_as_its_references(plug):
    reads = plug(Channels.of(*errors()), sigma=1e-5)
    assert failures(self_test(reads, calibrated=True))
    words = calibrate(reads)
    assert not failures(self_test(reads, calibrated=True))
    assert reads.client.read_words(Space.CALIBRATION, 0, len(words)) == words


@pytest.mark.slow
def test_a_broken_channel_is_not_calibrated_away(plug):
    gain, offset = errors()
    gain[2, 5] = 0.05
    reads = plug(Channels.of(gain, offset))
    with pytest.raises(CalibrationError, match="range 2, column 5"):
        calibrate(reads)
    assert set(reads.client.read_words(Space.CALIBRATION, 0, 64)) == {0x00008000}


def words_of(channels: Channels) -> list[int]:
    """Some table: near the errors' opposite, with rounding in every word."""
    rng = np.random.default_rng(3)
    gains = 32768 - channels.gain // 32 + rng.integers(-9, 10, channels.gain.shape)
    words = [
        pack_entry(int(gain), int(offset))
        for gain, offset in zip(gains.ravel(), -channels.offset.ravel(), strict=True)
    ]
    return words + [IDENTITY] * (8 * COLUMNS - len(words))


@pytest.mark.parametrize("calibrated", [False, True])
def test_readings_are_the_numpy_engine_s_word_for_word(plug, calibrated):
    """With errors, noise, rails and a table; in ranges of the register and in chosen ones."""
    channels = Channels.of(*errors())
    words = words_of(channels)
    table = np.array(words, np.uint32).reshape(8, COLUMNS) if calibrated else None
    for tia_range, average in ((1, 2), (3, 0), (None, 3)):
        reads = plug(channels, sigma=1e-4)
        if calibrated:
            reads.write_table(words)
        found = reads.read(0, 0, GEOMETRY.cells, TEST_V, tia_range, average)
        register = AUTO if tia_range is None else tia_range
        assert found == reference(register, average, 1e-4, channels, table)
        other = None if calibrated else np.array(words, np.uint32).reshape(8, COLUMNS)
        assert found != reference(register, average, 1e-4, channels, other)
        assert any(reading.saturated for reading in found) == (tia_range is not None)
    for row in range(GEOMETRY.rows):
        for reading in found[COLUMNS * row : COLUMNS * (row + 1)]:
            assert reading.tia_range == min(row, len(RANGES) - 1)
            if row < OPEN_ROW:
                amperes = TEST_V / (reference_ohms(row) + PATH_OHMS)
                assert reading.amperes == pytest.approx(amperes, rel=0.03)
            else:
                assert abs(reading.amperes) < 20 * 10 / 32768 / 500e6


WARM = replace(CARD, celsius=61.5)


@pytest.mark.parametrize("calibrated", [False, True])
def test_temperatures_are_the_numpy_engine_s_word_for_word(plug, calibrated):
    """Between reads of cells: with noise, errors of TIAs, which do not matter, and a table."""
    channels = Channels.of(*errors())
    words = words_of(channels)
    mend = [pack_entry(32768 + 50 * n, n) for n in range(COLUMNS)]
    words[TEMPERATURE_RANGE * COLUMNS :] = mend
    table = np.array(words, np.uint32).reshape(8, COLUMNS) if calibrated else None
    reads = plug(channels, sigma=1e-4, card=WARM)
    if calibrated:
        reads.write_table(words)
    count, settings = 2 * COLUMNS, ((1, 0), (7, 0), (7, 3), (0, 1), (7, 1))
    code, entries = [instruction(Op.HALT)], {"setup": 0}
    for number, (tia_range, average) in enumerate(settings):
        entries[str(number)] = len(code)
        code += [
            instruction(Op.DAC, channel=Dac.RAIL_A, code=rail_code(TEST_V)),
            instruction(Op.SET, reg=Reg.TIA_RANGE, value=tia_range),
            instruction(Op.SET, reg=Reg.AVERAGE, value=average),
            instruction(Op.READ, tile=0, cell=0, count=count),
            instruction(Op.HALT),
        ]
    image = Image(GEOMETRY, tuple(code), entries, np.zeros(1, np.uint64), 1, Span(0, 1), ())
    array: Any = Resistors(ohms(), 1e-4, SEED)
    engine = NumpyEngine(image, array, WARM, CLK_HZ, SEED, channels=channels, calibration=table)
    spread = set()
    for number, (tia_range, average) in enumerate(settings):
        engine.run(str(number))
        wanted = [Reading(*unpack_reading(int(word))) for word in engine.cell_memory[:count]]
        found = reads.read(0, 0, count, TEST_V, tia_range, average)
        assert found == wanted
        if tia_range == TEMPERATURE_RANGE:
            spread |= {reading.code for reading in found}
            for reading in found if not calibrated else ():
                assert celsius_of_code(reading.code) == pytest.approx(61.5, abs=0.06)
    assert len(spread) > 1


def test_the_temperature_of_a_bench_needs_no_voltage_on_a_rail(plug):
    found = measure(plug(sigma=1e-4, card=WARM), "a test")
    assert found.celsius == pytest.approx((61.5,), abs=0.06)


def test_a_sensor_that_settles_slower_than_its_range_is_found(plug):
    """A planted fault, as the one below."""
    slow = replace(lags(CLK_HZ), sensor_tau=0.3 * lags(CLK_HZ).range_taus[-1])
    late = replace(lags(CLK_HZ), sensor_tau=3 * lags(CLK_HZ).range_taus[-1])
    codes = [
        plug(card=WARM, analog=analog).read(0, 0, 1, 0.0, TEMPERATURE_RANGE)[0].code
        for analog in (None, slow, late)
    ]
    assert codes[0] == codes[1] != codes[2]


def test_a_multiplexer_that_is_not_written_gives_no_temperature(plug, monkeypatch):
    """A planted fault: the frame of the last two channels leaves them on their inputs."""

    class Forgetful(Bench):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            frames = list(self.card.adc.sensing)
            frames[-2] = 0
            self.card.adc.sensing = tuple(frames)

    monkeypatch.setattr("ohmloom.sim.cosim.fast.plugged.Bench", Forgetful)
    monkeypatch.setattr("ohmloom.sim.cosim.fast.plugged._BENCHES", {})
    reads = plug(card=WARM)
    codes = [reading.code for reading in reads.read(0, 0, COLUMNS, TEST_V, TEMPERATURE_RANGE)]
    wanted = [reading.code for reading in reference(0, 0, 0.0, cells=COLUMNS)]
    assert codes[6:] == wanted[6:]
    assert [celsius_of_code(code) for code in codes[:6]] == pytest.approx([61.5] * 6, abs=0.06)
    with pytest.raises(TemperatureError, match="converter 0 says -10.7 degC"):
        measure(reads, "a test")


def network(planes: int, tia_range: int) -> tuple[Image, int]:
    """All rows, ``planes`` bit planes, requantised without loss where it fits; and its entry."""
    setup = [
        instruction(Op.DAC, channel=Dac.RAIL_A, code=rail_code(1.0)),
        instruction(Op.DAC, channel=Dac.GATE_ON, code=rail_code(5.0)),
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=-(1 << 15)),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=(1 << 15) - 1),
        instruction(Op.SET, reg=Reg.TIA_RANGE, value=tia_range),
        instruction(Op.HALT),
    ]
    infer = [
        instruction(
            Op.MVM, tile=0, act=0, first=0, rows=GEOMETRY.rows, planes=planes, signed=0, clear=1
        ),
        instruction(Op.REQUANT, out=16, param=0, count=GEOMETRY.pairs),
        instruction(Op.HALT),
    ]
    params = np.array([pack_requant(0, 1 << 20, 20)] * GEOMETRY.pairs, np.uint64)
    layers = (LayerSpan("sums", Span(16, GEOMETRY.pairs)),)
    entries = {"setup": 0, "infer": len(setup)}
    code = (*setup, *infer)
    return Image(GEOMETRY, code, entries, params, 1, Span(0, GEOMETRY.rows), layers), len(setup)


@pytest.mark.parametrize("tia_range", [0, 2, 3])
def test_products_are_the_numpy_engine_s_and_take_the_formula_s_cycles(plug, tia_range):
    """With the calibrator A is longer by its latency, and S is that of the range."""
    channels = Channels.of(*errors())
    words = words_of(channels)
    table = np.array(words, np.uint32).reshape(8, COLUMNS)
    rng = np.random.default_rng(8)
    client = plug(channels, sigma=1e-3).client
    client.write_words(Space.CALIBRATION, 0, words)
    cycles = {}
    array: Any = Resistors(ohms(), 1e-3, SEED)
    for epoch, planes in enumerate((3, 3, 6)):
        image, entry = network(planes, tia_range)
        # Rows of small currents in a sensitive range, so that not all is at a rail.
        x = rng.integers(0, 1 << planes, GEOMETRY.rows) * (np.arange(8) >= tia_range)
        engine = NumpyEngine(image, array, CARD, CLK_HZ, SEED, channels=channels, calibration=table)
        engine.setup()
        trace = engine.infer(x[np.newaxis], epoch)
        client.write_words(Space.PROGRAM, 0, [encode(word) for word in image.code])
        client.write_words(Space.PARAM, 0, image.params.tolist())
        client.write_words(Space.ACT, 0, x.tolist())
        if not epoch:
            client.run(0, 0)
        done = client.run(entry, epoch)
        sums = np.array(client.read_words(Space.ACT, 16, GEOMETRY.pairs))
        assert (sums - (sums >> 15 << 16)).tolist() == trace.layers["sums"][0].tolist()
        assert np.any(sums) and done.saturations == trace.saturations
        cycles[planes] = done.cycles
    period = plane_period_cycles(GEOMETRY, CLK_HZ, tia_range)
    settle, readout = period[PlaneStep.SETTLE], period[PlaneStep.READOUT] + CALIBRATION_CYCLES
    assert cycles[6] - cycles[3] == 3 * max(settle + 1, readout)
    assert (settle > readout) == (tia_range == 3)


def test_an_input_slower_than_its_range_says_is_found(plug):
    """A planted fault: the TIAs of the sensitive ranges have a tenth more."""
    sound = lags(CLK_HZ)
    slow = replace(sound, range_taus=tuple(2 * tau for tau in sound.range_taus))
    wanted = reference(AUTO, 0, 0.0, cells=6 * COLUMNS)
    assert plug(None, 0.0, sound).read(0, 0, 6 * COLUMNS, TEST_V) == wanted
    assert plug(None, 0.0, slow).read(0, 0, 6 * COLUMNS, TEST_V) != wanted


class Clock(Resistors):
    """Notes the time that passes for it."""

    def __init__(self) -> None:
        super().__init__(ohms())
        self.waited: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)


def test_time_passes_for_the_cells_in_a_wait_and_in_no_other(plug):
    """As in the numpy engine: to the cycle, jumped over or not."""
    clocks = Clock(), Clock()
    client = plug(array=clocks[0]).client
    code = (
        instruction(Op.WAIT, cycles=3),
        instruction(Op.DAC, channel=Dac.RAIL_A, code=rail_code(0.1)),
        instruction(Op.WAIT, cycles=0),
        instruction(Op.WAIT, cycles=7_000_000),
        instruction(Op.HALT),
    )
    client.write_words(Space.PROGRAM, 0, [encode(word) for word in code])
    client.run(0, 0)
    image = Image(GEOMETRY, code, {"setup": 0}, np.zeros(1, np.uint64), 1, Span(0, 1), ())
    array: Any = clocks[1]
    NumpyEngine(image, array, CARD, CLK_HZ, SEED).setup()
    assert clocks[1].waited == [3 / CLK_HZ, 0.0, 7_000_000 / CLK_HZ]
    assert clocks[0].waited == [seconds for seconds in clocks[1].waited if seconds]


def test_a_table_is_refused_by_a_controller_without_one(plug):
    reads = plug()
    with pytest.raises(LinkRefused):
        reads.client.write_words(Space.CALIBRATION, 8 * COLUMNS, [0])
    assert AVERAGE < 16
