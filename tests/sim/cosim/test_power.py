"""Power mode in co-simulation: voltammogram, charge, rest and discharge of one cell.

Every step is compared with the numpy engine bit for bit; the numbers then with the array
used directly, as the experiments do it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.afe.array_card import ArrayCard
from ohmloom.hw.afe.interface import PlaneStep, cycles_from_ps
from ohmloom.hw.charge import constant_current
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import (
    CYCLE_BITS,
    Dac,
    Op,
    PulseStatus,
    Reg,
    instruction,
    pack_pulse,
    pack_sweep,
    unpack_outcome,
)
from ohmloom.hw.profile import Drive, Kind, ModeRecord, Profile, pack_profile
from ohmloom.hw.stairs import Pace, ramp
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim import session
from ohmloom.sim.cosim.bench import Bench
from ohmloom.sim.cosim.card import CardFault
from ohmloom.sim.cosim.fast.build import library
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.session import Step, run_session
from ohmloom.sim.devices import load
from ohmloom.sim.engine import NumpyEngine
from ohmloom.sim.experiments.s004_store import constant_current as by_hand

CLK_HZ = 3_000_000
GEOMETRY = Geometry(rows=8, columns=8, tiles=2, program_depth=64, param_depth=64, act_depth=64)
CARD = Converters()
DEVICE = load("all_in_one")
BIT_CYCLES = 4
ROW, COLUMN = 2, 5
CELL = np.array([ROW * 8 + COLUMN])
SETTLE = cycles_from_ps(ArrayCard(GEOMETRY, CLK_HZ).timing().settle_ps, CLK_HZ)
READOUT = ArrayCard(GEOMETRY, CLK_HZ).plane_period_cycles()[PlaneStep.READOUT]
PACE = Pace(gap=200, settle=SETTLE, spacing=READOUT + 1)
OHMS = 2e-3 / 3.14159265e-8
"""Series resistance of a cell, of the device's entry."""
TOP, BOTTOM = 3.3, 0.3
CV_RANGE = max(n for n, ohms in enumerate(CARD.tia_ohms) if 6e-6 * ohms < 10)


def stores(seed: int = 3) -> SimulatedArray:
    """Empty cells in the power mode."""
    array = SimulatedArray(DEVICE, GEOMETRY.tiles, 8, 8, seed)
    array.set_mode("power", rate_v_s=0.05, atmosphere="air", electrode="Pt")
    return array


def make_job(records, seed: int = 3) -> Job:
    """One entry for each record on the cell: ``name: (op, words)``."""
    limits = Drive(0, 0xFFFF, 0, 0, 0, 0xFFFF, (1 << CYCLE_BITS) - 1, 0)
    modes = tuple(ModeRecord(Kind.POWER, limits, source=True) for _ in DEVICE.modes)
    code = [
        instruction(Op.ADOPT),
        instruction(Op.RESTORE, tile=0, mode=DEVICE.mode_index("power")),
        instruction(Op.DAC, channel=Dac.RAIL_A, code=CARD.read_code(0.1)),
        instruction(Op.DAC, channel=Dac.GATE_ON, code=CARD.gate_on_code),
        instruction(Op.SET, reg=Reg.TIA_RANGE, value=CV_RANGE),
        instruction(Op.HALT),
    ]
    entries, params = {"setup": 0, "infer": 5}, []
    for name, (op, words) in records.items():
        entries[name] = len(code)
        where = {"tile": 0, "row": ROW, "column": COLUMN, "count": 1, "down": 0}
        code += [instruction(op, **where, param=len(params)), instruction(Op.HALT)]
        params += words
    image = Image(
        geometry=GEOMETRY,
        code=tuple(code),
        entries=entries,
        params=np.array(params, np.uint64),
        tiles=GEOMETRY.tiles,
        input=Span(0, 1),
        layers=(LayerSpan("none", Span(1, 1)),),
        profile=tuple(pack_profile(Profile(modes, ()))),
    )
    return Job(
        image, DEVICE, np.zeros((GEOMETRY.tiles, 8, 8), np.int64), np.zeros((0, 1), np.int64),
        CARD, seed, CLK_HZ, BIT_CYCLES,
    )  # fmt: skip


def run(records, array):
    """What came of each record, by its name; the array is left as it is then."""
    job = make_job(records)
    steps = [Step("setup", "setup"), *(Step(name, name) for name in records)]
    done = run_session(job, steps, lambda *_: None, array)
    return {step.step.name: step for step in done}


CHARGE = constant_current(
    1e-6, 4.8, CLK_HZ, PACE, samples=24, rest_seconds=3000.0, rest_samples=3, high_volts=TOP
)
DISCHARGE = constant_current(-1e-6, 4.8, CLK_HZ, PACE, samples=24, low_volts=BOTTOM)
SLOW = constant_current(50e-9, 40.0, CLK_HZ, PACE, samples=32, high_volts=TOP)
"""Samples are what wakes the host here, which the guard wants to hear every ten seconds."""


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """The bench is elaborated and compiled once; the card watches the cell."""
    path = library(Bench(GEOMETRY, CLK_HZ, CLK_HZ // BIT_CYCLES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "library", lambda *_: path)
        patch.setattr(session.WatchedCard, "cell", (ROW, COLUMN))
        yield


@pytest.fixture(scope="module")
def cycle(compiled):
    """A charge, a rest, a discharge and a slow charge, in this order."""
    array = stores()
    records = {
        name: (Op.PULSE, pack_pulse(charge.train))
        for name, charge in (("charge", CHARGE), ("discharge", DISCHARGE), ("slow", SLOW))
    }
    return run(records, array), array


def volts(done) -> np.ndarray:
    return np.array(done.samples) * CARD.adc_lsb


def test_a_charge_ends_at_its_limit_and_takes_as_long_as_the_array_says(cycle):
    done, _ = cycle
    found = volts(done["charge"])
    inside, rest = found[:-3], found[-3:]
    assert inside[-2] < CHARGE.high_volts <= inside[-1] and len(inside) < 24
    (drive,) = done["charge"].intervals
    assert drive.source == CHARGE.amperes and abs(CHARGE.error) < 1e-3
    seconds = (drive.ended - drive.begun) / CLK_HZ
    leg = by_hand(stores(), CELL, CHARGE.amperes, TOP, np.array([OHMS]))
    assert 0 <= seconds - leg.seconds[-1] + 1e-3 <= CHARGE.step_seconds
    alone = stores()
    for n, voltage in enumerate(inside):
        train = CHARGE.train
        step = (train.delay if not n else train.spacing) / CLK_HZ
        alone.charge(CELL, CHARGE.amperes, step)
        wanted = alone.sense_voltage(CELL)[0] + CHARGE.amperes * OHMS
        assert voltage == pytest.approx(wanted, abs=CARD.adc_lsb)
    # The drop over the series resistance is gone at once, the charge within days.
    assert rest[0] < inside[-1] - 0.9 * CHARGE.amperes * OHMS
    alone.charge(CELL, CHARGE.amperes, (CHARGE.train.react + 1) / CLK_HZ)
    for voltage in rest:
        alone.wait(CHARGE.train.after_spacing / CLK_HZ)
        assert voltage == pytest.approx(alone.sense_voltage(CELL)[0], abs=CARD.adc_lsb)
    assert (np.diff(rest) < -5 * CARD.adc_lsb).all()


def test_a_discharge_gives_back_what_was_stored(cycle):
    done, _ = cycle
    found = volts(done["discharge"])
    assert found[-1] <= DISCHARGE.low_volts < found[-2]
    times = {name: (i.ended - i.begun) / CLK_HZ for name in done for i in done[name].intervals}
    # From 3.3 V to 0.3 V, of the 3.3 V that were charged from empty.
    part = times["discharge"] / times["charge"]
    assert part == pytest.approx(3.0 / 3.3, abs=0.1)
    assert found[0] == pytest.approx(
        volts(done["charge"])[-1] - 1e-6 * OHMS
        - DISCHARGE.step_seconds * 1e-6 / (41.0 * 3.14159265e-8), rel=0.05
    )  # fmt: skip


def test_a_current_of_a_lower_range_flows_for_longer_than_any_pulse_of_the_rail(cycle):
    done, array = cycle
    (drive,) = done["slow"].intervals
    assert drive.ended - drive.begun == SLOW.train.width == 40 * CLK_HZ
    assert drive.source == SLOW.amperes == pytest.approx(50e-9, rel=1e-4)
    assert SLOW.train.source_range == 2
    rise = np.diff(volts(done["slow"]))
    assert (rise > 0).all() and rise.sum() == pytest.approx(31 / 32 * 40 * 50e-9 / 1.29e-6, rel=0.3)
    idle = np.setdiff1d(np.arange(GEOMETRY.cells), CELL)
    assert not array.state.q.reshape(-1)[idle].any()


def test_a_voltammogram_is_the_arrays_and_holds_the_capacitance():
    sweep = ramp(0.0, 3.5, 1.0, CLK_HZ, PACE, step_volts=0.25)
    array, alone = stores(), stores()
    done = run({"cv": (Op.SWEEP, pack_sweep(sweep.stairs))}, array)["cv"]
    stairs = sweep.stairs
    wanted = []
    for n, code in enumerate(stairs.codes()):
        if n:
            alone.wait((stairs.interval - stairs.width) / CLK_HZ)
        current = alone.sweep(CELL, [CARD.dac_volts(code)], stairs.width / CLK_HZ, None)[0, 0]
        wanted.append(int(CARD.current_codes(current, CV_RANGE)))
    assert np.abs(np.array(done.samples) - wanted).max() <= 1
    assert array.sense_voltage(CELL) == pytest.approx(alone.sense_voltage(CELL), abs=1e-4)
    # The charge of the rising half over the window: 4.1 mF/cm2 of a circle of 200 um.
    current = np.array(done.samples) * CARD.adc_lsb / CARD.tia_ohms[CV_RANGE]
    rising = current[: len(current) // 2 + 1].sum() * stairs.width / CLK_HZ
    assert rising / sweep.stop_volts == pytest.approx(41.0 * 3.14159265e-8, rel=0.1)
    assert current.min() < 0


def test_a_source_in_a_wrong_range_is_found(monkeypatch):
    """The voltages are others, and so is the moment of the cut."""
    train = replace(CHARGE.train, after=0)
    records = {"charge": (Op.PULSE, pack_pulse(train))}

    class Wrong(session.WatchedCard):
        def set_gate_b(self, time, on):
            self.tia_range += self.source and on
            super().set_gate_b(time, on)

    monkeypatch.setattr(session, "WatchedCard", Wrong)
    with pytest.raises(session.Verdict, match="of cell memory is"):
        run(records, stores())


def test_a_source_that_is_not_selected_is_found(monkeypatch):
    class Stuck(session.WatchedCard):
        def set_source(self, time, on):
            pass

    monkeypatch.setattr(session, "WatchedCard", Stuck)
    records = {"charge": (Op.PULSE, pack_pulse(replace(CHARGE.train, after=0)))}
    with pytest.raises((session.Verdict, CardFault)):
        run(records, stores())


def test_the_outcome_says_that_it_was_cut(cycle):
    done, _ = cycle
    job = make_job({"charge": (Op.PULSE, pack_pulse(CHARGE.train))})
    engine = NumpyEngine(job.image, stores(), CARD, CLK_HZ, job.seed)
    engine.setup()
    engine.run("charge")
    samples, status = unpack_outcome(int(engine.cell_memory[0]))
    assert status is PulseStatus.CUT and samples == len(done["charge"].samples)
