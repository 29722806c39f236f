"""What pulses do to a cell: statistics of the line, thresholds, wear, independence of batch."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from ohmloom.sim.devices import (
    CellState,
    ComplianceError,
    Device,
    DeviceError,
    Draws,
    EnduranceError,
    Health,
    Stress,
    changed,
    load,
)
from ohmloom.sim.devices.families import icc_line
from ohmloom.sim.numerics import FloatArray

OGB = load("cspbbr3_ogb")
MODE = "modes.nonvolatile"


def parameters(device: Device) -> icc_line.Parameters:
    p = device.mode("nonvolatile").p
    assert isinstance(p, icc_line.Parameters)
    return p


P = parameters(OGB)
G_HRS = P.hrs.conductance.value
SET = {"volts": OGB.v_set, "width_s": OGB.set_width_s}
RESET = {"volts": OGB.v_reset, "width_s": OGB.reset_width_s, "i_cc": None}


def pulse(
    cells: ArrayLike,
    i_cc: ArrayLike | None = 1e-4,
    pulses: ArrayLike = 0,
    device: Device = OGB,
    seed: int = 1,
    g: ArrayLike = 1e-5,
    **changes: Any,
) -> FloatArray:
    """Conductance after one pulse on each of some cells."""
    given = {**SET, "i_cc": i_cc, **changes}
    p = parameters(device)
    cells, g, pulses = np.broadcast_arrays(np.atleast_1d(cells), g, pulses)
    state = CellState.blank(cells.shape).with_(g=g.astype(float))
    stress = Stress.on(cells.shape, given["volts"], given["width_s"], given["i_cc"])
    icc_line.refuse(p, state, stress)
    return icc_line.drive(p, state, stress, Draws(seed, cells, pulses)).g


def made(cells: Any, seed: int = 1) -> FloatArray:
    return icc_line.pristine(P, Draws(seed, cells, np.zeros_like(cells)), cells.shape).g


@pytest.mark.parametrize("i_cc", [34e-6, 60e-6, 109e-6, 250e-6])
def test_a_set_draws_from_the_line(i_cc):
    g = pulse(np.arange(40_000), i_cc)
    mean, sigma = 3.338 * i_cc - 1.294e-5, (7.040 * i_cc * 1e3 + 3.0585) * 1e-6
    assert abs(g.mean() - mean) < 4 * sigma / math.sqrt(g.size)
    assert abs(g.std() / sigma - 1) < 4 / math.sqrt(2 * g.size)
    within = np.mean(np.abs(g - mean) < sigma)
    assert within == pytest.approx(0.6827, abs=0.01)


def test_a_reset_and_the_state_as_made_are_log_normal():
    cells = np.arange(40_000)
    for g in (pulse(cells, **RESET), made(cells)):
        decades = np.log10(g / G_HRS)
        assert abs(decades.mean()) < 4 * 0.2 / math.sqrt(g.size)
        assert decades.std() == pytest.approx(0.2, rel=0.02)


def test_on_over_off_is_a_thousand_at_1_ma():
    assert float(icc_line.mean(P, 1e-3)) / np.median(
        pulse(np.arange(9999), **RESET)
    ) == pytest.approx(1e3, rel=0.02)


@pytest.mark.parametrize(
    "weak",
    [
        {"volts": 0.79},
        {"volts": 0.1},
        {"volts": -1.19, "i_cc": None},
        {"width_s": 0.4e-3},
        {"volts": OGB.v_reset, "width_s": 0.4e-3, "i_cc": None},
    ],
)
def test_a_pulse_below_threshold_or_width_changes_nothing(weak):
    g = np.linspace(1e-6, 3e-4, 7)
    assert np.array_equal(pulse(np.arange(7), g=g, **weak), g)


@pytest.mark.parametrize("i_cc", [None, 0.0, 1e-6, 10e-6, 29.9e-6, 251e-6, 1e-3, math.nan])
def test_a_set_outside_the_line_is_refused(i_cc):
    with pytest.raises(ComplianceError, match="3e-05 to 0.00025 A"):
        pulse(np.arange(3), i_cc)


def test_a_reset_needs_no_limit():
    assert pulse(0, **{**RESET, "i_cc": 1e-6}) < 1e-4


def test_a_batch_of_one_and_of_a_thousand_give_the_same_bits():
    rng = np.random.default_rng(0)
    cells = rng.permutation(5000)[:1000]
    i_cc = rng.uniform(30e-6, 250e-6, 1000)
    volts = rng.choice([1.0, -1.5, 0.1], 1000)
    g = rng.uniform(1e-6, 4e-4, 1000)
    count = rng.integers(0, 9, 1000)
    together = pulse(cells, i_cc, count, g=g, volts=volts)
    for n in range(0, 1000, 17):
        alone = pulse(cells[n], i_cc[n], count[n], g=g[n], volts=volts[n])
        assert together[n].tobytes() == alone.tobytes()
    backwards = pulse(cells[::-1], i_cc[::-1], count[::-1], g=g[::-1], volts=volts[::-1])
    assert np.array_equal(backwards[::-1], together)


def test_a_draw_belongs_to_seed_cell_and_pulse_count():
    g = {float(pulse(c, pulses=p, seed=s)[0]) for c in (0, 1) for p in (0, 1) for s in (1, 2)}
    assert len(g) == 8
    assert pulse(1, pulses=3) == pulse(1, pulses=3)


@pytest.mark.parametrize("count", [2, 32, 256])
def test_an_ideal_cell_lands_exactly_on_its_level(count):
    device = load(f"ideal:{count}")
    # The gate DAC gives I_cc to within a few tenths of a percent.
    for error in (-0.0003, 0, 0.0003):
        g = pulse(np.arange(count), device.level_i_cc * (1 + error), device=device)
        assert np.array_equal(device.g_codes(g), device.level_codes)
    assert not device.var_codes(device.levels).any()
    assert set(pulse(np.arange(9), device=device, **RESET).tolist()) == {
        parameters(device).hrs.conductance.value
    }


def test_the_line_of_the_source():
    assert icc_line.mean(P, 0.1e-3) == pytest.approx(3.338 * 0.1e-3 - 1.294e-5)
    assert icc_line.sigma(P, 0.1e-3) == pytest.approx(3.76e-6, rel=1e-3)  # 7.040 * 0.1 + 3.0585 uS
    assert icc_line.mean(P, 1e-3) == pytest.approx(3.325e-3, rel=1e-3)
    assert pytest.approx(float(icc_line.mean(P, 1e-3)) / 1e3, rel=1e-3) == G_HRS


def test_the_two_printed_offsets_are_both_there():
    g = np.array([0.1e-3, 0.35e-3])
    assert np.allclose(icc_line.mean(P, icc_line.compliance(P, g)), g, rtol=1e-12)
    printed = icc_line.mean(P, icc_line.compliance(P, g, as_printed=True))
    assert np.allclose(g - printed, 1.294e-5 - 1.249e-5)


def after(state: CellState, volts: float, i_cc: float | None, p: icc_line.Parameters) -> CellState:
    stress = Stress.on(state.shape, volts, 1e-3, i_cc)
    icc_line.refuse(p, state, stress)
    return icc_line.drive(p, state, stress, Draws(1, np.arange(3), state.pulses))


def test_wear_counts_sets_and_ends_with_a_refusal():
    p = parameters(changed(OGB, **{f"{MODE}.wear.endurance": 4}))
    state = icc_line.pristine(p, Draws(1, np.arange(3), np.zeros(3)), (3,))
    for n in range(4):
        assert (state.health == Health.OK).all() and (state.cycles == n).all()
        state = after(after(state, -1.5, None, p), 1.0, 1e-4, p)
    assert (state.health == Health.COLLAPSED).all()
    for volts, i_cc in ((1.0, 1e-4), (-1.5, None)):
        with pytest.raises(EnduranceError, match="4 cycles of the 4"):
            after(state, volts, i_cc, p)
    assert after(state, 0.1, None, p).g.tolist() == state.g.tolist()  # reading is allowed


def test_current_is_ohmic_and_limited():
    state = CellState.blank(3).with_(g=np.array([1e-4, 2e-4, 3e-4]))
    stress = Stress.on((3,), [0.1, -0.1, 0.5], 1e-3, 5e-5)
    after = icc_line.drive(P, state, stress, Draws(1, np.arange(3), np.zeros(3)))
    current = icc_line.flowing(P, state, after, stress)
    assert current.tolist() == [1e-5, -2e-5, 5e-5]
    assert icc_line.relax(P, state, np.full(3, 1e6)) is state


def test_the_given_state_is_left_alone():
    state = icc_line.pristine(P, Draws(1, np.arange(3), np.zeros(3)), (3,))
    before = state.take(...)
    after(state, 1.0, 1e-4, P)
    assert np.array_equal(state.g, before.g) and not state.w.any() and not state.cycles.any()


def test_levels_off_the_line_are_refused():
    with pytest.raises(DeviceError, match="levels need I_cc from"):
        changed(OGB, **{f"{MODE}.line.i_cc_max": 100e-6})
