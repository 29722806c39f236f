from __future__ import annotations

import re
from pathlib import Path

import pytest

from ohmloom.sim.devices import DeviceError
from ohmloom.sim.devices.datasheet import FOLDER, is_sheet, load_sheet, sheets

TABLE_S11 = {
    # name: reference, V_SET, V_RESET, endurance, ON/OFF, degC, ON/OFF hot (seed 001, Table S11)
    "pom_co2nb6": (2, 1.12, -7.0, 200, 1.18e3, 70, 1.15e2),
    "pom_na6v10": (3, 1.2, 0.8, 200, 25, None, None),
    "pom_co2gew12": (4, 1.77, -3.42, 100, 1.18e2, 150, 3.5e3),
    "pom_co3ta6": (5, 3.79, -7.64, 100, 1.43e3, None, None),
    "pom_co4pw9": (6, -0.63, 0.75, 20, 27.3, 270, 55),
    "pom_mnmo6": (7, 0.97, -3.49, 700, 2.32e2, 240, 6.2e2),
    "pom_pw12_pmma": (8, 1.2, -1.71, 100, 6e2, None, None),
    "pom_ni_mo8": (9, 1.2, -0.90, 30, 700, 100, 7e2),
}
TABLE_2 = {
    # name: reference, volatile ON/OFF, cycles, ON/OFF, retention, cycles (seed 002, Suppl. Table 2)
    "hbn_au_ti_cu": (6, "1000 to 10000", 500, "100", 1e3, 100),
    "wse2_ag": (8, "< 100", 90, "1000", 1e4, None),
    "tiox_ag_np": (19, "100", 10, "100", 1e4, 100),
    "gan_regrown": (20, "1000", 1e3, "10", None, None),
    "rbpbbr3": (21, "1000 to 10000", None, "1000 to 10000", 1e4, 500),
    "cuo_nanowires": (22, "1000", 1e5, "100000", None, None),
    "ag_sio2": (23, "1000", None, "> 10000", None, None),
    "hbn_ti_cu": (24, "10000", None, "10000", None, 600),
    "cofe2o4": (25, "100", 100, "> 1000", 1e3, 500),
    "fibroin": (26, "100", 10, "1e+06", 1e4, 10),
    "igzo_mno": (27, "10000", None, "1e+07", 1e4, 200),
}


def test_every_row_of_both_tables_is_there() -> None:
    assert sheets() == sorted({**TABLE_S11, **TABLE_2})
    assert len(TABLE_S11) == 8 and len(TABLE_2) == 11


def value(reading: object) -> float | None:
    return getattr(reading, "value", None)


@pytest.mark.parametrize("name", TABLE_S11)
def test_table_s11(name: str) -> None:
    reference, *numbers = TABLE_S11[name]
    mode = load_sheet(name).modes["nonvolatile"]
    found = (mode.v_set, mode.v_reset, mode.endurance, mode.on_off, mode.temperature)
    assert [value(reading) for reading in (*found, mode.on_off_hot)] == numbers
    assert mode.v_set and mode.v_set.source == f"seed 001, Table S11, [{reference}]"


@pytest.mark.parametrize("name", TABLE_2)
def test_table_2(name: str) -> None:
    reference, volatile_ratio, volatile_cycles, ratio, retention, cycles = TABLE_2[name]
    modes = load_sheet(name).modes
    volatile, kept = modes["volatile"], modes["nonvolatile"]
    assert (str(volatile.on_off), value(volatile.endurance)) == (volatile_ratio, volatile_cycles)
    assert (str(kept.on_off), value(kept.retention), value(kept.endurance)) == (
        ratio, retention, cycles,
    )  # fmt: skip
    assert kept.on_off and kept.on_off.source == f"seed 002, Suppl. Table 2, ref. {reference}"


def test_signs_and_order_are_as_printed() -> None:
    polarity = {
        name: load_sheet(name).modes["nonvolatile"].polarity for name in TABLE_S11
    }  # fmt: skip
    odd = {name: found for name, found in polarity.items() if found != "bipolar"}
    assert odd == {"pom_na6v10": "unipolar", "pom_co4pw9": "reversed"}
    hotter = {
        name
        for name in TABLE_S11
        if (mode := load_sheet(name).modes["nonvolatile"]).on_off_hot
        and mode.on_off
        and mode.on_off_hot.value > mode.on_off.value
    }
    assert hotter == {"pom_co2gew12", "pom_co4pw9", "pom_mnmo6"}


def test_what_is_not_there_is_said_to_be_not_reported() -> None:
    for name in sheets():
        sheet = load_sheet(name)
        columns = {"endurance", "on_off", "retention"} if name in TABLE_2 else set()
        columns |= {"v_set", "v_reset", "on_off", "endurance", "retention"}
        if name in TABLE_S11:
            columns |= {"temperature", "on_off_hot"}
        wanted = {f"{mode}.{column}" for mode in sheet.modes for column in columns}
        wanted -= {"volatile.retention"}  # a volatile state has none
        assert wanted == {found for found, _ in sheet.readings()} | set(sheet.not_reported)


def test_states_for_window_studies() -> None:
    sheet = load_sheet("pom_co2gew12")
    assert sheet.states("nonvolatile", 1e-6) == (1e-6, 1.18e2 * 1e-6)
    assert sheet.states("nonvolatile", 1e-6, hot=True) == (1e-6, 3.5e3 * 1e-6)
    with pytest.raises(DeviceError, match="gives no ON/OFF ratio of a volatile mode"):
        sheet.states("volatile", 1e-6)
    with pytest.raises(DeviceError, match="gives no hot ON/OFF ratio"):
        load_sheet("pom_pw12_pmma").states("nonvolatile", 1e-6, hot=True)


@pytest.mark.parametrize(
    ("find", "put", "complaint"),
    [
        (r"value = -0.63, unit = \"V\"", 'value = -0.63, unit = "mV"', "v_set: the unit is 'mV'"),
        (r"value = 27.3", "value = 0.5", "on_off: 0.5 is not above 1"),
        (r"value = 27.3", "value = 27.3, up_to = 3.0", "on_off: a range up to 3"),
        (r"value = 27.3", "value = nan", "on_off.value"),
        (r"value = 20.0", "value = 20.0, assumed = 'x'", "endurance.assumed"),
        (r'"seed 001, Table S11, \[6\]" \}\nv_r', '"folklore" }\nv_r', "begins with none"),
        (r"v_set = .*\n", "", None),
        (r"\[\"nonvolatile.retention\"\]", '["nonvolatile.v_set"]', "'nonvolatile.v_set' is given"),
        (r"\[\"nonvolatile.retention\"\]", '["volatile.v_set"]', "is no field of this entry"),
        (r"\[nonvolatile\](.|\n)*", "", "volatile or nonvolatile"),
    ],
)
def test_bad_entries_are_refused(
    tmp_path: Path, find: str, put: str, complaint: str | None
) -> None:
    good = (FOLDER / "pom_co4pw9.toml").read_text()
    text, count = re.subn(find, put.replace("\\", "\\\\"), good, count=1)
    assert count == 1
    path = tmp_path / "mine.toml"
    path.write_text(text)
    if complaint is None:
        assert load_sheet(str(path)).modes["nonvolatile"].polarity is None
        return
    with pytest.raises(DeviceError) as error:
        load_sheet(str(path))
    assert complaint in str(error.value) and str(path) in str(error.value)


def test_files_and_names(tmp_path: Path) -> None:
    assert is_sheet("fibroin") and not is_sheet("ideal")
    assert is_sheet(str(FOLDER / "fibroin.toml"))
    device = tmp_path / "device.toml"
    device.write_text("schema = 1\n")
    assert not is_sheet(str(device))
    with pytest.raises(DeviceError, match="'unobtainium' is not a data sheet"):
        load_sheet("unobtainium")
    with pytest.raises(DeviceError, match="cannot be read"):
        load_sheet(str(tmp_path / "none.toml"))
    broken = tmp_path / "broken.toml"
    broken.write_text("= 1")
    with pytest.raises(DeviceError, match="is not a TOML file"):
        load_sheet(str(broken))
