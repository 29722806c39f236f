"""The schema of a device entry: every number with its unit and its origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Quantity(_Strict):
    """A number, its unit, and either where it is from or why it is assumed."""

    value: float
    unit: str
    source: str | None = Field(default=None, min_length=1)
    assumed: str | None = Field(default=None, min_length=1)
    note: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_origin(self) -> Quantity:
        if self.source is None and self.assumed is None:
            raise ValueError("a number needs its source, or assumed with the reason")
        if self.source is not None and self.assumed is not None:
            raise ValueError("a number is either from a source or assumed, not both")
        return self


def _unit(unit: str) -> AfterValidator:
    def check(quantity: Quantity) -> Quantity:
        if quantity.unit != unit:
            raise ValueError(f"the unit is {quantity.unit!r}, accepted is {unit!r}")
        return quantity

    return AfterValidator(check)


def _rule(holds: Callable[[float], bool], accepted: str) -> AfterValidator:
    def check(quantity: Quantity) -> Quantity:
        if not holds(quantity.value):
            raise ValueError(f"{quantity.value:g} is not {accepted}")
        return quantity

    return AfterValidator(check)


_POSITIVE = _rule(lambda value: value > 0, "above 0")
_NOT_NEGATIVE = _rule(lambda value: value >= 0, "0 or above")
_NEGATIVE = _rule(lambda value: value < 0, "below 0")
_FRACTION = _rule(lambda value: 0 <= value <= 1, "in 0..1")
_LEVELS = _rule(lambda value: value in range(2, 1025), "a whole number in 2..1024")
_TRIES = _rule(lambda value: value in range(1, 256), "a whole number in 1..255")
_WHOLE = _rule(lambda value: value > 0 and value == int(value), "a whole number above 0")


class Line(_Strict):
    """Conductance after a SET, against the compliance current."""

    slope: Annotated[Quantity, _unit("S/A"), _POSITIVE]
    offset: Annotated[Quantity, _unit("S"), _NOT_NEGATIVE]
    inverse_offset: Annotated[Quantity, _unit("S"), _NOT_NEGATIVE]
    sigma_slope: Annotated[Quantity, _unit("S/A"), _NOT_NEGATIVE]
    sigma_offset: Annotated[Quantity, _unit("S"), _NOT_NEGATIVE]
    i_cc_min: Annotated[Quantity, _unit("A"), _POSITIVE]
    i_cc_max: Annotated[Quantity, _unit("A"), _POSITIVE]
    volatile_i_cc: Annotated[Quantity, _unit("A"), _NOT_NEGATIVE]


class Hrs(_Strict):
    """The high-resistance state: log-normal conductance."""

    conductance: Annotated[Quantity, _unit("S"), _POSITIVE]
    spread: Annotated[Quantity, _unit("decade"), _NOT_NEGATIVE]


class Pulses(_Strict):
    """Amplitudes and widths that are used, and the thresholds below which nothing switches."""

    v_set: Annotated[Quantity, _unit("V"), _POSITIVE]
    v_set_threshold: Annotated[Quantity, _unit("V"), _POSITIVE]
    v_reset: Annotated[Quantity, _unit("V"), _NEGATIVE]
    v_reset_threshold: Annotated[Quantity, _unit("V"), _NEGATIVE]
    set_width: Annotated[Quantity, _unit("s"), _POSITIVE]
    set_width_min: Annotated[Quantity, _unit("s"), _POSITIVE]
    reset_width: Annotated[Quantity, _unit("s"), _POSITIVE]
    reset_width_min: Annotated[Quantity, _unit("s"), _POSITIVE]


class Read(_Strict):
    """How a cell is read, and the noise of one read."""

    v_read: Annotated[Quantity, _unit("V"), _POSITIVE]
    noise: Annotated[Quantity, _unit("1"), _FRACTION]


class Levels(_Strict):
    """Equally spaced conductance levels for weights."""

    count: Annotated[Quantity, _unit("1"), _LEVELS]
    g_min: Annotated[Quantity, _unit("S"), _POSITIVE]
    g_max: Annotated[Quantity, _unit("S"), _POSITIVE]


class Verify(_Strict):
    """Write-verify: window and attempts."""

    half_window: Annotated[Quantity, _unit("1"), _POSITIVE, _FRACTION]
    tries: Annotated[Quantity, _unit("1"), _TRIES]


class Codes(_Strict):
    """The integer grid of conductances."""

    g_lsb: Annotated[Quantity, _unit("S"), _POSITIVE]


class Wear(_Strict):
    """SET and RESET pairs that a cell lasts, and how long it keeps its state."""

    endurance: Annotated[Quantity, _unit("cycle"), _WHOLE]
    retention: Annotated[Quantity, _unit("s"), _POSITIVE]


class Entry(_Strict):
    """One file of the catalogue."""

    version: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    title: str = Field(min_length=1, max_length=200)
    stack: str = Field(min_length=1, max_length=200)
    family: Literal["icc_line"]
    mode: Literal["nonvolatile"]
    exact_levels: bool
    references: dict[str, str]
    line: Line
    hrs: Hrs
    pulses: Pulses
    read: Read
    levels: Levels
    verify: Verify
    codes: Codes
    wear: Wear

    @model_validator(mode="after")
    def _consistent(self) -> Entry:
        for name, quantity in self.quantities():
            source = quantity.source
            if source is not None and not any(source.startswith(key) for key in self.references):
                raise ValueError(
                    f"{name}.source {source!r} begins with none of the references "
                    f"{sorted(self.references)}"
                )
        line, pulses = self.line, self.pulses
        ascending = (
            ("line.volatile_i_cc", line.volatile_i_cc, "line.i_cc_min", line.i_cc_min),
            ("line.i_cc_min", line.i_cc_min, "line.i_cc_max", line.i_cc_max),
            ("hrs.conductance", self.hrs.conductance, "levels.g_min", self.levels.g_min),
            ("levels.g_min", self.levels.g_min, "levels.g_max", self.levels.g_max),
            ("read.v_read", self.read.v_read, "pulses.v_set_threshold", pulses.v_set_threshold),
            ("pulses.v_set_threshold", pulses.v_set_threshold, "pulses.v_set", pulses.v_set),
            ("pulses.v_reset", pulses.v_reset, "pulses.v_reset_threshold",
             pulses.v_reset_threshold),
            ("pulses.set_width_min", pulses.set_width_min, "pulses.set_width", pulses.set_width),
            ("pulses.reset_width_min", pulses.reset_width_min, "pulses.reset_width",
             pulses.reset_width),
        )  # fmt: skip
        for low_name, low, high_name, high in ascending:
            if not low.value < high.value:
                raise ValueError(
                    f"{low_name} = {low.value:g} must be below {high_name} = {high.value:g}"
                )
        return self

    def quantities(self) -> Iterator[tuple[str, Quantity]]:
        """Every number of the entry with its dotted name, in the order of the schema."""
        for section_name, section in self:
            if isinstance(section, BaseModel):
                for name, quantity in section:
                    yield f"{section_name}.{name}", quantity
