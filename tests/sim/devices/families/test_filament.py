"""Two states: distributions, thresholds with their sign, write once, conduction, temperature."""

import math
from typing import Any

import numpy as np
import pytest

from ohmloom.sim.devices import (
    CellState,
    ComplianceError,
    Device,
    DeviceError,
    Draws,
    EnduranceError,
    Health,
    Stress,
    WriteOnceError,
    build,
    changed,
    load,
)
from ohmloom.sim.devices.families import filament
from ohmloom.sim.devices.laws import BOLTZMANN_EV

MODE = "modes.nonvolatile"


def parameters(device: Device) -> filament.Parameters:
    p = device.mode("nonvolatile").p
    assert isinstance(p, filament.Parameters)
    return p


VB1, VB3, BION = (load(name) for name in ("vb1", "vb3", "bion"))
P1, P3, PB = parameters(VB1), parameters(VB3), parameters(BION)


class Cells:
    """Some cells and their pulse counts."""

    def __init__(self, p: filament.Parameters, count: int = 8, seed: int = 1) -> None:
        self.p, self.seed, self.cells = p, seed, np.arange(count)
        self.pulses = np.zeros(count, dtype=np.uint32)
        self.state = filament.pristine(p, self.draws, (count,))
        self.current = np.zeros(count)

    @property
    def draws(self) -> Draws:
        return Draws(self.seed, self.cells, self.pulses)

    def pulse(self, volts: Any, i_cc: Any = None, seconds: Any = 1e-3, kelvin: Any = 298.15):
        stress = Stress.on(self.state.shape, volts, seconds, i_cc, kelvin)
        filament.refuse(self.p, self.state, stress)
        before, self.state = self.state, filament.drive(self.p, self.state, stress, self.draws)
        self.current = filament.flowing(self.p, before, self.state, stress)
        self.pulses = self.pulses + np.uint32(1)
        return self

    def set(self):
        return self.pulse(self.p.set.volts.value, self.p.compliance.i_cc.value)

    def reset(self):
        assert self.p.reset is not None
        return self.pulse(self.p.reset.volts.value)


def reversed_(device: Device) -> filament.Parameters:
    """The same device with SET and RESET at the other polarity."""
    names = [
        f"{MODE}.{event}.{value}" for event in ("set", "reset") for value in ("threshold", "volts")
    ]
    document = device.document()
    for name in names:
        node = document
        for part in name.split("."):
            node = node[part]
        node["value"] = -node["value"]
    return parameters(build(document, "reversed"))


def unipolar() -> filament.Parameters:
    document = VB3.document()
    mode = document["modes"]["nonvolatile"]
    mode["switching"] = "unipolar"
    mode["reset"]["threshold"]["value"], mode["reset"]["volts"]["value"] = 0.5, 0.7
    return parameters(build(document, "unipolar"))


# -- distributions --------------------------------------------------------------------


def test_states_are_log_normal_around_their_medians():
    cells = Cells(PB, 20_000).set()
    lrs, hrs = np.log10(cells.state.g), np.log10(cells.reset().state.g)
    for decades, state, total in ((lrs, PB.lrs, 0.0327), (hrs, PB.hrs, 0.2762)):
        middle = math.log10(state.conductance.value)
        assert abs(decades.mean() - middle) < 4 * total / math.sqrt(decades.size)
        assert decades.std() == pytest.approx(total, rel=0.02)


def test_spread_from_cell_to_cell_and_from_cycle_to_cycle_are_apart():
    cells = Cells(PB, 3000)
    runs = np.array([np.log10(cells.reset().set().reset().state.g) for _ in range(6)])
    assert runs.std(axis=0, ddof=1).mean() == pytest.approx(0.1953, rel=0.06)
    alone = parameters(changed(BION, **{f"{MODE}.hrs.cycle_spread": 0.0}))
    same = Cells(alone, 3000).set().reset().state.g
    assert np.array_equal(same, Cells(alone, 3000).set().reset().set().reset().state.g)
    assert np.log10(same).std() == pytest.approx(0.1953, rel=0.05)


@pytest.mark.parametrize(("name", "ratio"), [("vb1", 6.67e3), ("vb2", 1.07e4), ("vb3", 2.62e4)])
def test_on_over_off_is_that_of_the_table(name, ratio):
    cells = Cells(parameters(load(name)), 9999)
    off = np.median(cells.state.g)
    assert np.median(cells.set().state.g) / off == pytest.approx(ratio, rel=0.02)


# -- switching ------------------------------------------------------------------------


def test_thresholds_spread_around_the_nominal_one():
    cells = Cells(P3, 20_000).pulse(1.07, 1e-3)
    assert cells.state.w.mean() == pytest.approx(0.5, abs=0.015)
    sigma = math.hypot(0.03, 0.03)
    cells = Cells(P3, 20_000).pulse(1.07 * (1 + sigma), 1e-3)
    assert cells.state.w.mean() == pytest.approx(0.8413, abs=0.01)
    on = Cells(P3, 20_000).set()
    assert (on.state.w == 1).all()
    assert on.pulse(-6.94).state.w.mean() == pytest.approx(0.5, abs=0.015)
    assert on.reset().state.w.sum() < 10  # beyond four sigma of the threshold


@pytest.mark.parametrize(
    "weak",
    [
        {"volts": 0.8, "i_cc": 1e-3},
        {"volts": -1.3, "i_cc": 1e-3},
        {"volts": 1.3, "i_cc": 1e-3, "seconds": 0.4e-3},
        {"volts": 1.3, "i_cc": 10e-6},  # too little for a filament
        {"volts": -8.2},  # there is nothing to RESET
    ],
)
def test_what_does_not_set(weak):
    cells = Cells(P3)
    before = cells.state
    after = cells.pulse(**weak).state
    assert np.array_equal(after.g, before.g) and not after.w.any() and not after.cycles.any()


@pytest.mark.parametrize("weak", [{"volts": -5.0}, {"volts": 8.2, "i_cc": 1e-3},
                                  {"volts": -8.2, "seconds": 0.4e-3}])  # fmt: skip
def test_what_does_not_reset(weak):
    cells = Cells(P3).set()
    g = cells.state.g
    assert np.array_equal(cells.pulse(**weak).state.g, g)


def test_the_other_polarity():
    p = reversed_(VB3)
    assert filament.window(p).set_sign == -1
    cells = Cells(p).pulse(1.3, 1e-3)
    assert not cells.state.w.any()
    assert cells.pulse(-1.3, 1e-3).state.w.all()
    assert not cells.pulse(8.2).state.w.any()


def test_a_unipolar_cell_resets_below_its_set_without_limit():
    cells = Cells(unipolar()).set()
    assert cells.state.w.all()
    assert cells.pulse(0.7, 1e-3).state.w.all()  # limited: it stays
    assert cells.pulse(-0.7).state.w.all()
    assert not cells.pulse(0.7).state.w.any()
    with pytest.raises(ComplianceError, match="I_cc = inf A"):
        cells.pulse(1.3)


def test_a_set_without_limit_is_refused():
    for i_cc in (None, 20e-3):
        with pytest.raises(ComplianceError, match="up to 0.01 A"):
            Cells(P3).pulse(1.3, i_cc)


def test_a_cell_is_written_once_ever():
    cells = Cells(P1)
    cells.pulse(0.4, 1e-3)
    assert not cells.state.written.any()
    g = cells.set().state.g
    assert cells.state.written.all()
    for volts, i_cc in ((1.0, 1e-3), (0.82, None), (-5.0, None)):
        with pytest.raises(WriteOnceError, match="once, ever"):
            cells.pulse(volts, i_cc)
    for _ in range(120):
        cells.pulse(0.01)
    assert np.array_equal(cells.state.g, g)


def test_one_written_cell_refuses_the_whole_batch():
    cells = Cells(P1)
    cells.pulse(np.where(cells.cells == 3, 1.0, 0.0), 1e-3)
    before = cells.state
    with pytest.raises(WriteOnceError):
        cells.set()
    assert cells.state is before and cells.state.written.tolist() == [n == 3 for n in range(8)]


def test_wear_ends_in_the_state_that_the_entry_names():
    ddab = parameters(load("cspbbr3_ddab"))
    cells = Cells(ddab)
    for _ in range(50):
        assert (cells.state.health == Health.OK).all()
        cells.reset().set()
    assert (cells.state.health == Health.STUCK_ON).all() and cells.state.w.all()
    for act in (cells.reset, cells.set):
        with pytest.raises(EnduranceError, match="50 cycles of the 50 .* stuck ON"):
            act()
    assert (cells.state.cycles == 50).all()


def test_wear_at_a_temperature():
    cells = Cells(P3)
    for _ in range(32):
        cells.reset().set()
    assert (cells.state.health == Health.OK).all()
    with pytest.raises(EnduranceError, match="32 cycles of the 32"):
        cells.pulse(-8.2, kelvin=543.15)
    cells.reset()


# -- conduction -----------------------------------------------------------------------


def slope(state: CellState, volts: float) -> Any:
    low, high = (
        filament.current(P3, state, np.full(8, v), np.full(8, 298.15))
        for v in (volts * 0.999, volts * 1.001)
    )
    return np.log(high / low) / math.log(1.001 / 0.999)


def test_a_filament_is_ohmic_and_the_other_state_is_not():
    off = Cells(P3)
    on = Cells(P3).set()
    for volts in (1e-4, 0.01, 0.1, 1.0):
        assert np.allclose(slope(on.state, volts), 1, atol=1e-6)
    # Ohmic, child (v_child = 2 V), trap-filled (v_trap = 3 V), and far beyond.
    slopes = [slope(off.state, v)[0] for v in (1e-4, 0.7, 2.0, 4.0, 60.0)]
    assert slopes == sorted(slopes)
    assert slopes[0] == pytest.approx(1, abs=0.01) and 1.5 < slopes[2] < 2.5
    assert slopes[-1] == pytest.approx(5, abs=0.05)  # exponent 4


def test_g_is_the_conductance_at_the_read_voltage():
    for cells in (Cells(P3), Cells(P3).set()):
        current = filament.current(P3, cells.state, np.full(8, 0.01), np.full(8, 298.15))
        assert np.allclose(current / 0.01, cells.state.g, rtol=1e-12)
        back = filament.current(P3, cells.state, np.full(8, -0.01), np.full(8, 298.15))
        assert np.array_equal(back, -current)


def test_on_over_off_falls_with_temperature_as_measured():
    cells = Cells(P3, 1)
    volts, hot = np.full(1, 0.01), np.full(1, 543.15)
    off = filament.current(P3, cells.state, volts, hot) / 0.01 / cells.state.g
    assert off == pytest.approx(2.62e4 / 1.55e3, rel=0.01)
    on = cells.set().state
    assert filament.current(P3, on, volts, hot) / 0.01 == pytest.approx(on.g)


def test_the_activation_energy_comes_back_from_the_currents():
    p = load("cspbbr3_ogb").mode("nonvolatile_1ma").p
    assert isinstance(p, filament.Parameters)
    state = Cells(p, 1).state
    kelvin = np.array([280.0, 300.0, 320.0, 340.0])
    one = CellState.blank(4).with_(g=np.full(4, state.g[0]))
    current = filament.current(p, one, np.full(4, 0.05), kelvin)
    energy = -np.polyfit(1 / kelvin, np.log(current), 1)[0] * BOLTZMANN_EV
    assert energy == pytest.approx(0.208, rel=1e-6)
    assert (np.diff(current) > 0).all()  # the resistance falls


def test_the_current_stays_within_compliance():
    cells = Cells(P3).set()
    assert (cells.current > 0).all() and cells.current.max() == 1e-3
    assert (cells.pulse(-2.0, 1e-4).current == -1e-4).all()


# -- the family -----------------------------------------------------------------------


def test_a_cell_does_not_depend_on_its_batch():
    together = Cells(P3, 300).set().pulse(-6.94)
    order = np.random.default_rng(0).permutation(300)
    for some in (order, order[:1], order[7:30]):
        apart = Cells(P3, 300)
        apart.cells, apart.pulses = some, np.zeros(some.size, dtype=np.uint32)
        apart.state = filament.pristine(P3, apart.draws, some.shape)
        apart.set().pulse(-6.94)
        assert np.array_equal(apart.state.g, together.state.g[some])
        assert np.array_equal(apart.current, together.current[some])


def test_time_alone_changes_nothing():
    state = Cells(P3).set().state
    assert filament.relax(P3, state, np.full(8, 1e7)) is state
    assert not filament.RELAXES


def test_windows_and_programming():
    window = filament.window(P3)
    assert (window.v_min, window.v_max, window.i_cc_max) == (-8.2, 1.3, 10e-3)
    assert filament.window(P1).v_min == 0
    assert VB3.level_i_cc.tolist() == [10e-6, 1e-3]
    assert len(BION.levels) == 2
    assert VB1.weights is None
    with pytest.raises(DeviceError, match="codes.g_lsb = 1e-08 S covers"):
        changed(VB3, **{f"{MODE}.codes.g_lsb": 1e-8})


@pytest.mark.parametrize(
    ("device", "change", "said"),
    [
        (VB3, {"hrs.conductance": 1.0}, "hrs.conductance = 1 must be below lrs.conductance"),
        (VB3, {"set.volts": 1.0}, "volts must be beyond threshold"),
        (VB3, {"set.volts": -1.3}, "volts must be beyond threshold"),
        (VB3, {"set.threshold": 0.0}, "0 is not other than 0"),
        (VB3, {"set.cycle_spread": 0.2}, "above 0.15 together"),
        (VB3, {"compliance.i_cc": 0.1}, "i_cc is outside"),
        (VB3, {"compliance.i_cc_off": 1e-4}, "compliance.i_cc_off = 0.0001 must be below"),
        (VB3, {"read.v_read": 1.0}, "read.v_read may SET"),
        (VB3, {"reset.threshold": 0.5, "reset.volts": 0.7}, "not that of a bipolar cell"),
        (VB3, {"levels.count": 3.0}, "2 levels"),
    ],
)
def test_an_entry_that_contradicts_itself(device, change, said):
    with pytest.raises(DeviceError, match=said):
        changed(device, **{f"{MODE}.{name}": value for name, value in change.items()})


@pytest.mark.parametrize(
    ("device", "switching", "said"),
    [(VB3, "write_once", "reset: a write_once cell has none"),
     (VB1, "bipolar", "reset: a bipolar cell has one"),
     (VB3, "unipolar", "not that of a unipolar cell")],
)  # fmt: skip
def test_a_kind_of_switching_that_does_not_fit(device, switching, said):
    document = device.document()
    document["modes"]["nonvolatile"]["switching"] = switching
    with pytest.raises(DeviceError, match=said):
        build(document, "x")
