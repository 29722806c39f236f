from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.devices import load
from ohmloom.sim.fit import FITTERS, FitError, fit, write

EXAMPLE = Path(__file__).parents[3] / "examples" / "devices" / "measured.csv"
HEADER = "cell,kind,volts,seconds,i_cc,amps\n"


@pytest.mark.parametrize("family", FITTERS)
def test_a_measured_device_is_found_again(family: str, cases: Any, tmp_path: Path) -> None:
    case = cases[family]
    path = case.measure(case.device, 1).save(tmp_path / "measured.csv")
    fitted = fit(path, family, name="Mine")
    told = {e.name: e for e in fitted.found.estimates}
    for name, e in told.items():
        truth = case.truth(name)
        assert e.low <= e.value <= e.high and e.points > 1
        # three times as wide: 1 of 1e8 intervals misses the truth, but for skewed ones
        assert e.value + 3 * (e.low - e.value) <= truth <= e.value + 3 * (e.high - e.value), name
    files = write(fitted, tmp_path / "mine.toml")
    assert [file.name for file in files] == ["mine.toml", "mine.png", "mine.svg"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "measured.csv", "mine.png", "mine.svg", "mine.toml"
    ]  # fmt: skip
    device = load(files[0])
    assert device.name == "mine" and len(device.modes) == 1
    front = f"modes.{fitted.mode}."
    given = {front + g.name for g in (*fitted.found.applied, *fitted.found.derived)}
    for parameter in device.parameters:
        e = told.get(parameter.name.removeprefix(front))
        if e is not None:
            assert parameter.value == e.value and parameter.source == "measured: measured.csv"
            assert f"95 % interval {e.low:.6g} to {e.high:.6g}, {e.points} points" in (
                parameter.note or ""
            )
        elif parameter.name not in given:
            assert parameter.assumed == f"from {fitted.base}: the data do not tell"
            assert parameter.value == load(fitted.base).number(parameter.name)
    # the array takes it, and cells of it do what was measured
    array = SimulatedArray(device, 1, 1, 4, 1)
    assert (array.read(np.arange(4)) > 0).all()


def test_a_base_of_another_mode_and_another_amplitude(cases: Any, tmp_path: Path) -> None:
    """What no datum shows goes with the amplitude: the volts of a file, halved, fit as well."""
    case = cases["ionic"]
    path = case.measure(case.device, 1).save(tmp_path / "x.csv")
    half = [line.split(",") for line in path.read_text().splitlines()]
    for row in half[1:]:
        if row[1] == "pulse":
            row[2] = repr(0.5 * float(row[2]))
    path.write_text("\n".join(",".join(row) for row in half) + "\n")
    device = fit(path, "ionic").device
    assert device.number("modes.analog.up.v_full") == 5.0
    assert device.number("modes.analog.up.v_threshold") == 4.0
    assert device.number("modes.analog.drive.v_min") == -5.0


def test_levels_follow_the_line(tmp_path: Path) -> None:
    device = fit(EXAMPLE, "icc_line").device
    assert 20 <= device.levels.size <= 45
    assert device.level_i_cc[0] >= 40e-6 and device.level_i_cc[-1] <= 130e-6


def test_thresholds_that_do_not_agree_are_a_note(tmp_path: Path) -> None:
    rows = ""
    for n, (set_at, missed) in enumerate(((0.8, 0.7), (0.9, 0.85), (0.75, 0.6))):
        for i_cc in (1e-4, 2e-4):
            rows += (
                f"c{n},read,0.1,,,1e-7\nc{n},pulse,{missed},1e-3,{i_cc},\nc{n},read,0.1,,,1e-7\n"
            )
            rows += (
                f"c{n},pulse,{set_at},1e-3,{i_cc},\nc{n},read,0.1,,,{0.3 * i_cc * (1 + n / 99)}\n"
            )
            rows += f"c{n},pulse,-1.5,1e-3,,\n"
    path = tmp_path / "x.csv"
    path.write_text(HEADER + rows)
    fitted = fit(path, "icc_line")
    assert "cells SET at different voltages" in fitted.found.notes[0]
    told = {e.name: e for e in fitted.found.estimates}
    assert told["pulses.v_set_threshold"].value == pytest.approx(np.mean((0.8, 0.9, 0.75)))


def test_what_an_array_would_refuse_is_a_note(tmp_path: Path, cases: Any) -> None:
    case = cases["filament"]
    path = case.measure(case.device, 1).save(tmp_path / "x.csv")
    assert fit(path, "filament").found.notes == ()
    path.write_text(path.read_text().replace(",0.001,", ",,"))  # the limit, not written down
    notes = fit(path, "filament").found.notes
    assert "an array refuses a part of what was done: SET with I_cc = inf" in notes[-1]


def refused(path: Path, family: str = "icc_line", **options: str) -> str:
    with pytest.raises(FitError) as error:
        fit(path, family, **options)
    return str(error.value)


def test_what_cannot_be_fitted(tmp_path: Path, cases: Any) -> None:
    path = tmp_path / "x.csv"
    path.write_text(HEADER + "a,read,0.1,,,1e-6\n")
    assert "'magnetic' cannot be fitted; accepted are icc_line, filament" in refused(
        path, "magnetic"
    )
    assert "x.csv has 0 SETs with 0 compliance currents" in refused(path)
    assert "no state was read in two cells or two cycles" in refused(path, "filament")
    assert "no pulse of the polarity that raises" in refused(path, "ionic")
    assert "no pulse or sweep above 0 V" in refused(path, "diffusive")
    assert "the base bion has no mode of the family icc_line, only" in refused(path, base="bion")
    assert "cspbbr3_ogb has no filament mode 'x'; accepted are nonvolatile_1ma" in refused(
        path, "filament", base="cspbbr3_ogb", mode="x"
    )


def test_a_model_that_does_not_follow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    amps = np.exp(np.random.default_rng(1).normal(-12.0, 2.0, 12))
    path.write_text(HEADER + "".join(f"a,pulse,10,0.1,,\na,read,1,,,{a}\n" for a in amps))
    assert "the model does not follow the data" in refused(path, "ionic")


def test_the_wrong_polarity_is_said(tmp_path: Path) -> None:
    turned = tmp_path / "x.csv"
    rows = [line.split(",") for line in EXAMPLE.read_text().splitlines()[1:]]
    for row in rows[1:]:
        if row[1] != "read":
            row[2] = repr(-float(row[2]))
            row[5] = row[5] and repr(-float(row[5]))
    turned.write_text("\n".join(",".join(row) for row in rows) + "\n")
    assert "turn the sign of the voltages" in refused(turned)


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    fitted = fit(EXAMPLE, "icc_line")
    path = tmp_path / "new" / "d.toml"
    write(fitted, path)
    before = path.read_bytes()
    path.with_suffix(".png").unlink()
    with pytest.raises(FitError, match=r"d\.toml is there already; --force replaces it"):
        write(fitted, path)
    assert not path.with_suffix(".png").exists()
    write(fitted, path, force=True)
    assert path.read_bytes() == before and path.with_suffix(".png").exists()
    with pytest.raises(FitError, match=r"is not the name of a \.toml file"):
        write(fitted, tmp_path / "d.txt")
