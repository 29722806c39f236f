"""Ways from one mode of a device to another: the recipes, and which doors are one-way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from .errors import TransitionError
from .schema import POSITIVE, Quantity, Section, check_origin, unit


class Transition(Section):
    """One row of ``[[transitions]]``; a condition that is not given is none.

    Attributes
    ----------
    start, to:
        Names of the modes; in the file the first one is ``from``.
    i_cc_min, i_cc_max:
        Compliance current, the lower limit included, the upper one not [A].
    v_min:
        Smallest magnitude of the voltage [V].
    rate_max:
        Fastest sweep [V/s].
    atmosphere, electrodes:
        What is accepted.
    irreversible:
        There is no way back.
    at_endurance:
        It happens by itself when the cell has had the cycles that the mode lasts.
    source, assumed, note:
        Where the rule is from.
    """

    start: str = Field(alias="from")
    to: str
    i_cc_min: Annotated[Quantity, unit("A"), POSITIVE] | None = None
    i_cc_max: Annotated[Quantity, unit("A"), POSITIVE] | None = None
    v_min: Annotated[Quantity, unit("V"), POSITIVE] | None = None
    rate_max: Annotated[Quantity, unit("V/s"), POSITIVE] | None = None
    atmosphere: list[str] = Field(default_factory=list)
    electrodes: list[str] = Field(default_factory=list)
    irreversible: bool = False
    at_endurance: bool = False
    source: str | None = Field(default=None, min_length=1)
    assumed: str | None = Field(default=None, min_length=1)
    note: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _origin(self) -> Transition:
        check_origin(self.source, self.assumed, "a transition")
        return self


@dataclass(frozen=True)
class Recipe:
    """How a change of mode is done; what is None is done as the device entry says.

    Attributes
    ----------
    i_cc:
        Compliance current [A].
    volts:
        Largest voltage of the sweep or pulse [V].
    rate_v_s:
        Sweep rate [V/s].
    atmosphere, electrode:
        Around the cell, and its top electrode: ``"air"``, ``"vacuum"``; ``"Ag"``.
    """

    i_cc: float | None = None
    volts: float | None = None
    rate_v_s: float | None = None
    atmosphere: str | None = None
    electrode: str | None = None

    def complaint(self, way: Transition) -> str | None:
        """What of this recipe a transition does not take; None if it takes all of it."""
        low, high = way.i_cc_min, way.i_cc_max
        if self.i_cc is not None and (
            (low is not None and not self.i_cc >= low.value)
            or (high is not None and not self.i_cc < high.value)
        ):
            least = "" if low is None else f"from {low.value:g} A "
            most = "" if high is None else f"below {high.value:g} A"
            return f"I_cc = {self.i_cc:g} A, accepted is {least}{most}".rstrip()
        if self.volts is not None and way.v_min and not abs(self.volts) >= way.v_min.value:
            return f"{self.volts:g} V, accepted is {way.v_min.value:g} V or more"
        if (
            self.rate_v_s is not None
            and way.rate_max
            and not 0 < self.rate_v_s <= way.rate_max.value
        ):
            return f"{self.rate_v_s:g} V/s, accepted is {way.rate_max.value:g} V/s or slower"
        for given, accepted in (
            (self.atmosphere, way.atmosphere),
            (self.electrode, way.electrodes),
        ):
            if given is not None and accepted and given not in accepted:
                return f"{given}, accepted is {' or '.join(accepted)}"
        return None


def choose(
    ways: Sequence[Transition], targets: Sequence[str], start: str, wanted: str, recipe: Recipe
) -> Transition:
    """The first way from ``start`` to one of ``targets`` that takes the recipe.

    Parameters
    ----------
    ways:
        The device's transitions.
    targets:
        Names of the modes that ``wanted`` means.
    start, wanted:
        Mode that cells are in, and what was asked for.
    recipe:
        How it is to be done.

    Raises
    ------
    TransitionError
        If there is no way, or none takes the recipe.
    """
    leaving = [way for way in ways if way.start == start]
    leading = [way for way in leaving if way.to in targets]
    if not leading:
        others = ", ".join(dict.fromkeys(way.to for way in leaving)) or "no other mode"
        raise TransitionError(f"no way from {start} to {wanted}; from there it goes to {others}")
    complaints = [recipe.complaint(way) for way in leading]
    for way, complaint in zip(leading, complaints, strict=True):
        if complaint is None:
            return way
    told = " or ".join(dict.fromkeys(text for text in complaints if text))
    raise TransitionError(f"{start} to {wanted} with {told}")
