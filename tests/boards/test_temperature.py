"""Temperatures of the bench: conversion, plausibility, limit and log; the numpy engine reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.boards.reader import ReaderError, Reading
from ohmloom.boards.temperature import (
    LIMIT_C,
    TemperatureError,
    TemperatureLog,
    Temperatures,
    TooHot,
    celsius_of_code,
    load_log,
    measure,
)
from ohmloom.hw.afe.ad7606c import sensor_celsius, sensor_volts
from ohmloom.hw.ranges import TEMPERATURE_RANGE
from ohmloom.sim.converters import ConverterError, Converters, pmod

NOON = datetime(2026, 2, 3, 12, 0, 30, tzinfo=UTC)
STEP_C = 10 / 32768 / 0.019328
"""Of one code."""
degrees = st.floats(-40, 125)


class Card:
    """Reads of a card with so many columns, whose converters have these temperatures."""

    def __init__(self, *celsius: float, columns: int | None = None, saturated: bool = False):
        self.celsius = celsius
        self.saturated = saturated
        self.asked: list[tuple[Any, ...]] = []
        self.info: Any = SimpleNamespace(columns=columns or 8 * len(celsius))

    def read(self, tile, cell, count, volts, tia_range=None, average=0):
        self.asked.append((tile, cell, count, volts, tia_range))
        codes = Converters(celsius=self.celsius[cell // 8]).temperature_codes(np.zeros(count, int))
        return [Reading(int(code), TEMPERATURE_RANGE, self.saturated) for code in codes]

    def write_table(self, words):
        raise AssertionError("a temperature needs no table")


@given(degrees)
def test_a_temperature_comes_back_from_its_code(celsius: float) -> None:
    assert sensor_celsius(sensor_volts(celsius)) == pytest.approx(celsius, abs=1e-9)
    code = int(Converters(celsius=celsius).temperature_codes(0))
    assert abs(celsius_of_code(code) - celsius) <= 0.51 * STEP_C
    assert round(sensor_volts(celsius) / 10 * 32768) == code


@given(degrees, st.lists(st.integers(-6 << 12, 6 << 12), min_size=1, max_size=8))
def test_noise_is_that_of_the_converter(celsius: float, z: list[int]) -> None:
    """0.6 codes times the deviate, which has 12 fraction bits."""
    card = Converters(celsius=celsius)
    codes = card.temperature_codes(z)
    wanted = sensor_volts(celsius) / 10 * 32768 + 0.6 * np.array(z) / 4096
    assert np.all(np.abs(codes - wanted) <= 0.51)


def test_25_degrees_are_the_sheet_s_voltage() -> None:
    assert sensor_volts(25) == 0.69068
    assert sensor_volts(26) - sensor_volts(25) == pytest.approx(0.019328)
    assert celsius_of_code(0) == pytest.approx(-10.73, abs=0.01)


def test_channel_8_of_every_chip_is_read_and_no_cell_is_driven() -> None:
    card = Card(25.0, 40.0, 31.5)
    found = measure(card, "forming", lambda: NOON)
    assert found.time == NOON and found.doing == "forming"
    assert found.celsius == pytest.approx((25.0, 40.0, 31.5), abs=0.01)
    assert card.asked == [(0, 8 * n + 7, 1, 0.0, TEMPERATURE_RANGE) for n in range(3)]
    assert measure(card, "now").time - datetime.now(UTC) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (Card(25.0, -10.7), "converter 1 says -10.7 degC, accepted is 0 to 150: AD7606 have no"),
        (Card(151.0), "converter 0 says 151.0 degC"),
        (Card(25.0, saturated=True), "converter 0 says 25.0 degC"),
        (Card(columns=4), "a controller of 4 columns has no converter with a temperature sensor"),
    ],
)
def test_what_cannot_be_a_temperature_is_refused(card: Card, said: str) -> None:
    with pytest.raises(TemperatureError, match=said):
        measure(card, "a test")


def test_a_converter_above_the_limit_is_named() -> None:
    cool, hot = (Temperatures(NOON, "idle", values) for values in ((84.9, 85.0), (30.0, 85.1)))
    cool.require()
    with pytest.raises(TooHot, match="converter 1 is at 85.1 degC \\(idle\\), accepted"):
        hot.require()
    hot.require(90.0)
    assert TooHot.exit_code == 2 and LIMIT_C == 85


def test_a_log_only_grows(tmp_path) -> None:
    path = tmp_path / "folder" / "log.jsonl"
    log = TemperatureLog(path)
    first = Temperatures(NOON, 'the "first"\none', (25.0, 26.25))
    log.append(first)
    before = path.read_bytes()
    there = NOON.astimezone(timezone(timedelta(hours=2)))
    TemperatureLog(path).append(Temperatures(there, "second", (27.0,)))
    assert path.read_bytes().startswith(before) and path.read_bytes().count(b"\n") == 2
    assert load_log(path) == [first, Temperatures(NOON, "second", (27.0,))]
    record = json.loads(path.read_text().splitlines()[1])
    assert record == {"time": "2026-02-03T12:00:30+00:00", "doing": "second", "celsius": [27.0]}


def test_a_log_that_is_none_is_named(tmp_path) -> None:
    path = tmp_path / "log.jsonl"
    with pytest.raises(TemperatureError, match="log.jsonl is no log of temperatures"):
        load_log(path)
    for line in ("{", "{}", '{"time": "never", "doing": "", "celsius": []}', "7"):
        path.write_text('{"time": "2026-02-03", "doing": "", "celsius": [1]}\n' + line + "\n")
        with pytest.raises(TemperatureError, match="log.jsonl, line 2: no reading"):
            load_log(path)
    with pytest.raises(TemperatureError, match="takes no temperatures: "):
        TemperatureLog(tmp_path).append(Temperatures(NOON, "", (1.0,)))


def test_a_temperature_is_no_current() -> None:
    with pytest.raises(ReaderError, match="range 7 is no current"):
        _ = Reading(2263, TEMPERATURE_RANGE, False).amperes


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (pmod.PmodConverters(), "no temperature sensor"),
        (Converters(celsius=float("nan")), "nan degC"),
        (Converters(celsius=1e9), "1e\\+09 degC, accepted is -100 to 300"),
    ],
)
def test_converters_without_a_temperature_say_so(card: Converters, said: str) -> None:
    with pytest.raises(ConverterError, match=said):
        card.temperature_codes(0)
