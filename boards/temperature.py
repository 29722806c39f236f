"""Temperature of the bench: the converters' own sensors, a log, and an upper limit.

The sensors of AD7606C-16 are for monitoring. A controller with AD7606 has none, and does
not say so: what it gives is refused where no bench can be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import OhmloomError
from ..hw.afe.ad7606c import SENSOR_CHANNEL, sensor_celsius
from ..hw.afe.adc_part import CHANNELS
from ..hw.afe.tia import VOLTS_PER_CODE
from ..hw.ranges import TEMPERATURE_RANGE
from .reader import Reads

UNCERTAINTY_C = 5.0
"""assumed: "none of them is a precision channel" (Analog Devices EngineerZone, document
15877), no sheet at hand has a number."""
LIMIT_C = 85.0
"""Rated temperature of the AD5754R (data sheet, "Temperature range -40 to +85 degC";
assumed: not read again), the lowest of the card's chips: the AD7606B, the converter's
nearest kin, has 125 degC (Analog Devices AN-2011, Table 1)."""
PLAUSIBLE_C = (0.0, 150.0)
"""assumed: a die that runs is warmer than its room; a channel at 0 V would be at -11 degC."""
AVERAGE = 4
"""Base-two logarithm of the conversions of a reading."""


class TemperatureError(OhmloomError, RuntimeError):
    """A temperature that cannot be read or logged."""


class TooHot(TemperatureError):
    """A converter above the limit."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Temperatures:
    """One reading of every converter.

    Attributes
    ----------
    time:
        When, UTC.
    doing:
        What was being done.
    celsius:
        One value for each chip [degC], off by up to :data:`UNCERTAINTY_C`.
    """

    time: datetime
    doing: str
    celsius: tuple[float, ...]

    def require(self, limit: float = LIMIT_C) -> None:
        """Go on only while no converter is above ``limit`` [degC].

        Raises
        ------
        TooHot
            If one is, naming the hottest.
        """
        hottest = max(self.celsius)
        if hottest > limit:
            raise TooHot(
                f"converter {self.celsius.index(hottest)} is at {hottest:.1f} degC "
                f"({self.doing}), accepted is up to {limit:g} degC"
            )


def celsius_of_code(code: int) -> float:
    """Temperature of a die [degC] from the code of its sensor."""
    return sensor_celsius(code * VOLTS_PER_CODE)


def measure(reads: Reads, doing: str, now: Callable[[], datetime] = _now) -> Temperatures:
    """Read the sensor of every converter; no cell is driven.

    Raises
    ------
    TemperatureError
        If the controller has no such converters, or what they say cannot be.
    """
    chips = reads.info.columns // CHANNELS
    if not chips:
        raise TemperatureError(
            f"a controller of {reads.info.columns} columns has no converter with a temperature "
            f"sensor, which takes {CHANNELS}"
        )
    time, found = now(), []
    for chip in range(chips):
        cell = CHANNELS * chip + SENSOR_CHANNEL
        (reading,) = reads.read(0, cell, 1, 0.0, TEMPERATURE_RANGE, AVERAGE)
        celsius = celsius_of_code(reading.code)
        low, high = PLAUSIBLE_C
        if reading.saturated or not low <= celsius <= high:
            raise TemperatureError(
                f"converter {chip} says {celsius:.1f} degC, accepted is {low:g} to {high:g}: "
                "AD7606 have no temperature sensor, AD7606C-16 have"
            )
        found.append(celsius)
    return Temperatures(time, doing, tuple(found))


class TemperatureLog:
    """A file of readings, a line of JSON each; lines are only ever added.

    Parameters
    ----------
    path : Path
        The file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, found: Temperatures) -> None:
        """Add a reading.

        Raises
        ------
        TemperatureError
            If the file cannot be written.
        """
        line = json.dumps(
            {
                "time": found.time.astimezone(UTC).isoformat(timespec="seconds"),
                "doing": found.doing,
                "celsius": [round(value, 2) for value in found.celsius],
            }
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # One write of a whole line: readers and other writers see no half of it.
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise TemperatureError(
                f"{self.path} takes no temperatures: {error.strerror or error}"
            ) from error


def load_log(path: Path) -> list[Temperatures]:
    """The readings of a file, the oldest one first.

    Raises
    ------
    TemperatureError
        At a line that is none.
    """
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TemperatureError(f"{path} is no log of temperatures: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            time = datetime.fromisoformat(record["time"])
            values = tuple(float(value) for value in record["celsius"])
            found.append(Temperatures(time, str(record["doing"]), values))
        except (ValueError, KeyError, TypeError) as error:
            raise TemperatureError(f"{path}, line {number}: no reading of temperatures") from error
    return found
