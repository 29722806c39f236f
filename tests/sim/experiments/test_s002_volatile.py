"""The volatile experiments pass, fail on a changed device, and rest on a fit that is repeated."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import ohmloom.sim.devices
from ohmloom.sim.devices import Device, load
from ohmloom.sim.devices.entry import parse
from ohmloom.sim.devices.families import diffusive
from ohmloom.sim.experiments import Bench, Definition, Kind, Row, run, s002_fit, s002_volatile

_ENTRY = Path(ohmloom.sim.devices.__file__).parent / f"{s002_volatile.DEVICE}.toml"
_BY_PATH = {definition.path: definition for definition in s002_volatile.EXPERIMENTS}


def _changed(number: str, value: float) -> Device:
    """The device with one number of its volatile mode changed."""
    raw = tomllib.loads(_ENTRY.read_text(encoding="utf-8"))
    section, _, name = number.partition(".")
    raw["modes"]["volatile"][section][name]["value"] = value
    return Device(parse(raw, number))


def _volatile(device: Device) -> diffusive.Parameters:
    p = device.mode("volatile").p
    assert isinstance(p, diffusive.Parameters)
    return p


def _failed(definition: Definition, number: str, value: float) -> list[str]:
    bench = Bench(seeds=(1, 2), replaced={s002_volatile.DEVICE: _changed(number, value)})
    return [row.quantity for row in definition.run(bench).rows if not row.passed]


@pytest.mark.parametrize("path", sorted(_BY_PATH))
def test_it_passes_and_draws_its_figure(path: str, tmp_path: Path) -> None:
    done = run(_BY_PATH[path], Bench(seeds=(1, 2)), tmp_path)
    assert done.passed, [row for row in done.rows if not row.passed]
    assert all(figure.stat().st_size > 0 for figure in done.figures)


@pytest.mark.parametrize(
    ("path", "number", "value"),
    [
        ("002/volatile", "conductance.off", 2e-8),
        ("002/volatile", "switching.v_threshold", 1.2),
        ("002/response", "growth.v_scale", 5.0),
        ("002/echo", "growth.slow_rate", 12.0),
        ("002/train", "relaxation.slow_time", 20.0),
        ("002/streams", "relaxation.slow_time", 1.6e-3),
        ("002/streams", "spread.growth", 0.2),
    ],
)
def test_a_device_with_one_number_changed_fails(path: str, number: str, value: float) -> None:
    assert _failed(_BY_PATH[path], number, value)


def test_every_assumed_number_of_the_mode_says_what_it_changes(tmp_path: Path) -> None:
    done = run(_BY_PATH["002/volatile"], Bench(seeds=(1,)), tmp_path)
    silent = {
        item.parameter
        for item in done.assumed
        if item.parameter.startswith("modes.volatile") and not item.influences
    }
    assert silent == {
        "modes.volatile.wear.retention",  # the model has no use for it
        "modes.volatile.read.v_read",  # ohmic: any voltage gives the same conductance
    }


def _echo_rows() -> dict[str, Row]:
    rows = _BY_PATH["002/echo"].run(Bench(seeds=(1, 2))).rows
    return {row.quantity: row for row in rows}


def test_the_index_at_30_ms_is_predicted_and_the_others_are_fitted() -> None:
    rows = _echo_rows()
    assert rows["echo index at 30 ms"].kind is Kind.PREDICTED
    assert rows["echo index at 10 ms"].kind is rows["echo index at 300 ms"].kind is Kind.FITTED
    assert 30e-3 not in s002_fit.ECHO


def test_the_array_gives_what_the_fit_says() -> None:
    rows, p = _echo_rows(), _volatile(load(s002_volatile.DEVICE))
    for interval in (10e-3, 30e-3, 300e-3):
        ours = rows[f"echo index at {interval * 1e3:.0f} ms"].ours
        assert ours == pytest.approx(s002_fit.echo_index(p, interval), abs=0.5)


def test_the_fit_gives_the_numbers_of_the_entry() -> None:
    p = _volatile(load(s002_volatile.DEVICE))
    fitted = s002_fit.fit(s002_fit.with_values(p, (2.35, 0.063)))
    assert fitted.growth.slow_rate.value == pytest.approx(p.growth.slow_rate.value, rel=1e-4)
    assert fitted.relaxation.slow_time.value == pytest.approx(
        p.relaxation.slow_time.value, rel=1e-4
    )
    assert abs(s002_fit.misfit(p)).max() < 0.01


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("growth.rate", 20.0),
        ("relaxation.slow_share", 0.8),
        ("relaxation.fast_time", 1e-3),
        ("relaxation.slow_time", 0.085),  # the other pair of values that gives both facts
    ],
)
def test_the_prediction_hardly_hangs_on_what_is_assumed(number: str, value: float) -> None:
    fitted = s002_fit.fit(_volatile(_changed(number, value)))
    assert s002_fit.echo_index(fitted, 30e-3) == pytest.approx(115.3, abs=0.6)


def test_a_fit_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="the fit misses the facts"):
        s002_fit.fit(_volatile(_changed("relaxation.fast_time", 8e-3)))


@pytest.mark.parametrize("material", ["cspbbr3_ddab", "cspbbr3_film"])
def test_the_other_materials_have_the_same_dynamics(material: str) -> None:
    ours, theirs = _volatile(load(s002_volatile.DEVICE)), _volatile(load(material))
    for section in ("conductance", "switching", "growth", "relaxation", "spread", "drive"):
        for name in type(getattr(ours, section)).model_fields:
            one, other = (getattr(getattr(p, section), name).value for p in (ours, theirs))
            assert one == other, f"{section}.{name}"


@pytest.mark.parametrize(
    ("material", "cycles"), [("cspbbr3_ogb", 2e6), ("cspbbr3_ddab", 10), ("cspbbr3_film", 2e6)]
)
def test_volatile_endurance(material: str, cycles: float) -> None:
    assert _volatile(load(material)).wear.endurance.value == cycles
