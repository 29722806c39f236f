"""What a fit finds, and what the rest of it needs from a family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Given:
    """A number that is no estimate.

    Attributes
    ----------
    name:
        Dotted name inside the mode.
    value:
        In the unit of the schema.
    why:
        Where it is from, or how it was derived.
    """

    name: str
    value: float
    why: str


@dataclass(frozen=True)
class Found:
    """What the data tell about one mode.

    Attributes
    ----------
    estimates:
        Fitted numbers with their intervals.
    applied:
        Numbers of the measurement itself: amplitudes, widths, the read voltage.
    derived:
        Assumed numbers that had to follow what was fitted.
    dropped:
        Sections that the fitted numbers leave no room for.
    notes:
        What a user should know, a sentence each.
    plot:
        Draws the data and the fitted model into an empty figure.
    """

    estimates: tuple[Estimate, ...]
    applied: tuple[Given, ...]
    derived: tuple[Given, ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]
    plot: Callable[[Figure], None]
