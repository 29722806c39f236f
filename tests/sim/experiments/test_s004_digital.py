"""The digital modes of the all-in-one device: experiments pass, and fail on another device."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ohmloom.sim.devices
from ohmloom.sim.devices import Device, changed, load
from ohmloom.sim.devices.entry import parse
from ohmloom.sim.experiments import (
    Bench,
    Result,
    run,
    s004_digital,
    s004_nonvolatile,
    s004_paths,
    s004_volatile,
)
from ohmloom.sim.experiments.s004_digital import DEVICE, DIRECT, UNIFORM, closely, variation

_ENTRY = Path(ohmloom.sim.devices.__file__).parent / f"{DEVICE}.toml"
_ALL = (s004_volatile, s004_nonvolatile, s004_paths)
_OF = {
    "volatile": s004_volatile.volatile,
    "nonvolatile": s004_nonvolatile.nonvolatile,
    "paths": s004_paths.paths,
}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the cycles on more devices: the same statistics in a tenth of the time."""
    for module, cycles, devices in (
        (s004_volatile, 6, 256),
        (s004_nonvolatile, 6, 1024),
        (s004_paths, 6, 512),
    ):
        monkeypatch.setattr(module, "_CYCLES", cycles)
        monkeypatch.setattr(module, "_DEVICES", devices)


def _failed(result: Result) -> str:
    return "\n".join(row.quantity for row in result.rows if not row.passed)


# -- what they share ------------------------------------------------------------------


def test_variation_is_that_of_each_device_without_the_steps() -> None:
    rng = np.random.default_rng(1)
    scale = np.linspace(3.0, 5.0, 400)  # devices apart from each other do not count
    values = 4.0 + scale - scale.mean() + rng.normal(0.0, 0.2, (100, 400))
    assert variation(values) == pytest.approx(0.05, rel=0.02)
    coarse = 0.3 * np.round(values / 0.3)
    assert variation(coarse) > 1.08 * 0.05
    assert variation(coarse, 0.3) == pytest.approx(0.05, rel=0.02)
    assert np.isnan(variation(np.where(values > 5, np.nan, values)))


@pytest.mark.parametrize("top", [10.0, -6.0, 6.3])
def test_a_staircase_is_finer_where_one_looks_closely(top: float) -> None:
    volts = closely(top, 4.0, 2.5)
    turn = int(np.argmax(abs(volts)))
    assert volts[0] == volts[-1] == 0 and volts[turn] == top
    up, down = abs(np.diff(volts[: turn + 1])), abs(np.diff(volts[turn:]))
    assert max(up.max(), down.max()) < 1.1 and min(up.min(), down.min()) > 0.01
    for way, steps, centre in ((volts[1 : turn + 1], up, 4.0), (volts[turn + 1 :], down, 2.5)):
        near = abs(abs(way) - centre) < 0.2 * centre
        assert steps[near] == pytest.approx(centre / 30)


def test_a_centre_near_the_end_keeps_the_end() -> None:
    volts = closely(10.0, 9.5)
    assert volts.max() == 10.0 and np.count_nonzero(volts == 10.0) == 1
    assert (np.diff(volts[: int(np.argmax(volts)) + 1]) > 0).all()


@pytest.mark.parametrize(("path", "mode"), [(UNIFORM, "uniform"), (DIRECT, "direct")])
def test_the_path_decides_the_mode(path: Any, mode: str) -> None:
    found: Any = s004_digital.formed(Bench(), "volatile", path, 3)
    assert {found.device.modes[k].name for k in found.state.mode.ravel()} == {f"volatile_{mode}"}


# -- the experiments ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("module", _ALL, ids=lambda module: module.__name__.rpartition("_")[2])
def test_passes_over_100_cycles_and_draws_its_figure(module: Any, tmp_path: Path) -> None:
    for definition in module.EXPERIMENTS:
        done = run(definition, Bench(), tmp_path)
        assert done.passed, [row for row in done.rows if not row.passed]
        assert all(figure.stat().st_size > 0 for figure in done.figures)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("module", _ALL, ids=lambda module: module.__name__.rpartition("_")[2])
def test_passes_over_few_cycles(module: Any) -> None:
    for definition in module.EXPERIMENTS:
        assert not _failed(definition.run(Bench(seeds=(1,))))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("experiment", "numbers", "rows"),
    [
        ("volatile", {"volatile_uniform.conductance.off": 5e-8},
         ("off-current", "selectivity")),
        ("volatile", {"volatile_uniform.spread.v_threshold": 0.05,
                      "volatile_direct.spread.v_hold": 0.06},
         ("variation of V_th, through power", "variation of V_hold, direct")),
        ("volatile", {"volatile_direct.relaxation.fast_time": 60.0,
                      "volatile_direct.relaxation.slow_time": 100.0},
         ("OFF again below V_hold",)),
        ("volatile", {"volatile_uniform.growth.rate": 1.0}, ("V_th at 1 uA over",)),
        ("nonvolatile", {"nonvolatile_uniform.lrs.cycle_spread": 0.02,
                         "nonvolatile_direct.hrs.cycle_spread": 0.2},
         ("variation of the LRS, through power", "variation of the HRS, direct")),
        ("nonvolatile", {"nonvolatile_uniform.lrs.activation": 0.3,
                         "nonvolatile_uniform.hrs.activation": -0.03},
         ("LRS falls along a line", "HRS falls with temperature")),
        ("nonvolatile", {"nonvolatile_uniform.set.threshold": 5.95},
         ("a positive voltage alone sets",)),
        ("paths", {"nonvolatile_uniform.hrs.cycle_spread": 0.25},
         ("variation of HRS: direct over",)),
        ("paths", {"volatile_uniform.spread.v_hold": 0.06},
         ("variation of V_hold: direct over", "more uniform one")),
    ],
)  # fmt: skip
def test_a_device_with_one_number_changed_fails(
    failing: Any, experiment: str, numbers: dict[str, float], rows: tuple[str, ...]
) -> None:
    values = {f"modes.{name}": value for name, value in numbers.items()}
    failed = failing(_OF[experiment], DEVICE, values)
    assert all(row in failed for row in rows), failed


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("experiment", _OF)
def test_what_is_listed_without_influence_has_none(
    unlisted_change_nothing: Any, experiment: str
) -> None:
    unlisted_change_nothing(_OF[experiment], DEVICE)


# -- keeping its state ----------------------------------------------------------------


def _drifting(lrs: float, hrs: float) -> Bench:
    raw = tomllib.loads(_ENTRY.read_text(encoding="utf-8"))
    raw["modes"]["nonvolatile_uniform"]["drift"] = {
        "time": {"value": 1.0, "unit": "s", "assumed": "test"},
        "lrs_exponent": {"value": lrs, "unit": "1", "assumed": "test"},
        "hrs_exponent": {"value": hrs, "unit": "1", "assumed": "test"},
    }
    return Bench(seeds=(1,), replaced={DEVICE: Device(parse(raw, "drifting"))})


@pytest.mark.usefixtures("short")
def test_a_little_drift_is_retention_and_more_is_not() -> None:
    assert not _failed(s004_nonvolatile.nonvolatile(_drifting(0.001, 0.001)))
    failed = _failed(s004_nonvolatile.nonvolatile(_drifting(0.02, 0.0)))
    assert failed == "LRS after 1e5 s over that at first"


# -- rules ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "value", "rule"),
    [
        ("transitions.1.i_cc_max", 150e-6, 0),
        ("transitions.4.i_cc_min", 400e-6, 0),
        ("transitions.3.i_cc_max", 600e-6, 1),
        ("transitions.2.v_min", 4.9, 2),
    ],
)
def test_a_looser_recipe_is_seen(number: str, value: float, rule: int) -> None:
    bench = Bench(replaced={DEVICE: changed(load(DEVICE), **{number: value})})
    assert not s004_paths._holds(bench, s004_paths._RULES[rule])


@pytest.mark.parametrize(
    ("start", "to", "rules"), [("power", "analog", (3,)), ("volatile_direct", "power", (4,))]
)
def test_a_way_back_is_seen(start: str, to: str, rules: tuple[int, ...]) -> None:
    raw = tomllib.loads(_ENTRY.read_text(encoding="utf-8"))
    raw["transitions"][0]["irreversible"] = False
    raw["transitions"].append({"from": start, "to": to, "assumed": "test"})
    bench = Bench(replaced={DEVICE: Device(parse(raw, "back"))})
    held = [s004_paths._holds(bench, rule) for rule in s004_paths._RULES]
    assert [number for number, holds in enumerate(held) if not holds] == list(rules)


def test_a_refusal_that_leaves_a_trace_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoils(array: Any, wanted: str, recipe: Any) -> bool:
        array.pulse([0], 0.0, 1e-3, None)
        return True

    monkeypatch.setattr(s004_paths, "_refused", spoils)
    assert not s004_paths._holds(Bench(), s004_paths._RULES[4])
