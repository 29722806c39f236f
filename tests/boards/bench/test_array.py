"""The array over the link beside the model's: the same calls, the same cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ohmloom.boards.bench import BenchError
from ohmloom.boards.bench.array import Forming
from ohmloom.boards.bench.sweeps import RAILED
from ohmloom.boards.link import GuardStopped
from ohmloom.hw.isa import Op, instruction
from ohmloom.hw.link.protocol import Space
from ohmloom.sim.array import Array, ArrayError, Unsupported
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import (
    REFERENCE_K,
    DeviceError,
    EnduranceError,
    TransitionError,
    WriteOnceError,
)
from ohmloom.sim.experiments.measure import staircase
from ohmloom.sim.numerics import FloatArray

from .conftest import Desk

MakeDesk = Callable[..., Desk]
CARD = Converters()
V_SET, V_RESET = (CARD.dac_volts(CARD.dac_code(volts)) for volts in (1.0, -1.5))
I_CC = [float(CARD.i_cc(CARD.gate_code(amperes))) for amperes in (1e-4, 2e-4)]
CELLS = np.array([3, 4, 5, 17, 70, 71, 200])


def lsb(tia_range: np.ndarray) -> FloatArray:
    """Current of one code [A]."""
    return CARD.adc_lsb / np.array(CARD.tia_ohms)[tia_range]


def test_pulses_leave_the_same_states(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_ogb")
    arrays: tuple[Array, ...] = (mine.array, mine.twin)
    for array in arrays:
        array.pulse(CELLS, V_SET, 1e-3, I_CC[0])
    assert mine.same and (mine.cells.pulses.reshape(-1)[CELLS] == 1).all()
    each = np.array([V_RESET, V_RESET, V_SET, V_SET, V_RESET, V_SET, V_SET])
    i_cc = np.where(each > 0, [*I_CC, *I_CC, *I_CC, I_CC[0]], np.inf)
    for array in arrays:
        array.pulse(CELLS, each, 2e-3, i_cc)
    assert mine.same
    mine.twin.pulse(CELLS[:1], V_SET, 1e-3, I_CC[0])
    assert not mine.same


def test_more_pulses_than_a_program_holds(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_ogb")
    cells = np.arange(0, 256, 2)  # no two are neighbours
    i_cc = np.array([float(CARD.i_cc(37200 + 10 * n)) for n in range(cells.size)])
    for array in (mine.array, mine.twin):
        array.pulse(cells, V_SET, 1e-3, i_cc)  # a record each: twice the parameter memory
    assert mine.same


def test_reads_are_within_a_code(desk: MakeDesk) -> None:
    mine = desk("ideal", average=1)
    for array in (mine.array, mine.twin):
        array.pulse(CELLS[:4], V_SET, 1e-3, I_CC[0])
    found, there = mine.array.read(CELLS), mine.twin.read(CELLS)
    assert np.abs(found / there - 1).max() < 1e-3
    assert there.max() / there.min() > 50  # in ranges that are far apart
    assert mine.array.read(CELLS.reshape(1, 7)).shape == (1, 7)
    # One cell is another than it was.
    mine.cells.stick(CELLS[:1], 0.99 * there[0])
    off = np.abs(mine.array.read(CELLS) / there - 1)
    assert off[0] > 5e-3 and off[1:].max() < 1e-3


def test_sweeps_have_the_same_currents(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_ogb")
    volts = np.array([CARD.dac_volts(0x8000 + 160 * n) for n in (*range(20), *range(20, -1, -1))])
    cells = CELLS[:2]
    seen: list[tuple[int, int]] = []
    mine.array.watch = lambda some, first, amperes: seen.append((int(some[0]), first))
    for top, i_cc in ((1, I_CC[0]), (-1.25, None)):
        found = mine.array.sweep(cells, top * volts, 0.02, i_cc)
        there = mine.twin.sweep(cells, top * volts, 0.02, i_cc)
        assert found.shape == there.shape == (2, volts.size)
        assert (mine.array.sampled != RAILED).all()
        off = np.abs(found - there)
        # Half a code of the ADC, and of the rail: half an LSB of 305 uV.
        rail = np.abs(there) * CARD.dac_lsb / np.maximum(np.abs(top * volts), 0.05)
        assert (off <= 0.51 * lsb(mine.array.sampled) + 2 * rail).all()
        assert (off <= mine.array.uncertainty(found)).all()
        assert mine.same
    assert np.ptp(mine.array.sampled) >= 2
    assert seen[: volts.size] == [(int(cells[0]), n) for n in range(volts.size)]


def test_a_whole_sweep_in_a_fixed_range(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_ogb", tia_range=1)
    volts = staircase(V_SET, 0.02)
    found = mine.array.sweep(CELLS[:1], volts, 5e-3, I_CC[0])
    there = mine.twin.sweep(CELLS[:1], volts, 5e-3, I_CC[0])
    assert (mine.array.sampled == 1).all()
    assert np.abs(found - there).max() < 3e-3 * there.max()
    # In a range that is too fine the current is at a rail, and said to be.
    fine = mine.again(tia_range=4)
    found = fine.sweep(CELLS[:1], volts[:10], 5e-3, I_CC[0])
    assert (fine.sampled[0, 1:] == RAILED).all()
    assert np.isinf(fine.uncertainty(found)[0, 1:]).all()
    with pytest.raises(
        DeviceError, match="steps of 0.0001 s are too short for a sample in range 4"
    ):
        fine.sweep(CELLS[:1], volts[:10], 1e-4, I_CC[0])


def test_cells_that_relax(desk: MakeDesk) -> None:
    mine = desk("ohm")
    cells = np.arange(3)
    found: list[list[FloatArray]] = [[], []]
    for array, kept in zip((mine.array, mine.twin), found, strict=True):
        for _ in range(5):
            array.pulse(cells, 5.0, 0.01, None)
            array.wait(0.02)
        kept.append(array.sweep(cells, [2.0, 4.0], 0.01, None))
        array.wait(30.0)
        kept.append(array.read(cells))
    assert np.allclose(found[0][0], found[1][0], rtol=5e-3)
    assert np.allclose(found[0][1], found[1][1], rtol=0.06)  # the noise of two reads
    mine.array.wait(0)
    with pytest.raises(ArrayError, match="cannot wait"):
        mine.array.wait(-1)


def test_columns_are_summed(desk: MakeDesk) -> None:
    mine = desk("ideal")
    for array in (mine.array, mine.twin):
        array.pulse(CELLS, V_SET, 1e-3, I_CC[1])
    volts = np.zeros((2, 8))
    volts[0, [0, 1, 2, 6]] = volts[1, 7] = mine.array.read_volts
    found, there = mine.array.mvm(0, volts), mine.twin.mvm(0, volts)
    assert found.shape == (2, 8) and np.abs(found / there - 1).max() < 0.01
    assert (mine.array.mvm(0, np.zeros(8)) == 0).all()
    assert mine.same
    with pytest.raises(Unsupported, match="rows are driven by switches: each has 0 V or V_read"):
        mine.array.mvm(0, volts / 2)
    with pytest.raises(ArrayError, match="tile 4 is outside"):
        mine.array.mvm(4, volts)


def test_modes(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_ogb")
    for array in (mine.array, mine.twin):
        array.set_mode("volatile", i_cc=1e-6)
    assert (mine.cells.state.mode == mine.twin.state.mode).all()
    assert mine.array.mode.name == "volatile"
    limits = mine.twin.limits
    assert mine.array.limits == replace(limits, i_cc_min=0.0)
    before = mine.cells.state.mode.copy()
    mine.array.set_mode("volatile")  # there already
    with pytest.raises(TransitionError, match="accepted is"):
        mine.array.set_mode("nonvolatile", i_cc=2e-5)
    with pytest.raises(Unsupported, match="of whole tiles, not of some cells"):
        mine.array.set_mode("nonvolatile", [1, 2])
    with pytest.raises(Unsupported, match="has no mode 'power', it has nonvolatile, "):
        mine.array.set_mode("power")
    assert (mine.cells.state.mode == before).all()
    # A new host learns the mode from the controller.
    assert mine.again().mode.name == "volatile"
    with pytest.raises(BenchError, match="the cells are in mode volatile, not in nonvolatile"):
        mine.again(mode="nonvolatile")
    with pytest.raises(BenchError, match="adopted another profile than that of bion"):
        mine.again("bion")


def test_an_irreversible_way_is_armed(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_film")
    with pytest.raises(Unsupported, match="is irreversible and has to be armed"):
        mine.array.set_mode("nonvolatile")
    assert (mine.cells.state.mode == 0).all()
    armed = mine.again(armed=True)
    armed.set_mode("nonvolatile")
    assert armed.mode.name == "nonvolatile" and (mine.cells.state.mode == 1).all()


def test_charge(desk: MakeDesk) -> None:
    mine = desk("all_in_one", armed=True, shape=(1, 1, 2))
    cell = np.array([0])
    for array in (mine.array, mine.twin):
        array.set_mode("power", None if array is mine.array else np.arange(64))
    start = mine.array.sense_voltage(cell)
    for array in (mine.array, mine.twin):
        array.charge(cell, 1e-6, 1.0)
    found, there = mine.array.sense_voltage(cell), mine.twin.sense_voltage(cell)
    assert there[0] > start[0] + 0.1 and np.allclose(found, there, atol=5e-3)
    mine.array.charge(cell, -5e-8, 12.0)  # longer than the guard waits for a silent host
    assert mine.array.sense_voltage(cell)[0] < found[0]
    with pytest.raises(BenchError, match="has come to the end of"):
        mine.array.charge(cell, 9e-6, 1.0)
    with pytest.raises(Unsupported, match="not in a power mode: it cannot be charged"):
        desk("ohm").array.charge(cell, 1e-6, 1.0)


def test_what_is_written_once(desk: MakeDesk) -> None:
    mine = desk("vb1")
    i_cc = mine.array.limits.i_cc_max
    mine.array.pulse([0, 1], 1.0, 5e-3, i_cc)
    assert mine.array.read([0])[0] > 10 * mine.array.read([2])[0]
    with pytest.raises(WriteOnceError, match="cell 1 is written"):
        mine.array.pulse([1, 2], 1.0, 5e-3, i_cc)
    # A host that does not know it finds that it is.
    with pytest.raises(WriteOnceError, match="cell 1 is written once and is not found"):
        mine.again().pulse([1, 2], 1.0, 5e-3, i_cc)
    assert mine.cells.pulses.reshape(-1)[:3].tolist() == [1, 1, 0]
    for refused in (
        lambda: mine.array.sweep([2], [0.1], 0.01, i_cc),
        lambda: mine.array.mvm(0, np.zeros(8)),
    ):
        with pytest.raises(Unsupported, match="written once is"):
            refused()


def test_nothing_is_driven_where_a_part_is_refused(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_ogb")
    array = mine.array
    refused: list[tuple[type[Exception], Callable[[], Any]]] = [
        (DeviceError, lambda: array.pulse(CELLS, [1.0] * 6 + [1.2], 1e-3, I_CC[0])),
        (DeviceError, lambda: array.sweep(CELLS, [0.5, 1.2], 0.02, I_CC[0])),
        (ArrayError, lambda: array.pulse([0, 256], V_SET, 1e-3, I_CC[0])),
        (ArrayError, lambda: array.read([1, 1])),
        (Unsupported, lambda: array.set_temperature(350.0)),
        (Unsupported, lambda: array.form([0])),
    ]
    for error, act in refused:
        with pytest.raises(error):
            act()
    assert mine.same and not mine.cells.pulses.any()
    array.set_temperature(REFERENCE_K)


def test_worn_cells_are_not_pulsed(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_ogb")
    most = mine.array.mode.endurance(REFERENCE_K)
    mine.array.cycles[4] = most - 1
    mine.array.pulse(CELLS, V_SET, 1e-3, I_CC[0])
    assert mine.array.cycles[4] == most and mine.array.cycles[3] == 1
    mine.array.pulse([3], V_RESET, 1e-3, None)
    assert mine.array.cycles[3] == 1
    for act in (
        lambda: mine.array.pulse(CELLS, V_SET, 1e-3, I_CC[0]),
        lambda: mine.array.sweep([4], [1.0], 0.02, I_CC[0]),
    ):
        with pytest.raises(EnduranceError, match=f"cell 4 has had the {most:g} cycles"):
            act()
    assert (mine.cells.pulses.reshape(-1)[CELLS] == [2, 1, 1, 1, 1, 1, 1]).all()


def test_forming_ends_where_a_cell_conducts(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_ogb", forming=Forming(1.0, 0.05, 0.02, 1e-4, 1e-4))
    mine.array.form([0, 9])
    assert (mine.array.read([0, 9]) > 1e-4).all()
    hard = mine.again(forming=Forming(0.3, 0.05, 0.02, 1e-4, 1e-4))
    with pytest.raises(BenchError, match="cell 1 has .* after 0.3 V, formed is 0.0001 S"):
        hard.form([1])
    with pytest.raises(DeviceError, match=r"1\.05 V, accepted is"):
        mine.again(forming=Forming(1.1, 0.05, 0.02, 1e-4, 1e-4)).form([2])
    assert mine.cells.pulses.reshape(-1)[2] == 0


def test_a_stopped_guard_is_said(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_ogb")
    mine.client.abort()
    with pytest.raises(BenchError, match="safe state: .*: nothing is driven until that is cleared"):
        mine.array.pulse([0], V_SET, 1e-3, I_CC[0])
    with pytest.raises(GuardStopped):
        mine.again()
    mine.client.clear()
    mine.again().pulse([0], V_SET, 1e-3, I_CC[0])
    assert mine.cells.pulses.sum() == 1


def test_a_change_that_was_broken_off(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_ogb")
    # A recipe whose gate code is in the gap: the warden stops it, and the tile is in fault.
    way = mine.array.controller.profile.ways[0]
    record = list(mine.array.controller.recipe(way))
    record[0] = record[0] & ~(0xFFFF << 16) | 36900 << 16
    mine.array.controller.write(Space.PARAM, way.param, record)
    with pytest.raises(BenchError, match="safe state"):
        mine.array.controller.run([instruction(Op.MODE, tile=0, to=way.to)])
    mine.client.clear()
    with pytest.raises(BenchError, match="tile 0 was broken off: say in which mode it is"):
        mine.again()
    assert mine.again(mode="nonvolatile").mode.name == "nonvolatile"


def test_arrays_that_are_not_there(desk: MakeDesk) -> None:
    mine = desk("cspbbr3_ogb")
    with pytest.raises(BenchError, match="an array of 1 x 16 x 17 cells, the controller has 256"):
        mine.again(shape=(1, 16, 17))
    with pytest.raises(BenchError, match="the controller has 0 from tile 4 on"):
        mine.again(first=4)
    second = mine.again(shape=(1, 1, 10), first=2)
    second.pulse(np.arange(10), V_SET, 1e-3, I_CC[0])
    assert np.flatnonzero(mine.cells.pulses.reshape(-1)).tolist() == list(range(128, 138))
    with pytest.raises(Unsupported, match="columns are summed of whole tiles"):
        second.mvm(0, np.zeros(8))
