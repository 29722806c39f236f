"""Device entries: what the catalogue holds, and what a broken entry is answered with."""

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmloom.sim import devices
from ohmloom.sim.devices import DeviceError, catalogue, changed, load
from ohmloom.sim.devices.datasheet import sheets
from ohmloom.sim.devices.families import icc_line
from ohmloom.sim.numerics import G_CODE_MAX

FOLDER = Path(devices.__file__).parent
ENTRY = (FOLDER / "cspbbr3_ogb.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", catalogue())
def test_every_entry_loads_under_its_own_name(name):
    device = load(name)
    assert device.name == name
    for mode in device.modes:
        assert device.mode(mode.name) is mode
        assert mode.temperatures[0] <= 298.15 <= mode.temperatures[1]


def numbers(node, prefix=""):
    """Dotted names of the tables with a value."""
    for key, item in enumerate(node) if isinstance(node, list) else node.items():
        if isinstance(item, dict | list):
            if "value" in item:
                yield f"{prefix}{key}"
            else:
                yield from numbers(item, f"{prefix}{key}.")


@pytest.mark.parametrize("name", catalogue())
def test_every_number_has_exactly_one_origin(name):
    raw = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    in_file = set(numbers({key: raw[key] for key in ("modes", "transitions") if key in raw}))
    parameters = load(name).parameters
    assert {parameter.name for parameter in parameters} == in_file
    for parameter in parameters:
        assert (parameter.source is None) != (parameter.assumed is None)


@pytest.mark.parametrize("name", ["cspbbr3_ogb", "ideal", "ideal:2", "ideal:64", "ideal:256"])
def test_levels_are_equal_steps_of_whole_codes_inside_the_window(name):
    device = load(name)
    assert len(set(np.diff(device.level_codes).tolist())) == 1
    assert device.level_step >= 1
    assert np.array_equal(device.g_codes(device.levels), device.level_codes)
    assert 0.1e-3 <= device.levels[0] <= device.levels[-1] <= 0.35e-3
    p: Any = device.mode("nonvolatile").p
    assert np.allclose(icc_line.mean(p, device.level_i_cc), device.levels, rtol=1e-12)
    low, high = p.line.i_cc_min.value, p.line.i_cc_max.value
    assert low <= device.level_i_cc[0] <= device.level_i_cc[-1] <= high


def test_level_arrays_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        load("ideal").levels[0] = 1.0


def test_a_chosen_number_of_ideal_levels():
    device = load("ideal:64")
    assert (len(device.levels), device.name) == (64, "ideal:64")
    assert device.number("modes.nonvolatile.levels.count") == 64


def test_the_variance_exponent_is_the_largest_that_fits():
    assert load("ideal").var_exponent == 8
    device = load("cspbbr3_ogb")
    full = (device.read_noise * G_CODE_MAX) ** 2
    assert full * 4**device.var_exponent <= 65535 < full * 4 ** (device.var_exponent + 1)


def test_code_rounding_is_half_to_even_and_clipped():
    device = load("cspbbr3_ogb")
    g = np.array([-1.0, 0.5, 1.5, 2.5, 16383.4, 1e9]) * device.g_lsb
    assert device.g_codes(g).tolist() == [0, 0, 2, 2, 16383, 16383]
    assert int(device.var_codes(1000 * device.g_lsb)) == 100  # (1 % of 1000 codes) squared


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("cspbbr4", "cspbbr3_ogb, ideal, "),
        ("ideal:1", "2..256"),
        ("ideal:257", "2..256"),
        ("ideal:", "2..256"),
        ("ideal:6x", "2..256"),
        ("ideal:²", "2..256"),
        ("cspbbr3_ogb:8", "cannot be chosen"),
        ("../ideal", "cspbbr3_ogb, ideal, "),
    ],
)
def test_a_name_that_is_no_device_is_refused(name, accepted):
    with pytest.raises(DeviceError, match=re.escape(accepted)):
        load(name)


def test_a_users_own_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(ENTRY.replace('name = "cspbbr3_ogb"', 'name = "mine"'), encoding="utf-8")
    assert load(path).name == load(str(path)).name == "mine"


LINE = re.search(r"^slope = .*$", ENTRY, re.MULTILINE)
assert LINE is not None
SLOPE = LINE.group()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('unit = "S/A", source = "seed 002, Suppl. Note 4" }\noffset', 'unit = "S/A" }\noffset',
         "line.slope: a number needs its source"),
        (SLOPE, SLOPE.replace(" }", ', assumed = "so" }'), "line.slope: .*not both"),
        (SLOPE, SLOPE.replace("S/A", "mS/A"), "line.slope: the unit is 'mS/A', accepted is 'S/A'"),
        (SLOPE, SLOPE.replace("3.338", "nan"), "line.slope.value: .*finite.*nan"),
        (SLOPE, SLOPE.replace("3.338", "inf"), "line.slope.value: .*finite.*inf"),
        (SLOPE, SLOPE.replace("3.338", '"3.338"'), "line.slope.value: .*valid number.*'3.338'"),
        (SLOPE, SLOPE.replace("3.338", "true"), "line.slope.value"),
        (SLOPE, SLOPE.replace("3.338", "-1.0"), "line.slope: -1 is not above 0"),
        (SLOPE, SLOPE.replace("seed 002", "seed 999"), "line.slope.source 'seed 999"),
        (SLOPE, SLOPE.replace("source", "sauce"), "line.slope.sauce: is not a field"),
        (SLOPE, SLOPE + "\nslop = 1", "line.slop: is not a field"),
        (SLOPE, "", "line.slope: is missing"),
        (SLOPE, "slope = 3.338", "line.slope: .*3.338"),
        ('family = "icc_line"', 'family = "magic"', "family: 'magic' is no family.*icc_line"),
        ("schema = 2", "schema = 1", "schema: "),
        ("value = 32, unit", "value = 32.5, unit", "levels.count: 32.5 is not a whole number"),
        ("value = 0.35e-3", "value = 0.05e-3", "levels.g_min = 0.0001 must be below levels.g_max"),
        ("value = 1.0, unit", "value = 0.5, unit", "pulses.v_set_threshold = 0.8 must be below"),
        ("value = 250e-6", "value = 100e-6", "levels need I_cc"),
        ("value = 6.103515625e-8", "value = 1e-8", "codes.g_lsb = 1e-08 S covers"),
        ("value = 6.103515625e-8", "value = 1e-4", "codes.g_lsb = 0.0001 S is too coarse"),
        ('to = "nonvolatile_1ma"', 'to = "power"', "transitions.0: 'power' is not a mode"),
        ('to = "nonvolatile_1ma"', 'to = "nonvolatile_1ma"\nirreversible = true',
         "transitions.0 is irreversible, and yet"),
        ("value = 50, unit", "value = 9000, unit", "heating: its points are not in ascending"),
        ('end = "collapsed"', 'end = "gone"', "wear.end: .*collapsed.*gone"),
        ("[modes.nonvolatile.line]", "[line", "is not a TOML file"),
    ],
)  # fmt: skip
def test_a_broken_entry_is_answered_with_file_and_field(tmp_path, old, new, named):
    assert ENTRY.count(old) >= 1
    path = tmp_path / "broken.toml"
    path.write_text(ENTRY.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DeviceError, match=named) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"schema = 2\n" + b"[" * 5000, b"a = 1\na = 2", b"#" * (2 << 20)],
)
def test_a_hostile_file_is_one_sentence(tmp_path, content):
    path = tmp_path / "hostile.toml"
    path.write_bytes(content)
    with pytest.raises(DeviceError, match=re.escape(str(path))):
        load(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DeviceError, match="cannot be read"):
        load(tmp_path / "nothing.toml")
    with pytest.raises(DeviceError, match="cannot be read"):
        load(tmp_path)


def test_a_changed_number():
    device = load("cspbbr3_ogb")
    other = changed(device, **{"modes.nonvolatile.hrs.spread": 0.4})
    assert other.number("modes.nonvolatile.hrs.spread") == 0.4
    assert device.number("modes.nonvolatile.hrs.spread") == 0.2
    differing = {p.name for p, q in zip(device.parameters, other.parameters, strict=True) if p != q}
    assert differing == {"modes.nonvolatile.hrs.spread"}
    listed = changed(device, **{"modes.nonvolatile.heating.1.rise": 14.0})
    assert listed.mode("nonvolatile").surface_rise(50) == 14


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("modes.nonvolatile.hrs.spred", 1.0, "no parameter 'modes.nonvolatile.hrs.spred'"),
        ("modes.nonvolatile.hrs.spread", -1.0, "hrs.spread: -1 is not 0 or above"),
    ],
)
def test_a_change_that_is_none(name, value, said):
    with pytest.raises(DeviceError, match=said):
        changed(load("cspbbr3_ogb"), **{name: value})


def test_a_data_sheet_is_no_device_to_run():
    name = sheets()[0]
    with pytest.raises(DeviceError, match=f"'{name}' is known by its data sheet only"):
        load(name)


def with_wears(mode: str, other: str) -> None:
    document = load("cspbbr3_ogb").document()
    document["modes"][mode]["wears_with"] = other
    if mode != other == "volatile":
        document["modes"]["volatile"]["wears_with"] = "nonvolatile"
    devices.build(document, "mine")


@pytest.mark.parametrize(
    ("mode", "other", "said"),
    [
        ("volatile", "elsewhere", "'elsewhere' is not a mode of this entry"),
        ("volatile", "volatile", "'volatile' counts no cycles of its own"),
        ("nonvolatile_1ma", "volatile", "'volatile' counts no cycles of its own"),
    ],
)
def test_a_mode_wears_with_one_that_counts(mode, other, said):
    with pytest.raises(DeviceError, match=f"wears_with: {said}"):
        with_wears(mode, other)
