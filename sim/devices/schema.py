"""What device entries are made of: numbers with unit and origin, and the common sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ..numerics import FloatArray
from .errors import DeviceError


class Section(BaseModel):
    """A section: unknown fields, other types, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Quantity(Section):
    """A number, its unit, and either where it is from or why it is assumed."""

    value: float
    unit: str
    source: str | None = Field(default=None, min_length=1)
    assumed: str | None = Field(default=None, min_length=1)
    note: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_origin(self) -> Quantity:
        check_origin(self.source, self.assumed, "a number")
        return self


def check_origin(source: str | None, assumed: str | None, what: str) -> None:
    """Exactly one of the two says where ``what`` is from."""
    if source is None and assumed is None:
        raise ValueError(f"{what} needs its source, or assumed with the reason")
    if source is not None and assumed is not None:
        raise ValueError(f"{what} is either from a source or assumed, not both")


def unit(accepted: str) -> AfterValidator:
    """A quantity has this unit."""

    def check(quantity: Quantity) -> Quantity:
        if quantity.unit != accepted:
            raise ValueError(f"the unit is {quantity.unit!r}, accepted is {accepted!r}")
        return quantity

    return AfterValidator(check)


def rule(holds: Callable[[float], bool], accepted: str) -> AfterValidator:
    """A quantity's value obeys a rule, which ``accepted`` says in words."""

    def check(quantity: Quantity) -> Quantity:
        if not holds(quantity.value):
            raise ValueError(f"{quantity.value:g} is not {accepted}")
        return quantity

    return AfterValidator(check)


POSITIVE = rule(lambda value: value > 0, "above 0")
NOT_NEGATIVE = rule(lambda value: value >= 0, "0 or above")
NEGATIVE = rule(lambda value: value < 0, "below 0")
NOT_ZERO = rule(lambda value: value != 0, "other than 0")
FRACTION = rule(lambda value: 0 <= value <= 1, "in 0..1")
WHOLE = rule(lambda value: value > 0 and value == int(value), "a whole number above 0")
_LEVELS = rule(lambda value: value in range(2, 1025), "a whole number in 2..1024")
_CONVERSIONS = rule(lambda value: value in [2.0**n for n in range(13)], "a power of 2, 1..4096")
_TRIES = rule(lambda value: value in range(1, 256), "a whole number in 1..255")


class Read(Section):
    """How a cell is read, and the noise of one read."""

    v_read: Annotated[Quantity, unit("V"), POSITIVE]
    noise: Annotated[Quantity, unit("1"), FRACTION]


class Levels(Section):
    """Equally spaced conductance levels for weights."""

    count: Annotated[Quantity, unit("1"), _LEVELS]
    g_min: Annotated[Quantity, unit("S"), POSITIVE]
    g_max: Annotated[Quantity, unit("S"), POSITIVE]


class Verify(Section):
    """Write-verify: window, attempts, and conversions averaged for one read (1 without)."""

    half_window: Annotated[Quantity, unit("1"), POSITIVE, FRACTION]
    tries: Annotated[Quantity, unit("1"), _TRIES]
    conversions: Annotated[Quantity, unit("1"), _CONVERSIONS] | None = None


class Codes(Section):
    """The integer grid of conductances."""

    g_lsb: Annotated[Quantity, unit("S"), POSITIVE]


class EndurancePoint(Section):
    """Endurance at a temperature other than the reference one."""

    temperature: Annotated[Quantity, unit("K"), POSITIVE]
    endurance: Annotated[Quantity, unit("cycle"), WHOLE]


class Wear(Section):
    """Cycles that a cell lasts, what it is then, and how long it keeps its state."""

    endurance: Annotated[Quantity, unit("cycle"), WHOLE]
    retention: Annotated[Quantity, unit("s"), POSITIVE]
    end: Literal["stuck_on", "stuck_volatile", "collapsed"]
    at: list[EndurancePoint] = Field(default_factory=list)


class HeatingPoint(Section):
    """Rise of the surface temperature in a RESET after so many cycles."""

    cycles: Annotated[Quantity, unit("cycle"), NOT_NEGATIVE]
    rise: Annotated[Quantity, unit("K"), NOT_NEGATIVE]


class Drift(Section):
    """A state fades by the time t since the pulse that made it, as (1 + t / time)^-exponent."""

    time: Annotated[Quantity, unit("s"), POSITIVE]
    lrs_exponent: Annotated[Quantity, unit("1"), FRACTION]
    hrs_exponent: Annotated[Quantity, unit("1"), FRACTION]


class Drive(Section):
    """Amplitudes and shortest pulse for which a mode is described."""

    v_min: Annotated[Quantity, unit("V"), NEGATIVE]
    v_max: Annotated[Quantity, unit("V"), POSITIVE]
    width_min: Annotated[Quantity, unit("s"), POSITIVE]

    def refuse(self, volts: FloatArray) -> None:
        """Raise :class:`DeviceError` for an amplitude [V] outside."""
        low, high = self.v_min.value, self.v_max.value
        outside = ~((volts >= low) & (volts <= high))
        if outside.any():
            raise DeviceError(
                f"{float(volts[outside][0]):.4g} V is outside {low:g}..{high:g} V, "
                "for which the mode is described"
            )


class Temperature(Section):
    """Range of the surroundings' temperature in which a mode is described."""

    low: Annotated[Quantity, unit("K"), POSITIVE]
    high: Annotated[Quantity, unit("K"), POSITIVE]


Kind = Literal["analog", "volatile", "nonvolatile", "power"]


class ModeSection(Section):
    """``[modes.NAME]``: what every family has; a family's ``Parameters`` add to it.

    ``levels``, ``verify`` and ``codes`` make it a mode that holds weights. Without
    ``temperature`` the mode is described at the reference temperature only, without
    ``wear`` no limit is known. Cycles in it count for the mode ``wears_with`` too.
    """

    family: str
    kind: Kind
    read: Read
    wear: Wear | None = None
    wears_with: str | None = None
    drift: Drift | None = None
    levels: Levels | None = None
    verify: Verify | None = None
    codes: Codes | None = None
    temperature: Temperature | None = None
    heating: list[HeatingPoint] = Field(default_factory=list)

    @model_validator(mode="after")
    def _sections_agree(self) -> ModeSection:
        weights = (self.levels, self.verify, self.codes)
        if any(weights) and not all(weights):
            raise ValueError("a mode that holds weights has levels, verify and codes, all three")
        if self.levels is not None:
            ascending(self, ("levels.g_min", "levels.g_max"))
        if self.temperature is not None:
            ascending(self, ("temperature.low", "temperature.high"))
        for name, values in (
            ("heating", [point.cycles.value for point in self.heating]),
            ("wear.at", [point.temperature.value for point in (self.wear.at if self.wear else ())]),
        ):
            if sorted(set(values)) != values:
                raise ValueError(f"{name}: its points are not in ascending order")
        return self


def number(section: BaseModel, dotted: str) -> float:
    """The value of a quantity by its dotted name, ``line.slope``."""
    found: object = section
    for part in dotted.split("."):
        found = getattr(found, part)
    assert isinstance(found, Quantity)
    return found.value


def ascending(section: BaseModel, *pairs: tuple[str, str]) -> None:
    """Raise a ValueError unless the first quantity of each pair is below the second."""
    for low, high in pairs:
        if not number(section, low) < number(section, high):
            raise ValueError(
                f"{low} = {number(section, low):g} must be below {high} = {number(section, high):g}"
            )


def quantities(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, Quantity]]:
    """Every number of a section with its dotted name, in the order of the schema.

    The members of a list are numbered from 0.
    """
    for name, value in section:
        for label, item in (
            [(f"{name}.{n}", member) for n, member in enumerate(value)]
            if isinstance(value, list)
            else [(name, value)]
        ):
            if isinstance(item, Quantity):
                yield prefix + label, item
            elif isinstance(item, BaseModel):
                yield from quantities(item, f"{prefix}{label}.")
