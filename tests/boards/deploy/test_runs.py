from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.boards.deploy.runs import RunError, Runs, pieces
from ohmloom.compiler.compiled import Compiled
from ohmloom.hw.isa import Op, Reg
from ohmloom.hw.link.protocol import Space


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
    runs = Runs(small)
    run = runs.write(1, np.array([8, 9, 10]))
    assert run.code[-1].op is Op.PROGRAM
    assert (run.code[-1]["tile"], run.code[-1]["cell"], run.code[-1]["count"]) == (1, 8, 3)
    tries = [each for each in run.code if each.op is Op.SET and each["reg"] == Reg.TRIES]
    assert [each["value"] for each in tries] == [1]
    assert run.space is Space.LEVEL
    assert run.words == tuple(small.levels[1].reshape(-1)[8:11].tolist())


def test_windows_hold_the_code_of_their_level(small: Compiled) -> None:
    windows = Runs(small).windows()
    assert windows.low.shape == (small.image.tiles, small.image.geometry.cells)
    assert (windows.low <= windows.high).all()
    levels = small.levels.reshape(windows.low.shape)
    middle = (windows.low + windows.high) / 2
    order = np.argsort(levels, axis=None)
    assert (np.diff(middle.ravel()[order]) >= 0).all()


def test_controller_that_does_not_write_by_itself_is_refused(small: Compiled) -> None:
    entries = {n: at for n, at in small.image.entries.items() if not n.startswith("program")}
    with pytest.raises(RunError, match="not written by PROGRAM"):
        Runs(replace(small, image=replace(small.image, entries=entries)))
