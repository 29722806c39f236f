"""The volatile experiments pass, fail on a changed device, and rest on a fit that is repeated."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

import ohmloom.sim.devices
from ohmloom.sim.devices import Device, load
from ohmloom.sim.devices.entry import parse
from ohmloom.sim.devices.families import diffusive
from ohmloom.sim.experiments import Bench, Definition, Kind, Row, run, s002_fit, s002_volatile
from ohmloom.sim.numerics import FloatArray

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
        ("002/response", "growth.slow_rate", 1.0),
        ("002/echo", "growth.slow_rate", 20.0),
        ("002/echo", "relaxation.slow_share", 0.8),
        ("002/echo", "relaxation.slow_time", 2.5),
        ("002/train", "relaxation.slow_time", 0.8),
        ("002/train", "relaxation.slow_time", 1.6),
        ("002/train", "relaxation.fast_time", 10e-3),
        ("002/streams", "relaxation.fast_time", 0.2e-3),
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


def test_the_fit_gives_the_number_of_the_entry() -> None:
    p = _volatile(load(s002_volatile.DEVICE))
    fitted = s002_fit.fit(s002_fit.with_share(p, 0.9))
    assert fitted.relaxation.slow_share.value == pytest.approx(
        p.relaxation.slow_share.value, rel=1e-5
    )
    assert abs(s002_fit.misfit(p)).max() < 1.0


def test_the_fit_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    s002_fit.main()
    shown = capsys.readouterr().out
    assert "slow_share  0.390722" in shown and "30 ms   111.58 %" in shown


def _has_the_signs(p: diffusive.Parameters) -> bool:
    """Whether trains add up as reported, with 10 to 23 ms between the first nine pulses."""
    return all(
        (s002_fit.last_step(p, inner, last) > 0) is (last <= 23e-3)
        for inner in (10e-3, 14e-3, 18e-3, 23e-3)
        for last in (10e-3, 23e-3, 41e-3, 80e-3)
    )


@pytest.mark.parametrize(
    ("slow_time", "index"),
    [(0.90, None), (0.91, 111.1), (0.95, 111.6), (1.55, 114.9), (1.56, None)],
)
def test_the_trains_bound_the_slow_time_and_so_the_index(
    slow_time: float, index: float | None
) -> None:
    p = s002_fit.fit(_volatile(_changed("relaxation.slow_time", slow_time)))
    assert _has_the_signs(p) is (index is not None)
    if index is not None:
        assert s002_fit.echo_index(p, 30e-3) == pytest.approx(index, abs=0.1)


@pytest.mark.parametrize(("number", "value"), [("growth.rate", 20.0), ("growth.rate", 60.0),
                                               ("relaxation.fast_time", 1e-3)])  # fmt: skip
def test_the_prediction_hardly_hangs_on_what_is_assumed(number: str, value: float) -> None:
    fitted = s002_fit.fit(_volatile(_changed(number, value)))
    assert s002_fit.echo_index(fitted, 30e-3) == pytest.approx(111.6, abs=0.5)


@pytest.mark.parametrize(("pair", "index"), [(5e-3, 113.0), (17e-3, 109.3)])
def test_the_interval_inside_a_pair_moves_the_prediction(
    pair: float, index: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s002_fit, "PAIR_S", pair)
    fitted = s002_fit.fit(_volatile(load(s002_volatile.DEVICE)))
    assert s002_fit.echo_index(fitted, 30e-3) == pytest.approx(index, abs=0.05)


def test_a_fit_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="the fit misses the facts"):
        s002_fit.fit(_volatile(_changed("relaxation.slow_time", 0.3)))


@pytest.mark.parametrize("pair", [1e-3, 5e-3, 10e-3, 15e-3])
def test_exponential_decays_cannot_give_the_three_indices(pair: float) -> None:
    """The lowest index at 30 ms of any sum of decays that gives those at 10 and 300 ms."""
    times = np.geomspace(0.5e-3, 1e3, 300)

    def excess(interval: float) -> FloatArray:
        before = (pair, pair + interval, 2 * pair + interval)  # since each earlier pulse
        return np.exp(-np.array(before)[:, None] / times).sum(axis=0)

    facts = {interval: index - 100 for interval, index in s002_fit.ECHO.items()}
    found = linprog(
        excess(30e-3), A_eq=[excess(t) for t in facts], b_eq=list(facts.values())
    )  # weights of the decays, none below 0
    assert found.status == 0
    assert found.fun > 13.0


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
