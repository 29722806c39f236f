from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmloom.sim.fit import FitError, Kind, read_csv
from ohmloom.sim.fit.states import HRS, LRS, find

SIGNS = {LRS: 1.0, HRS: -1.0}
HEADER = "cell,kind,volts,seconds,i_cc,amps\n"


def test_states_and_voltages_are_those_of_the_array(cases: Any, tmp_path: Path) -> None:
    case = cases["filament"]
    history = case.history(3, tmp_path)
    states = find(history)
    reads = history.of(Kind.READ)
    truth = case.device.number("modes.nonvolatile.lrs.conductance")
    on = history.amps[reads] / history.volts[reads] > 0.01 * truth
    assert np.array_equal(states.state[reads] == LRS, on)
    # five cycles of twelve cells, each seen in the step of a sweep
    assert [sum(s.to == to for s in states.switched) for to in (LRS, HRS)] == [60, 60]
    assert (states.sign(LRS), states.sign(HRS)) == (1.0, -1.0)
    for s in states.switched:
        assert abs(s.below) < abs(s.volts)
        assert 0.8 < abs(s.volts) / (1.07 if s.to == LRS else 6.94) < 1.2
    # an episode for each state that was made, and one for each cell as it came
    episodes = np.unique(states.episode[states.episode >= 0])
    assert episodes.size == 12 * 11


def test_a_set_of_a_set_cell_makes_another_state(cases: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows = "a,read,0.1,,,1e-7\n"
    for i_cc in (1e-4, 2e-4):
        rows += f"a,pulse,1,1e-3,{i_cc},\na,read,0.1,,,{0.3 * i_cc}\na,read,0.1,,,{0.3 * i_cc}\n"
    path.write_text(HEADER + rows)
    redrawn = find(read_csv(path), SIGNS)
    assert redrawn.episode.tolist() == [0, -1, 1, 1, -1, 2, 2]
    assert redrawn.cause.tolist() == [-1, -1, 1, 1, -1, 4, 4]
    assert find(read_csv(path)).episode.tolist() == [0, -1, 1, 1, -1, 1, 1]


def test_a_current_that_falls_off_is_no_state(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(HEADER + "a,pulse,1,1e-3,1e-4,1e-4\na,read,0.1,,,-1e-9\n")
    with pytest.raises(FitError, match="no current from which a conductance follows"):
        find(read_csv(path), SIGNS)
