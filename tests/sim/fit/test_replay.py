from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmloom.sim.devices import DeviceError, changed
from ohmloom.sim.fit import Kind, read_csv
from ohmloom.sim.fit.replay import Replay

CALM = {
    "icc_line": ("line.sigma_slope", "line.sigma_offset", "hrs.spread", "read.noise"),
    "filament": (
        *(f"{s}.{n}_spread" for s in ("lrs", "hrs", "set", "reset") for n in ("device", "cycle")),
        "read.noise",
    ),
    "ionic": ("spread.cycle", "spread.device", "read.noise"),
    "diffusive": (
        *("spread.growth", "spread.v_threshold", "spread.v_hold", "spread.device"),
        "read.noise",
    ),
}


@pytest.mark.parametrize("family", CALM)
def test_it_is_the_array_without_spread(family: str, cases: Any, tmp_path: Path) -> None:
    """Every current that an array of cells without spread gives, the replay gives too."""
    case = cases[family]
    mode = case.device.modes[0]
    still = changed(case.device, **{f"modes.{mode.name}.{name}": 0.0 for name in CALM[family]})
    lab = case.measure(still, 5)
    history = read_csv(lab.save(tmp_path / "x.csv"))
    mode = still.modes[0]
    sign = mode.family.window(mode.p).set_sign
    amps, _ = Replay(history, sign).run(mode.family, mode.p)
    reads = history.of(Kind.READ)
    # the array reads G itself, an ionic cell's current at 1 V is 0.17 % above G V
    exact = 2e-3 if family == "ionic" else 1e-9
    np.testing.assert_allclose(amps[reads], history.amps[reads], rtol=exact)
    sweeps = history.of(Kind.SWEEP) & history.measured
    if sweeps.any():
        np.testing.assert_allclose(amps[sweeps], history.amps[sweeps], rtol=6 * lab.meter)


def test_equal_cells_are_computed_once(cases: Any, tmp_path: Path) -> None:
    history = cases["ionic"].history(1, tmp_path)
    replay = Replay(history)
    assert len(replay._stories) == 1 and len(history.cells) == 8
    mode = cases["ionic"].device.modes[0]
    amps, _ = replay.run(mode.family, mode.p)
    each = [amps[rows] for _, rows in history.each_cell()]
    assert all(np.array_equal(each[0], other) for other in each)


def test_what_a_mode_does_not_allow(cases: Any, tmp_path: Path) -> None:
    case = cases["icc_line"]
    mode = case.device.modes[0]
    narrow = changed(case.device, **{"modes.nonvolatile.line.i_cc_max": 120e-6,
                                     "modes.nonvolatile.levels.g_max": 0.3e-3})  # fmt: skip
    replay = Replay(case.history(1, tmp_path))
    assert replay.complaint(mode.family, mode.p) is None
    found = replay.complaint(mode.family, narrow.modes[0].p)
    assert found is not None and "SET with I_cc = 0.00016 A" in found
    assert issubclass(DeviceError, Exception)
