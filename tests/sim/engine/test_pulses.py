"""Pulses on a line of cells: the engine's parts of them, and the analog card's, are the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.afe.array_card import settle_ps
from ohmloom.hw.afe.interface import cycles_from_ps
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import (
    CYCLE_BITS,
    LIMIT_POSITIVE,
    Dac,
    IsaError,
    Op,
    PulseStatus,
    Reg,
    Staircase,
    Train,
    instruction,
    limited,
    pack_pulse,
    pack_sample,
    pack_sweep,
    unpack_outcome,
    unpack_sample,
)
from ohmloom.hw.profile import Drive, Kind, ModeRecord, Profile, pack_profile
from ohmloom.sim.array import SimulatedArray, Unsupported
from ohmloom.sim.converters import ADC_MAX, ConverterError, Converters
from ohmloom.sim.cosim.bench import lags
from ohmloom.sim.cosim.card import SAMPLE_LAG_CYCLES, AnalogCard, CardFault, ConversionTag
from ohmloom.sim.devices import DeviceError, load
from ohmloom.sim.engine import NumpyEngine
from ohmloom.sim.engine.errors import EngineError
from ohmloom.sim.engine.pulses import LinePulser

CLK = 1_000_000
GEOMETRY = Geometry(rows=8, columns=8, tiles=1, program_depth=16, param_depth=64, act_depth=16)
CARD = Converters()
VOLT = CARD.dac_code(1.0) - 0x8000
GATE = int(CARD.gate_code(0.9e-6))
"""The volatile mode is described up to 1 uA."""
SINGLE = ConversionTag(False, 0, 0)
SETTLED = cycles_from_ps(settle_ps(2), CLK)
SET = Train(
    rail=0x8000 + VOLT, gate=GATE, limit=LIMIT_POSITIVE, width=2000, pulses=3, interval=9000,
    inside=3, delay=500, spacing=500, after=2, after_delay=700, after_spacing=900,
)  # fmt: skip


def v_read(array: SimulatedArray) -> float:
    """A voltage that reads cells; any does for those that are no weights."""
    return array.device.v_read if array.device.weights is not None else 0.1


def volatile(seed: int = 5) -> SimulatedArray:
    """Cells that relax by themselves, and yet have codes to be read by."""
    array = SimulatedArray(load("cspbbr3_ogb"), 1, 8, 8, seed=seed)
    array.set_mode("volatile")
    return array


def profile(array: SimulatedArray) -> tuple[int, ...]:
    """One that allows everything in every mode: limits are tested where they are kept."""
    drive = Drive(0, 0xFFFF, 0, 0, 0, 0xFFFF, (1 << CYCLE_BITS) - 1, 0)
    mode = ModeRecord(Kind.POWER, drive, source=True)
    return tuple(pack_profile(Profile((mode,) * len(array.device.modes), ())))


def engine(array, words, op=Op.PULSE, tia_range=2, **operands) -> NumpyEngine:
    """An engine whose ``program/0`` is one instruction with its record at 3."""
    where = {"tile": 0, "row": 1, "column": 2, "count": 1, "down": 0, "param": 3} | operands
    image = Image(
        geometry=GEOMETRY,
        code=(
            instruction(Op.ADOPT),
            instruction(Op.RESTORE, tile=0, mode=int(array.state.mode[0, 0, 0])),
            instruction(Op.DAC, channel=Dac.RAIL_A, code=CARD.read_code(v_read(array))),
            instruction(Op.DAC, channel=Dac.GATE_ON, code=CARD.gate_on_code),
            instruction(Op.SET, reg=Reg.TIA_RANGE, value=tia_range),
            instruction(op, **where),
            instruction(Op.HALT),
        ),
        entries={"program/0": 0, "setup": 6, "infer": 6},
        params=np.array([0, 0, 0, *words], np.uint64),
        tiles=1,
        input=Span(0, 1),
        layers=(LayerSpan("none", Span(1, 1)),),
        profile=profile(array),
    )
    return NumpyEngine(image, array, CARD, CLK, seed=5)


def run(array, words, op=Op.PULSE, **operands) -> tuple[NumpyEngine, list[int]]:
    """The engine after the run, and the sample words."""
    made = engine(array, words, op, **operands)
    cells = made.program_tile(0, np.zeros((8, 8), np.int64)).tolist()
    count, status = unpack_outcome(cells[0])
    assert status is PulseStatus.DONE and not any(cells[count + 1 :])
    return made, cells[1 : count + 1]


class Hand:
    """Moves a card as the controller would for a record on cells (1, 2 ..)."""

    def __init__(
        self, array: SimulatedArray, count: int = 1, down: int = 0, tia_range: int = 2
    ) -> None:
        self.card = AnalogCard(array, CARD, GEOMETRY, CLK, lags(CLK))
        self.card.set_range(0, tia_range)
        self.columns = slice(2, 3) if down else slice(2, 2 + count)
        self.rows = slice(1, 1 + count) if down else slice(1, 2)
        self.card.set_dac(0, Dac.RAIL_A, CARD.read_code(v_read(array)))
        self.card.set_dac(0, Dac.GATE_ON, CARD.gate_on_code)
        self.card.set_dac(0, Dac.GATE_PROGRAM, GATE)
        self.words: list[int] = []

    def lines(self, time: int, reading: bool, program: bool) -> None:
        row, column, off = np.zeros(8, bool), np.zeros(8, bool), np.zeros(8, bool)
        row[self.rows] = column[self.columns] = True
        self.card.set_gate_a(time, reading)
        self.card.set_lines(
            time, row_a=row if reading else off, row_b=off if reading else row,
            column_tia=column, column_ground=~column,
            gate_program=column if program else off, gate_on=off if program else column,
        )  # fmt: skip

    def sample(self, time: int) -> None:
        codes = self.card.convert(time + SAMPLE_LAG_CYCLES, SINGLE)[self.columns]
        self.words += [pack_sample(int(code), abs(int(code)) >= ADC_MAX) for code in codes]

    def pulses(self, records, limit: int) -> None:
        """``records``: opening, rail, width, samples inside and reads after it."""
        for n, (opened, rail, width, inside, after) in enumerate(records):
            self.card.set_dac(opened - 250, Dac.RAIL_B, rail)
            self.lines(opened - 250, reading=False, program=limited(rail, limit))
            self.card.set_train(opened - 1, True) if not n else None
            self.card.set_gate_b(opened, True)
            for moment in inside:
                self.sample(opened + moment)
            self.card.set_gate_b(opened + width, False)
            for k, moment in enumerate(after):
                if not k:
                    self.lines(opened + width + 100, reading=True, program=False)
                self.sample(opened + width + moment)
        self.card.set_train(10**9, False)


@pytest.mark.parametrize("count", [1, 3])
def test_a_train_on_relaxing_cells_is_the_cards(count):
    reference, array = volatile(), volatile()
    _, words = run(reference, pack_pulse(SET), count=count)
    hand = Hand(array, count)
    hand.pulses(
        [
            (1000 + n * SET.interval, SET.rail, SET.width, (500, 1000, 1500), (700, 1600))
            for n in range(3)
        ],
        SET.limit,
    )
    assert hand.words == words
    assert len(words) == 3 * 5 * count and len(set(words)) > 6 * count
    assert array.tile_state_equal(reference, 0)
    assert array.elapsed_s == reference.elapsed_s
    # The time between the pulses is part of it: without it, another state.
    other = volatile()
    Hand(other, count).pulses(
        [(1000 + n * 3000, SET.rail, SET.width, (500, 1000, 1500), (700, 800)) for n in range(3)],
        SET.limit,
    )
    assert not other.tile_state_equal(reference, 0)


@pytest.mark.parametrize("down", [0, 1])
def test_a_sweep_on_relaxing_cells_is_the_cards(down):
    stairs = Staircase(
        start=0x8000 - VOLT // 4, stop=0x8000 + VOLT, step=VOLT // 4, width=1500, interval=2000,
        gate=GATE, limit=LIMIT_POSITIVE, both=True, delay=1400,
    )  # fmt: skip
    assert (stairs.stop - stairs.start) % stairs.step == 1
    stairs = replace(stairs, stop=stairs.stop - 1)
    reference, array = volatile(), volatile()
    _, words = run(reference, pack_sweep(stairs), Op.SWEEP, count=2, down=down)
    hand = Hand(array, 2, down)
    hand.pulses(
        [(1000 + 2000 * n, code, 1500, (1400,), ()) for n, code in enumerate(stairs.codes())],
        stairs.limit,
    )
    assert hand.words == words
    assert len(words) == len(stairs.codes()) * (1 if down else 2)
    assert array.tile_state_equal(reference, 0)


def test_a_sample_taken_too_early_is_wrong():
    """At 0.25 V nothing switches: what differs is the input's settling alone."""
    codes = []
    for delay in (SETTLED // 3, SETTLED, 4 * SETTLED):
        array = SimulatedArray(load("cspbbr3_ogb"), 1, 8, 8, seed=5)
        array.pulse([10], 1.0, 1e-3, 200e-6)
        hand = Hand(array, tia_range=0)
        hand.pulses([(1000, 0x8000 + VOLT // 4, 100, (delay,), ())], 0)
        codes.append(unpack_sample(hand.words[0])[0])
    early, settled, later = codes
    assert early < settled == later
    total = array.g_code[0, 1, 2] * array.device.g_lsb
    assert settled == pytest.approx(total * 0.25 * 5e3 / CARD.adc_lsb, rel=0.01)


def test_a_gate_opened_before_the_rail_has_settled_is_another_pulse():
    states = []
    for ahead in (0, 250):
        array = volatile()
        hand = Hand(array)
        hand.card.set_dac(1000 - ahead, Dac.RAIL_B, 0x8000 + VOLT)
        hand.lines(500, reading=False, program=True)
        hand.card.set_gate_b(1000, True)
        hand.sample(1000 + SETTLED)
        hand.card.set_gate_b(1100, False)
        states.append(hand.words)
    assert states[0] != states[1]


CHARGE = Train(
    rail=0x8000 + VOLT, source=1, width=5_000_000, inside=9, delay=450_000, spacing=500_000,
    react=200, v_high=int(3.3 / CARD.adc_lsb), after=3, after_delay=1_000_000,
    after_spacing=2_000_000_000,
)  # fmt: skip
"""1 uA, and a rest of 4001 s; a cell holds 4.5 uC at 3.5 V."""
CELL = 10


def storing(seed: int = 5) -> SimulatedArray:
    """Empty cells that store charge."""
    array = SimulatedArray(load("all_in_one"), 1, 8, 8, seed=seed)
    array.set_mode("power")
    return array


def charged(array, train, **operands) -> tuple[list[tuple[int, bool]], PulseStatus]:
    """Samples of a train of the current source, and how it ended."""
    made = engine(array, pack_pulse(train), **operands)
    cells = made.program_tile(0, np.zeros((8, 8), np.int64)).tolist()
    count, status = unpack_outcome(cells[0])
    assert not any(cells[count + 1 :])
    return [unpack_sample(word) for word in cells[1 : count + 1]], status


class SourceHand(Hand):
    """Moves the card as the controller would for a charge."""

    def __init__(self, array: SimulatedArray, count: int = 1, source_range: int = 0) -> None:
        super().__init__(array, count)
        self.card.set_source(0, True)
        self.card.set_range(0, source_range)
        self.lines(0, reading=False, program=False)
        self.card.set_lines(0, column_tia=np.zeros(8, bool), column_ground=np.ones(8, bool))
        self.columns = slice(0, 1)

    def charge(self, opened: int, train: Train, width: int) -> list[tuple[int, bool]]:
        self.words = []
        self.card.set_dac(opened - 300, Dac.RAIL_B, train.rail)
        self.card.set_train(opened, True)
        self.card.set_gate_b(opened, True)
        for n in range(train.inside):
            if train.delay + n * train.spacing < width:
                self.sample(opened + train.delay + n * train.spacing)
        self.card.set_gate_b(opened + width, False)
        for n in range(train.after):
            self.sample(opened + width + train.after_delay + n * train.after_spacing)
        self.card.set_train(opened + width + 10**9, False)
        return [unpack_sample(word) for word in self.words]


def test_a_charge_and_a_discharge_with_limits_are_the_cards():
    reference, array = storing(), storing()
    found, status = charged(reference, CHARGE)
    # 3.3 V is between the eighth and the ninth sample.
    assert status is PulseStatus.CUT
    width = CHARGE.delay + 8 * CHARGE.spacing + CHARGE.react + 1
    hand = SourceHand(array)
    assert hand.charge(1000, CHARGE, width) == found
    codes = [code for code, _ in found]
    assert len(codes) == 9 + 3 and codes[7] < CHARGE.v_high <= codes[8]
    # At rest the drop over the series resistance is gone, then the charge goes slowly.
    drop = 1e-6 * 2e-3 / 3.14159265e-8 / CARD.adc_lsb
    assert codes[8] - codes[9] == pytest.approx(drop, abs=3) and codes[9] > codes[10] > codes[11]
    back = replace(CHARGE, rail=0x8000 - VOLT, v_low=2000, v_high=32767, after=0)
    found, status = charged(reference, back)
    assert status is PulseStatus.CUT and found[-1][0] <= 2000 < found[-2][0]
    width = back.delay + (len(found) - 1) * back.spacing + back.react + 1
    assert hand.charge(10**10, back, width) == found
    assert array.tile_state_equal(reference, 0) and array.elapsed_s == reference.elapsed_s
    assert hand.card.pulses == 2 and hand.card.conversions == 12 + len(found)


def test_a_charge_is_what_the_array_makes_of_the_current():
    array, alone = storing(), storing()
    train = replace(CHARGE, source_range=1, inside=0, width=2_000_000, after=1, after_delay=1000)
    found, status = charged(array, train)
    assert status is PulseStatus.DONE
    alone.charge([CELL], CARD.dac_volts(train.rail) / 1e7, 2.0)
    alone.wait(1e-3)
    volts = float(alone.sense_voltage([CELL])[0])
    assert found == [(round(volts / CARD.adc_lsb), False)]
    assert array.tile_state_equal(alone, 0)
    # In a wrong range it is another charge.
    other, wrong = storing(), replace(train, source_range=2)
    assert charged(other, wrong)[0] != found and not other.tile_state_equal(alone, 0)


def test_means_and_the_sample_that_cuts_are_counted_with_their_limit():
    probe = replace(CHARGE, inside=3, average=1, width=2_000_000, spacing=200_000, after=0)
    free, status = charged(storing(), replace(probe, v_high=32767))
    assert status is PulseStatus.DONE and len(free) == 3
    for n, (code, _) in enumerate(free):
        for limits, cut in (({"v_high": code}, n), ({"v_high": code + 1}, n + 1)):
            found, status = charged(storing(), replace(probe, **limits))
            assert found == free[: cut + 1]
            assert (status is PulseStatus.CUT) == (cut < 3)
    found, status = charged(storing(), replace(probe, v_low=free[0][0]))
    assert (found, status) == (free[:1], PulseStatus.CUT)
    # A limit seen too late for the gate still counts.
    late = replace(probe, inside=1, delay=1_790_000, v_high=0)
    assert charged(storing(), late)[1] is PulseStatus.CUT


def test_a_buffer_that_has_not_settled_reads_wrong():
    codes = []
    for delay in (SETTLED // 3, SETTLED, 3 * SETTLED):
        hand = SourceHand(storing())
        codes.append(hand.charge(1000, replace(CHARGE, delay=delay, inside=1, after=0), 100)[0][0])
    assert codes[0] < codes[1] and abs(codes[2] - codes[1]) <= 1


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda card: card.set_source(1100, False), "the current source was switched while"),
        (lambda card: card.set_range(1100, 1), "the range of the current source moved while"),
        (lambda card: card.set_dac(1100, Dac.RAIL_B, 0x9000), "a DAC moved while"),
        (lambda card: card.set_lines(1100, row_b=np.ones(8, bool)), "a switch moved while"),
    ],
)
def test_nothing_moves_while_the_source_drives(break_it, said):
    hand = SourceHand(storing())
    hand.card.set_dac(0, Dac.RAIL_B, CHARGE.rail)
    hand.card.set_gate_b(1000, True)
    with pytest.raises(CardFault, match=said):
        break_it(hand.card)


def test_the_source_takes_one_cell():
    for count, size in ((2, 2), (0, 0)):
        hand = SourceHand(storing(), count)
        with pytest.raises(CardFault, match=f"is on {size} cells, accepted is one"):
            hand.card.set_gate_b(1000, True)


def test_a_charge_beyond_the_window_or_of_no_store_is_refused():
    with pytest.raises(DeviceError, match="full charge"):
        charged(storing(), replace(CHARGE, v_high=32767))
    with pytest.raises(DeviceError, match="full charge"):
        charged(storing(), replace(CHARGE, rail=0x8000 - VOLT))
    with pytest.raises(Unsupported, match="not in a power mode"):
        charged(SimulatedArray(load("all_in_one"), 1, 8, 8, seed=5), CHARGE)
    with pytest.raises(ConverterError, match="range 1 of the current source does not exist"):
        replace(CARD, source_ohms=(1e6,)).source_amperes(0x9000, 1)


def test_a_charge_of_several_cells_or_without_a_source_is_refused(monkeypatch):
    with pytest.raises(EngineError, match="has its count outside"):
        charged(storing(), CHARGE, count=2)
    with pytest.raises(EngineError, match="64 samples and the outcome"):
        charged(storing(), replace(CHARGE, inside=61, spacing=10_000, width=2_000_000))
    monkeypatch.setattr(f"{__name__}.GEOMETRY", replace(GEOMETRY, power=False))
    with pytest.raises(EngineError, match="no current source"):
        charged(storing(), CHARGE)


def test_the_mean_of_conversions_and_their_saturation():
    probe = Train(rail=0x8000 - VOLT // 4, width=4000, inside=2, delay=100, spacing=200, average=2)
    array = SimulatedArray(load("cspbbr3_ogb"), 1, 8, 8, seed=5)
    array.pulse([10], 1.0, 1e-3, 200e-6)
    _, words = run(array, pack_pulse(probe), tia_range=0)
    assert [unpack_sample(word)[1] for word in words] == [False, False]
    assert unpack_sample(words[0])[0] < -100
    pulser = LinePulser(array, CARD, CLK, np.array([[10]]), 2, lambda cells: cells)
    (word, _) = pulser.pulse(probe)
    assert unpack_sample(word) == (-32768, True)
    groups = [np.array([c]) for c in (5, 6, -7, -8, 32767, 1, 1, 1)]
    assert [unpack_sample(w) for w in pulser._samples(groups, 1)] == [
        (6, False), (-8, False), (16384, True), (1, False),
    ]  # fmt: skip


def test_rails_end_at_zero_and_the_limit_stays():
    made, _ = run(volatile(), pack_pulse(SET))
    assert made.dac[Dac.RAIL_B] == 0x8000 and made.dac[Dac.GATE_PROGRAM] == GATE
    made, _ = run(volatile(), pack_pulse(replace(SET, rail=0x8000, limit=0, after=0)))
    assert made.dac[Dac.GATE_PROGRAM] == 0x8000


@pytest.mark.parametrize(
    ("record", "operands", "said"),
    [
        (SET, {"count": 7}, "has its count outside"),
        (SET, {"count": 8, "down": 1}, "has its count outside"),
        (SET, {"count": 2, "down": 1}, "has its count outside"),
        (SET, {"param": 60}, "has its param outside"),
        (SET, {"tile": 1}, "has its tile outside"),
        (SET, {"row": 8}, "has its row outside"),
        (replace(SET, pulses=13), {}, "65 samples and the outcome, cell memory has 64 words"),
    ],
)
def test_what_the_controller_does_not_do_is_refused(record, operands, said):
    made = engine(volatile(), pack_pulse(record), **operands)
    with pytest.raises(EngineError, match=said):
        made.program_tile(0, np.zeros((8, 8), np.int64))


def test_a_bad_record_is_refused():
    words = pack_pulse(SET)
    words[1] = 0
    with pytest.raises(IsaError, match="width = 0"):
        run(volatile(), words)


def test_currents_become_codes_once():
    lsb = CARD.adc_lsb / 5e3
    currents = np.array([0.5, 1.5, -0.5, -2.5, 1e9, -1e9]) * lsb
    assert CARD.current_codes(currents, 0).tolist() == [0, 2, 0, -2, 32767, -32768]
    with pytest.raises(ConverterError, match="TIA range 6 does not exist"):
        CARD.current_codes(0.0, 6)
