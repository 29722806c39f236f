"""The simulated array: state, named reads, exact sums, and what it refuses."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from ohmloom.sim.array import Array, ArrayError, SimulatedArray, Unsupported
from ohmloom.sim.devices import ComplianceError, load
from ohmloom.sim.devices.families import icc_line

OGB, IDEAL = load("cspbbr3_ogb"), load("ideal")


P: Any = OGB.mode("nonvolatile").p


@pytest.fixture
def array() -> SimulatedArray:
    return SimulatedArray(OGB, tiles=3, rows=8, columns=16, seed=5)


def write(array: SimulatedArray, cells: ArrayLike, i_cc: ArrayLike = 1e-4) -> None:
    array.pulse(cells, OGB.v_reset, OGB.reset_width_s, None)
    array.pulse(cells, OGB.v_set, OGB.set_width_s, i_cc)


def consistent(array: SimulatedArray) -> bool:
    device = array.device
    return np.array_equal(array.g_code, device.g_codes(array.g)) and np.array_equal(
        array.var_code, device.var_codes(array.g)
    )


def test_it_is_an_array():
    checked: Array = SimulatedArray(OGB, 1, 2, 2, 0)
    limits = checked.limits
    assert (limits.tiles, limits.rows, limits.columns) == (1, 2, 2)
    assert (limits.i_cc_min, limits.i_cc_max, limits.v_read_max) == (30e-6, 250e-6, 0.1)
    checked.set_mode(limits.modes[0])


def test_pulses_change_the_cells_named_and_no_other(array):
    before = array.g.copy()
    cells = array.tile_cells(1)[2, 3:6]
    write(array, cells, [50e-6, 100e-6, 200e-6])
    changed = np.argwhere(array.g != before)
    assert changed.tolist() == [[1, 2, 3], [1, 2, 4], [1, 2, 5]]
    assert np.allclose(array.g[1, 2, 3:6], icc_line.mean(P, [50e-6, 100e-6, 200e-6]), atol=3e-5)
    assert array.pulses.sum() == 6 and array.pulses[1, 2, 3] == 2
    assert consistent(array)


def test_all_at_once_and_one_by_one_give_the_same_state(array):
    other = SimulatedArray(OGB, 3, 8, 16, seed=5)
    cells = np.random.default_rng(0).permutation(array.g.size)
    i_cc = np.linspace(30e-6, 250e-6, cells.size)
    write(array, cells, i_cc)
    for cell, current in zip(cells, i_cc, strict=True):
        write(other, [cell], current)
    assert all(array.tile_state_equal(other, tile) for tile in range(3))
    assert array.verify_totals(cells)[2].tolist() == [
        int(other.verify_totals([cell])[2][0]) for cell in cells
    ]


def test_an_ineffective_pulse_is_counted_and_restarts_the_reads(array):
    before = array.g.copy()
    array.verify_totals([7])
    array.pulse([7], 0.3, 1e-3, None)
    assert np.array_equal(array.g, before)
    assert (array.pulses[0, 0, 7], array.reads[0, 0, 7]) == (1, 0)


def test_a_refused_pulse_leaves_no_trace(array):
    before = array.g.copy()
    with pytest.raises(ComplianceError):
        array.pulse([0, 1], OGB.v_set, OGB.set_width_s, [1e-4, 1e-3])
    assert np.array_equal(array.g, before)
    assert not array.pulses.any()


def test_reads_are_named_by_pulse_and_read_count(array):
    total, variance, z = array.verify_totals([5])
    assert (total[0], variance[0]) == (array.g_code[0, 0, 5], array.var_code[0, 0, 5])
    again = array.verify_totals([5])[2]
    assert z != again and array.reads[0, 0, 5] == 2
    fresh = SimulatedArray(OGB, 3, 8, 16, seed=5)
    assert fresh.verify_totals([5])[2] == z


def test_read_noise_is_one_percent_of_g():
    array = SimulatedArray(OGB, 1, 1, 4000, seed=2)
    cells = np.arange(4000)
    write(array, cells, 2e-4)
    deviation = np.array([array.read(cells) for _ in range(5)]) / (array.g_code[0, 0] * OGB.g_lsb)
    assert abs(deviation.mean() - 1) < 4 * 0.01 / math.sqrt(deviation.size)
    assert deviation.std() == pytest.approx(0.01, rel=0.03)


def test_column_sums_are_exact(array):
    write(array, np.arange(array.g.size))
    bits = np.random.default_rng(1).integers(0, 2, (50, 8))
    total, variance = array.column_totals(2, bits)
    assert np.array_equal(total, bits @ array.g_code[2].astype(np.int64))
    assert np.array_equal(variance, bits @ array.var_code[2].astype(np.int64))
    assert variance.any()


def test_column_sums_at_the_largest_codes_are_exact():
    array = SimulatedArray(OGB, 1, 255, 8, seed=0)
    array.set_codes(..., 16383, 65535)
    total, variance = array.column_totals(0, np.ones((1, 255), dtype=np.uint8))
    assert (total == 255 * 16383).all() and (variance == 255 * 65535).all()


def test_column_sums_do_not_depend_on_batch_or_threads(array):
    write(array, np.arange(array.g.size))
    bits = np.random.default_rng(1).integers(0, 2, (1000, 8))
    together = array.column_totals(0, bits)
    for n in (0, 999):
        alone = array.column_totals(0, bits[n : n + 1])
        assert all(np.array_equal(a[0], t[n]) for a, t in zip(alone, together, strict=True))
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            limited = array.column_totals(0, bits)
        assert all(np.array_equal(a, t) for a, t in zip(limited, together, strict=True))


def test_an_ideal_array_has_no_variance():
    array = SimulatedArray(IDEAL, 1, 8, 8, seed=0)
    _, variance = array.column_totals(0, np.ones((3, 8), dtype=int))
    assert not variance.any()
    assert np.array_equal(array.read([0, 1]), array.g[0, 0, :2])


def test_mvm_is_the_column_current_with_its_noise():
    array = SimulatedArray(OGB, 1, 8, 500, seed=1)
    write(array, np.arange(4000), 2e-4)
    volts = np.array([0.1, 0.05, 0.0, -0.1, 0.1, 0.1, 0.02, 0.1])
    exact = volts @ (array.g_code[0] * OGB.g_lsb)
    sigma = np.sqrt((volts**2) @ ((0.01 * array.g_code[0] * OGB.g_lsb) ** 2))
    deviation = (array.mvm(0, np.tile(volts, (20, 1))) - exact) / sigma
    assert abs(deviation.mean()) < 4 / math.sqrt(deviation.size)
    assert deviation.std() == pytest.approx(1, rel=0.03)


def test_mvm_gives_the_same_bits_in_a_batch_of_any_size():
    volts = np.random.default_rng(0).uniform(-0.1, 0.1, (40, 8))
    one, many = (SimulatedArray(OGB, 1, 8, 8, seed=1) for _ in range(2))
    together = many.mvm(0, volts)
    assert np.array_equal([one.mvm(0, row) for row in volts], together)


def test_tiles_are_copied_and_compared_whole(array):
    other = SimulatedArray(OGB, 3, 8, 16, seed=5)
    write(array, array.tile_cells(1))
    array.verify_totals(array.tile_cells(1)[0])
    assert not array.tile_state_equal(other, 1)
    other.copy_tile(array, 1)
    assert array.tile_state_equal(other, 1)
    assert array.tile_state_equal(other, 0)
    write(array, array.tile_cells(1)[:1])  # a copy, not a view
    assert not array.tile_state_equal(other, 1)


@pytest.mark.parametrize("name", ["g", "_g_code", "_var_code", "pulses", "reads"])
def test_every_part_of_the_state_counts_in_the_comparison(array, name):
    other = SimulatedArray(OGB, 3, 8, 16, seed=5)
    state = getattr(other, name)
    state[2, 1, 4] = state[2, 1, 4] + 1
    assert not array.tile_state_equal(other, 2)
    assert array.tile_state_equal(other, 1)


def test_wear_is_the_used_part_of_the_endurance(array):
    for _ in range(10):
        write(array, [3])
    assert array.wear[0, 0, 3] == pytest.approx(10 / 5655)
    assert array.wear.sum() == pytest.approx(10 / 5655)


# -- sweeps ---------------------------------------------------------------------------

UP = np.linspace(0, 1.2, 25)
DOWN = np.linspace(1.2, -1.8, 61)


def test_a_sweep_sets_once_and_resets(array):
    cells = [0, 1, 2]
    current = array.sweep(cells, np.concatenate([UP, DOWN]), 20e-3, 1e-4)
    off, on, after = current[:, 2], current[:, UP.size + 40], current[:, -1]
    assert (current.max(axis=1) == 1e-4).all()  # compliance
    below = P.pulses.v_set_threshold.value > UP
    assert (current[:, : UP.size][:, below] < 1e-5).all()
    assert (np.abs(on / DOWN[40]) > 10 * np.abs(off / UP[2])).all()
    assert (np.abs(after) < 5e-5).all()  # back in the high-resistance state
    resets = int((P.pulses.v_reset_threshold.value >= DOWN).sum())
    assert array.pulses.reshape(-1)[cells].tolist() == [1 + resets] * 3


def test_a_sweep_below_threshold_reads_ohmically(array):
    write(array, [4])
    volts = np.linspace(-0.3, 0.3, 7)
    g = array.g.reshape(-1)[4]
    assert np.array_equal(array.sweep([4], volts, 1e-3, None)[0], g * volts)
    assert array.pulses.reshape(-1)[4] == 2


def test_a_sweep_too_fast_to_switch_does_not(array):
    before = array.g.copy()
    array.sweep([0], UP, 1e-5, 1e-4)
    assert np.array_equal(array.g, before)


def test_a_sweep_of_many_cells_is_that_of_each(array):
    other = SimulatedArray(OGB, 3, 8, 16, seed=5)
    volts = np.concatenate([UP, DOWN])
    together = array.sweep(np.arange(20), volts, 20e-3, 1e-4)
    alone = [other.sweep([cell], volts, 20e-3, 1e-4)[0] for cell in range(20)]
    assert np.array_equal(together, alone)


# -- time and refusals ----------------------------------------------------------------


def test_time_passes_and_the_state_stays(array):
    before = array.g.copy()
    array.wait(3600.0)
    write(array, [0])
    assert array.elapsed_s == pytest.approx(3600.002)
    array.sweep([1], [0.0, 0.1], 0.5, None)
    assert array.elapsed_s == pytest.approx(3601.002)
    assert np.array_equal(array.g.reshape(-1)[1:], before.reshape(-1)[1:])


@pytest.mark.parametrize(
    ("method", "arguments", "said"),
    [
        ("set_mode", ("power",), "no mode .power., it has nonvolatile"),
        ("form", ([0],), "forming"),
        ("charge", ([0], 1e-9, 1.0), "power mode"),
        ("sense_voltage", ([0],), "power mode"),
    ],
)
def test_what_the_device_has_no_physics_for_says_so(array, method, arguments, said):
    with pytest.raises(Unsupported, match=f"cspbbr3_ogb .*{said}"):
        getattr(array, method)(*arguments)


@pytest.mark.parametrize(
    ("method", "arguments", "said"),
    [
        ("pulse", ([384], 1.0, 1e-3, 1e-4), "outside 0..383"),
        ("pulse", ([-1], 1.0, 1e-3, 1e-4), "outside 0..383"),
        ("pulse", ([3, 3], 1.0, 1e-3, 1e-4), "twice"),
        ("pulse", ([0.5], 1.0, 1e-3, 1e-4), "integers"),
        ("verify_totals", ([400],), "outside 0..383"),
        ("column_totals", (3, np.ones((1, 8))), "tile 3"),
        ("column_totals", (0, np.ones((1, 9))), "expected"),
        ("mvm", (0, np.zeros(7)), "expected"),
        ("mvm", (0, np.full(8, 0.2)), "disturb"),
        ("mvm", (0, np.full(8, math.nan)), "disturb"),
        ("wait", (-1.0,), "wait"),
        ("wait", (math.nan,), "wait"),
        ("tile_cells", (-1,), "tile -1"),
        ("copy_tile", (SimulatedArray(OGB, 1, 8, 16, 0), 0), "do not match"),
    ],
)
def test_what_the_array_does_not_have_is_refused(array, method, arguments, said):
    with pytest.raises(ArrayError, match=said):
        getattr(array, method)(*arguments)


@pytest.mark.parametrize("size", [(0, 8, 8), (1, 1 << 14, (1 << 14) + 1)])
def test_a_size_that_has_no_cell_numbers_is_refused(size):
    with pytest.raises(ArrayError, match="2\\^28"):
        SimulatedArray(OGB, *size, seed=0)


def test_nothing_to_do_is_done(array):
    array.pulse([], 1.0, 1e-3, 1e-4)
    assert array.read([]).shape == (0,)
    assert not array.pulses.any()


def test_a_stuck_cell_stays_where_it_is_and_the_others_do_not(array):
    twin = SimulatedArray(array.device, array.tiles, array.rows, array.columns, array.seed)
    array.stick([1, 5], [2e-4, 0.0])
    cells = np.arange(8)
    for one in (array, twin):
        one.pulse(cells, one.device.v_set, one.device.set_width_s, 1e-4)
    assert np.array_equal(array.pulses, twin.pulses)
    for one in (array, twin):
        one.sweep([0, 5], [0.9], 1e-3, 1e-4)
    g = array.g.reshape(-1)
    assert g[[1, 5]].tolist() == [2e-4, 0.0]
    assert array.g_code.reshape(-1)[5] == 0
    others = [0, 2, 3, 4, 6, 7]
    assert np.array_equal(g[others], twin.g.reshape(-1)[others])


@pytest.mark.parametrize(("cells", "siemens"), [([0, 0], 1e-4), ([0], -1.0), ([0], np.nan)])
def test_a_fault_that_cannot_be_is_refused(array, cells, siemens):
    with pytest.raises(ArrayError):
        array.stick(cells, siemens)
    assert not np.isnan(array.g).any()
