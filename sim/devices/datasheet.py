"""Data sheets: devices of which only a row of a comparison table is known.

There is no model behind such an entry. It says what was printed, with signs and
order as printed, for tables and for studies of levels and windows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from .entry import first_complaint
from .errors import DeviceError
from .schema import Section

FOLDER = Path(__file__).parent / "datasheets"
_SIZE_LIMIT = 1 << 16

Bound = Literal["below", "above", "at_least"]
_SIGNS: dict[Bound, str] = {"below": "< ", "above": "> ", "at_least": ">= "}


class Reading(Section):
    """A number as it was printed.

    Attributes
    ----------
    value, unit:
        The number; the lower end of a range.
    up_to:
        Upper end, where a range was printed.
    bound:
        Where only a bound was printed: the true value is below or above ``value``.
    source, note:
        Where it stands, and what to know about it.
    """

    value: float
    unit: str
    up_to: float | None = None
    bound: Bound | None = None
    source: str = Field(min_length=1)
    note: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Reading:
        if self.up_to is not None and (self.bound is not None or self.up_to <= self.value):
            raise ValueError(f"a range up to {self.up_to:g} begins below that, and has no bound")
        return self

    def __str__(self) -> str:
        end = "" if self.up_to is None else f" to {self.up_to:g}"
        return f"{'' if self.bound is None else _SIGNS[self.bound]}{self.value:g}{end}"


def _reading(unit: str, least: float | None = None) -> AfterValidator:
    def check(reading: Reading) -> Reading:
        if reading.unit != unit:
            raise ValueError(f"the unit is {reading.unit!r}, accepted is {unit!r}")
        if least is not None and reading.value <= least:
            raise ValueError(f"{reading.value:g} is not above {least:g}")
        return reading

    return AfterValidator(check)


Volts = Annotated[Reading, _reading("V")]
Ratio = Annotated[Reading, _reading("1", 1.0)]
Cycles = Annotated[Reading, _reading("cycle", 0.0)]
Seconds = Annotated[Reading, _reading("s", 0.0)]
Celsius = Annotated[Reading, _reading("degC", -273.15)]


class ModeSheet(Section):
    """What is printed about one mode; a field that is None was not given."""

    v_set: Volts | None = None
    v_reset: Volts | None = None
    on_off: Ratio | None = None
    on_off_hot: Ratio | None = None
    temperature: Celsius | None = None
    endurance: Cycles | None = None
    retention: Seconds | None = None

    @property
    def polarity(self) -> str | None:
        """``bipolar``, ``reversed`` (SET below 0 V) or ``unipolar``; None without voltages."""
        if self.v_set is None or self.v_reset is None:
            return None
        if (self.v_set.value > 0) == (self.v_reset.value > 0):
            return "unipolar"
        return "bipolar" if self.v_set.value > 0 else "reversed"


class Sheet(Section):
    """One file of ``sim/devices/datasheets``."""

    version: Literal[1] = Field(alias="datasheet")
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    title: str = Field(min_length=1, max_length=200)
    stack: str = Field(min_length=1, max_length=300)
    reconfigurable: Literal["yes", "potentially", "no"] | None = None
    not_reported: tuple[str, ...]
    references: dict[str, str]
    volatile: ModeSheet | None = None
    nonvolatile: ModeSheet | None = None

    @model_validator(mode="before")
    @classmethod
    def _list_to_tuple(cls, raw: dict[str, object]) -> dict[str, object]:
        listed = raw.get("not_reported")
        return {**raw, "not_reported": tuple(listed)} if isinstance(listed, list) else raw

    @model_validator(mode="after")
    def _consistent(self) -> Sheet:
        if not self.modes:
            raise ValueError("a data sheet has a section volatile or nonvolatile")
        given = dict(self.readings())
        for name, reading in given.items():
            if not any(reading.source.startswith(key) for key in self.references):
                raise ValueError(
                    f"{name}.source {reading.source!r} begins with none of the references "
                    f"{sorted(self.references)}"
                )
        known = {f"{mode}.{name}" for mode in self.modes for name in ModeSheet.model_fields}
        for name in self.not_reported:
            if name not in known or name in given:
                raise ValueError(f"not_reported {name!r} is given, or is no field of this entry")
        return self

    @property
    def modes(self) -> dict[str, ModeSheet]:
        """The modes that the source reports, by name."""
        sheets = {"volatile": self.volatile, "nonvolatile": self.nonvolatile}
        return {name: sheet for name, sheet in sheets.items() if sheet is not None}

    def readings(self) -> Iterator[tuple[str, Reading]]:
        """Every number with its dotted name."""
        for mode, sheet in self.modes.items():
            for name in ModeSheet.model_fields:
                reading = getattr(sheet, name)
                if reading is not None:
                    yield f"{mode}.{name}", reading

    def states(self, mode: str, g_hrs: float, *, hot: bool = False) -> tuple[float, float]:
        """Conductances [S] of the two states of a mode, for window and level studies.

        Parameters
        ----------
        mode:
            ``volatile`` or ``nonvolatile``.
        g_hrs:
            Conductance of the high-resistance state [S]. No data sheet gives an
            absolute scale: it is the caller's assumption.
        hot:
            At the highest temperature reported instead of room temperature.

        Raises
        ------
        DeviceError
            If the source gives no ratio for that.
        """
        sheet = self.modes.get(mode)
        ratio = sheet and (sheet.on_off_hot if hot else sheet.on_off)
        if not ratio:
            raise DeviceError(
                f"the data sheet of {self.name} gives no {'hot ' * hot}ON/OFF ratio "
                f"of a {mode} mode"
            )
        return g_hrs, g_hrs * ratio.value


def sheets() -> list[str]:
    """Names of the data sheets that come with the project, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def is_sheet(name_or_path: str) -> bool:
    """Whether this names a data sheet: one that comes along, or a file that calls itself one."""
    if not name_or_path.endswith(".toml"):
        return name_or_path in sheets()
    return "datasheet" in _read(Path(name_or_path))


def load_sheet(name_or_path: str) -> Sheet:
    """A data sheet by its name, or by the path of a ``.toml`` file.

    Raises
    ------
    DeviceError
        If there is none, or it cannot be used; the sentence names file and field.
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
    elif name_or_path in sheets():
        path = FOLDER / f"{name_or_path}.toml"
    else:
        raise DeviceError(
            f"{name_or_path!r} is not a data sheet; accepted are {', '.join(sheets())}"
        )
    try:
        return Sheet.model_validate(_read(path))
    except ValidationError as error:
        raise DeviceError(f"{path}: {first_complaint(error)}") from error


def _read(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            raise DeviceError(f"{path} is larger than {_SIZE_LIMIT} bytes: not a data sheet")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeviceError(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DeviceError(f"{path} is not a TOML file: {error}") from error
