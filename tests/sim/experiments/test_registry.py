from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ohmloom.sim.devices import load
from ohmloom.sim.experiments import (
    EXPERIMENTS,
    Bench,
    Definition,
    Kind,
    Result,
    Row,
    UnknownExperiment,
    run,
    select,
)
from ohmloom.sim.experiments.tolerance import ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(figure: Figure) -> None:
    figure.subplots().plot([0, 1], [0, 1])


def slope(bench: Bench) -> Result:
    device = bench.device("cspbbr3_ogb")
    array = bench.array("cspbbr3_ogb", 2, 2)
    assert array.limits.rows == 2
    names = {item.name for item in device.parameters}
    assumed = next(item.name for item in device.parameters if item.assumed is not None)
    assert assumed in names
    row = Row("V_read", "V", 0.1, array.limits.v_read_max, ten_percent(0.1), Kind.INPUT, "here")
    front = assumed.rpartition(".")[0]
    return Result((row,), plot, {"cspbbr3_ogb": {front: "front", assumed: "whole"}})


DEFINITION = Definition("009/slope", "Slope", "Fig. 9", slope)


def test_names_are_unique_and_tell_the_seed() -> None:
    paths = [item.path for item in EXPERIMENTS]
    assert len(set(paths)) == len(paths)
    assert all(len(item.seed) == 3 and item.seed.isdigit() and item.name for item in EXPERIMENTS)


def test_select() -> None:
    assert {item.seed for item in select("001")} == {"001"}
    assert [item.path for item in select("000/resistance")] == ["000/resistance"]
    with pytest.raises(UnknownExperiment, match="'000/x' is not an .*; accepted are 000/res"):
        select("000/x")
    with pytest.raises(UnknownExperiment, match="'xyz' is not an .*; accepted are 000, 001"):
        select("xyz")


def test_run_draws_and_lists_what_is_assumed(tmp_path: Path) -> None:
    bench = Bench()
    found = run(DEFINITION, bench, tmp_path)
    assert found.passed and found.path == "009/slope" and found.devices == ("cspbbr3_ogb",)
    assert all(path.stat().st_size > 1000 for path in found.figures)
    assert found.figures[0] == tmp_path / "009_slope.png"
    device = bench.device("cspbbr3_ogb")
    wanted = [item.name for item in device.parameters if item.assumed is not None]
    assert [item.parameter for item in found.assumed] == wanted
    by_name = {item.parameter: item.influences for item in found.assumed}
    assert by_name[wanted[0]] == "whole"
    front = wanted[0].rpartition(".")[0]
    beside = [name for name in wanted[1:] if name.rpartition(".")[0] == front]
    assert beside and {by_name[name] for name in beside} == {"front"}
    assert {by_name[name] for name in wanted if not name.startswith(front)} == {""}


def test_a_replaced_device_is_used() -> None:
    other = load("ideal")
    bench = Bench(replaced={"cspbbr3_ogb": other})
    assert bench.device("cspbbr3_ogb") is other


def test_over_seeds() -> None:
    middle, spread = Bench().over_seeds(float)
    assert (middle, spread.seeds) == (3.0, (1, 2, 3, 4, 5))
    assert 1.0 <= spread.low < 2.0 and 4.0 < spread.high <= 5.0
    assert Bench(seeds=(7,)).summarise([2.0])[0] == 2.0
