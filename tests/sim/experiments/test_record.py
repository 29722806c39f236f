from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ohmloom.sim.experiments import Experiment, Kind, Row
from ohmloom.sim.experiments.tolerance import ToleranceError, exact, ten_percent, within

ROW = Row("V_SET", "V", 1.0, 1.05, ten_percent(1.0), Kind.INPUT, "seed 001, Table S11")
YES = Row("a second write is refused", "", True, True, exact(), Kind.INPUT, "seed 001")


def test_a_row_passes_within_its_tolerance() -> None:
    assert ROW.passed and YES.passed
    assert not dataclasses.replace(ROW, ours=1.2).passed
    assert not dataclasses.replace(YES, ours=False).passed


def test_a_row_has_a_seed_value_or_a_range() -> None:
    assert dataclasses.replace(ROW, seed_value=None, tolerance=within(1.0, 2.0)).passed
    with pytest.raises(ToleranceError, match="either a seed value or a range"):
        dataclasses.replace(ROW, tolerance=within(1.0, 2.0))
    with pytest.raises(ToleranceError, match="either a seed value or a range"):
        dataclasses.replace(ROW, seed_value=None)
    with pytest.raises(ToleranceError, match="yes or no"):
        dataclasses.replace(YES, ours=1.0)


def test_numbers_become_plain_python() -> None:
    row = dataclasses.replace(YES, seed_value=np.bool_(True), ours=np.bool_(False))
    assert row.seed_value is True and row.ours is False and row.passed is False
    row = dataclasses.replace(ROW, ours=np.float64(1.0))
    assert type(row.ours) is float and row.passed is True
    row = dataclasses.replace(ROW, tolerance=ten_percent(np.float64(1.0)))
    assert row.passed is True


def test_an_experiment_that_checked_nothing_has_failed() -> None:
    def experiment(*rows: Row) -> Experiment:
        return Experiment("001", "x", "X", "Fig. 1", rows, (), (), (Path("x.png"),))

    assert experiment(ROW, YES).passed
    assert not experiment().passed
    assert not experiment(ROW, dataclasses.replace(YES, ours=False)).passed
