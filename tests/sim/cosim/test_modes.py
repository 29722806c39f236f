"""Devices through their modes on the RTL: every step as in the numpy engine, refusals too."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ohmloom.cli.app import main
from ohmloom.compiler.tour import Tour, make_tour, walks
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Dac
from ohmloom.hw.profile import ModeStatus
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.bench import lags
from ohmloom.sim.cosim.card import AnalogCard, CardFault
from ohmloom.sim.cosim.comparison import Verdict
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.session import Done, Step, run_session, run_tour
from ohmloom.sim.cosim.waveform import draw_waveform, phases
from ohmloom.sim.devices import catalogue, load

CARD = Converters()
CLK = 48_000_000


def quiet(stage: str, done: int, total: int) -> None:
    """No progress."""


def tour_of(name: str) -> tuple[Tour, Job]:
    tour = make_tour(load(name), CARD, CLK)
    image = tour.image
    levels = np.zeros((image.tiles, image.geometry.rows, image.geometry.columns), np.int64)
    samples = np.zeros((0, 1), np.int64)
    return tour, Job(image, load(name), levels, samples, CARD, 1, CLK)


def upto(tour: Tour, name: str) -> list[Step]:
    """The steps up to the one of this name."""
    names = [step.name for step in tour.steps]
    return list(tour.steps[: names.index(name) + 1])


# -- the plan -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ways", "found"),
    [
        ([], []),
        ([(0, 1)], [[0]]),
        ([(0, 1), (1, 2), (1, 3), (0, 4)], [[0, 1], [3], [0, 2]]),
        ([(0, 1), (1, 0)], [[0, 1]]),
        ([(1, 2)], []),  # nobody comes there
    ],
)
def test_walks_take_every_way_that_can_be_reached(ways, found) -> None:
    assert walks(ways) == found


@pytest.mark.parametrize("name", catalogue())
def test_every_device_has_a_tour_with_all_its_ways(name: str) -> None:
    tour, _ = tour_of(name)
    changes = {step.phase for step in tour.steps if step.phase.startswith("to ")}
    assert changes == {f"to {way.to}" for way in tour.profile.ways}
    steps = (*tour.steps, *tour.after_reset)
    assert {step.entry for step in steps} == set(tour.image.entries)
    said = {step.refused for step in tour.steps}
    assert {ModeStatus.NO_PROFILE, ModeStatus.UNKNOWN} <= said
    assert (ModeStatus.LOCKED in said) == bool(tour.after_reset) == (name in ("vb1", "vb2"))


# -- on the RTL -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def walked() -> tuple[Tour, list[Done]]:
    """The all-in-one device up to the end of its first walk."""
    tour, job = tour_of("all_in_one")
    steps = upto(tour, "volatile_uniform back to power")
    return tour, run_session(job, steps, quiet)


def test_analog_power_and_volatile_are_entered_used_and_left(walked) -> None:
    _, done = walked
    said = {one.step.name: one for one in done}
    modes = [one.mode for one in done]
    path = [mode for n, mode in enumerate(modes) if n == 0 or mode != modes[n - 1]]
    assert path == ["unknown", "analog", "power", "volatile_uniform"]
    assert said["analog to power, not armed"].status is ModeStatus.UNARMED
    assert said["power back to analog"].status is ModeStatus.NO_WAY
    assert said["volatile_uniform: a pulse with I_cc = 262 uA, in the gap"].step.stopped
    # 8 rows at 45 mV/s: more than ten minutes of model time, most of it jumped over.
    assert said["analog to power, armed"].cycles > 600 * CLK
    assert sum(one.compared for one in done) > 4000


def test_what_the_cells_did(walked) -> None:
    _, done = walked
    said = {one.step.name: one for one in done}
    up = said["analog: 10 pulses of -5 V, potentiation"].intervals
    down = said["analog: 10 pulses of 5 V, depression"].intervals
    rising = [i.after for i in up]
    falling = [i.after for i in down]
    assert len(up) == len(down) == 10
    assert rising == sorted(rising) and falling == sorted(falling, reverse=True)
    assert rising[-1] > 3 * up[0].before
    charging = [s.volts for s in said["power: charging with 4.51 uA"].intervals[0].samples]
    discharging = [s.volts for s in said["power: discharging with 4.51 uA"].intervals[0].samples]
    assert charging == sorted(charging) and charging[-1] > 1.5
    assert discharging == sorted(discharging, reverse=True) and discharging[-1] < 0.35
    cv = [i.samples[0].amperes for i in said["power: CV to 3.5 V at 0.5 V/s"].intervals]
    assert max(cv[1:31]) > 3e-7 and min(cv[31:]) < -3e-7
    pulses = said["volatile_uniform: 3 pulses of 7.2 V within 9 uA"].intervals
    assert all(i.after > 30 * i.before for i in pulses)  # on in each, off before the next
    assert all(i.i_cc is not None and i.i_cc < 1e-5 for i in pulses)


def test_the_waveform_is_drawn(walked, tmp_path) -> None:
    _, done = walked
    columns = phases(done, 0)
    assert [phase.name for phase in columns] == [
        "analog", "to power", "power, CV", "power", "to volatile_uniform", "volatile_uniform",
    ]  # fmt: skip
    assert [len(phase.refused) for phase in columns] == [1, 0, 0, 1, 0, 2]
    assert phases(done, 1) == []
    png, svg = draw_waveform(done, 0, CLK, (1e-4, 5e-4), "a test", tmp_path, "walk")
    assert png.stat().st_size > 50_000
    text = svg.read_text()
    assert "to volatile_uniform" in text and "UNARMED" in text and "no mode between" in text


def test_a_write_once_cell_stays_locked_after_a_reset() -> None:
    tour, job = tour_of("vb1")
    done = run_tour(job, (tour.steps, tour.after_reset), quiet)
    said = [(one.step.name, one.status) for one in done if one.step.refused or one.intervals]
    assert said == [
        ("a pulse before ADOPT", ModeStatus.NO_PROFILE),
        ("a pulse before RESTORE", ModeStatus.UNKNOWN),
        ("a write of a cell that is not known", ModeStatus.LOCKED),
        ("the first write", ModeStatus.OK),
        ("a second write", ModeStatus.LOCKED),
        ("a second write after a reset", ModeStatus.LOCKED),
    ]


# -- planted faults -------------------------------------------------------------------


def test_a_step_that_is_not_refused_as_it_should_be_is_found() -> None:
    tour, job = tour_of("vb1")
    steps = [replace(tour.steps[0], refused=ModeStatus.LOCKED)]
    with pytest.raises(Verdict, match="no device profile"):
        run_session(job, steps, quiet)


def test_a_controller_that_says_otherwise_is_found(monkeypatch) -> None:
    """The numpy engine restores what the RTL does not know."""
    from ohmloom.sim.engine.modes import ModeKeeper

    tour, job = tour_of("vb3")
    adopt = ModeKeeper.adopt

    def wrong(self, address) -> None:
        adopt(self, address)
        self.restore(0, "a test", 0, 0)

    monkeypatch.setattr(ModeKeeper, "adopt", wrong)
    with pytest.raises(Verdict, match="ADOPT: tile 0 is"):
        run_session(job, upto(tour, "ADOPT"), quiet)


def test_cells_that_are_left_in_another_state_are_found(monkeypatch) -> None:
    """The card forgets the change of mode."""

    def forget(self, time: int, on: bool, to: int) -> None:
        self._changing = to if on else None

    monkeypatch.setattr(AnalogCard, "set_changing", forget)
    tour, job = tour_of("cspbbr3_film")
    with pytest.raises(Verdict, match="tile 0 is not in the numpy engine's state"):
        run_session(job, upto(tour, "volatile to nonvolatile, armed"), quiet)


# -- the card measures ----------------------------------------------------------------

GEOMETRY = Geometry(rows=8, columns=8, tiles=1, program_depth=64, param_depth=64, act_depth=64)


def swept(interval_s: float, top: float = 3.5, steps: int = 10) -> SimulatedArray:
    """Row 2 of fresh cells, swept by hand as for a change to power."""
    array = SimulatedArray(load("all_in_one"), 1, 8, 8, seed=1)
    card = AnalogCard(array, CARD, GEOMETRY, CLK, lags(CLK))
    on, off = np.ones(8, bool), np.zeros(8, bool)
    row = np.arange(8) == 2
    card.set_lines(0, row_b=row, row_ground=~row, column_ground=on, column_tia=off, gate_on=on)
    now = 10**6
    card.set_train(now, True)
    for n in range(steps + 1):
        card.set_dac(now, Dac.RAIL_B, CARD.dac_code(top * n / steps))
        now += 10**6
        card.set_changing(now, True, 1) if n == 0 else None
        card.set_gate_b(now, True)
        card.set_gate_b(now + int(interval_s * CLK / 2), False)
        now += int(interval_s * CLK) - 10**6
    card.set_changing(now, False, 1)
    card.set_train(now, False)
    return array


def test_the_card_changes_the_mode_that_it_has_measured() -> None:
    array = swept(10.0)
    assert (array.state.mode[0, 2] == 1).all()
    assert (np.delete(array.state.mode[0], 2, axis=0) == 0).all()
    assert array.elapsed_s == pytest.approx(105.0, rel=1e-3)


def test_a_recipe_that_is_too_fast_at_the_pins_is_a_fault() -> None:
    with pytest.raises(CardFault, match=r"recipe of power .*V/s or slower"):
        swept(5.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all_in_one", "cspbbr3_ogb", "cspbbr3_film", "vb2"])
def test_the_command(name: str, tmp_path, capsys) -> None:
    assert main(["modes", name, "-o", str(tmp_path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["mismatches"] == 0 and data["values_compared"] > 500
    assert all((tmp_path / f"{name}-0.{kind}").is_file() for kind in ("png", "svg"))
    if name == "all_in_one":
        assert {step["mode"] for step in data["steps"]} == {
            "unknown", *(mode.name for mode in load(name).modes)
        }  # fmt: skip
