from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.boards.deploy.runs import Results, RunError, pieces, runs_of
from ohmloom.compiler.analog import endurance_cycles
from ohmloom.compiler.compiled import Compiled
from ohmloom.hw.isa import CellStatus, Op, Reg, pack_result
from ohmloom.hw.link.protocol import Space
from ohmloom.sim.devices import load


@given(
    wanted=st.lists(st.booleans(), min_size=1, max_size=64),
    columns=st.integers(1, 16),
    most=st.integers(1, 16),
)
def test_pieces_are_all_that_is_wanted_as_neighbours_in_a_row(wanted, columns, most) -> None:
    found = list(pieces(np.array(wanted), columns, most))
    places = [int(cell) for part in found for cell in part]
    assert places == np.flatnonzero(wanted).tolist()
    for part in found:
        assert 1 <= len(part) <= most
        assert len(set(part // columns)) == 1
        assert (np.diff(part) == 1).all()


def test_attempt_is_one_try_on_the_levels_of_its_cells(small: Compiled) -> None:
    runs = runs_of(small)
    run = runs.write(1, np.array([8, 9, 10]))
    assert run.code[-1].op is Op.PROGRAM
    assert (run.code[-1]["tile"], run.code[-1]["cell"], run.code[-1]["count"]) == (1, 8, 3)
    tries = [each for each in run.code if each.op is Op.SET and each["reg"] == Reg.TRIES]
    assert [each["value"] for each in tries] == [1]
    assert run.space is Space.LEVEL
    assert run.words == tuple(small.levels[1].reshape(-1)[8:11].tolist())


def test_windows_hold_the_code_of_their_level(small: Compiled) -> None:
    windows = runs_of(small).windows()
    assert windows.low.shape == (small.image.tiles, small.image.geometry.cells)
    assert (windows.low <= windows.high).all()
    levels = small.levels.reshape(windows.low.shape)
    middle = (windows.low + windows.high) / 2
    order = np.argsort(levels, axis=None)
    assert (np.diff(middle.ravel()[order]) >= 0).all()


def test_controller_without_write_verify_makes_an_attempt_by_pulses(small: Compiled) -> None:
    geometry = replace(small.image.geometry, verify=False, line=False, wear=False)
    entries = {n: at for n, at in small.image.entries.items() if not n.startswith("program")}
    image = replace(small.image, geometry=geometry, entries=entries)
    runs = runs_of(replace(small, image=image))
    assert not runs.reads and runs.most == 1
    assert runs.endurance == endurance_cycles(small.device) > 0 == runs_of(small).endurance
    run = runs.write(2, np.array([9]))
    assert [each.op for each in run.code] == [Op.RESTORE, Op.SET, Op.PULSE, Op.PULSE]
    assert run.code[-1]["param"] + len(run.records) // 2 == len(image.params) + len(run.records)
    windows, expected = runs.windows(), runs_of(small).windows()
    np.testing.assert_array_equal(windows.low, expected.low)
    np.testing.assert_array_equal(windows.high, expected.high)
    with pytest.raises(RunError, match="reads no cell without a pulse"):
        runs.read(0, np.array([0]))


def test_words_that_no_run_leaves_are_none(small: Compiled) -> None:
    runs = runs_of(small)
    good = pack_result(77, 1, CellStatus.DONE)
    assert runs.results(True, (3,), [good]) == Results((77,))
    assert runs.results(True, (3, 4), [good, pack_result(0, 0, CellStatus.WORN)]) == Results(
        (77, 0), (4,)
    )
    for word in (0, pack_result(77, 2, CellStatus.DONE)):
        assert runs.results(True, (3,), [word]) is None
    assert runs.results(False, (3,), [good]) is None
    assert runs.results(False, (3,), [0]) == Results((0,))


def test_cells_that_no_attempt_puts_on_a_level_are_refused(small: Compiled) -> None:
    device = load("all_in_one")
    entries = {n: at for n, at in small.image.entries.items() if not n.startswith("program")}
    image = replace(small.image, entries=entries)
    other = replace(small, image=image, device=device)
    assert device.pulses is not None
    with pytest.raises(RunError, match="all_in_one are not put on a level"):
        runs_of(other)
