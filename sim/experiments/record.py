"""What an experiment is, and what it finds: rows against the source, a figure, assumptions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .tolerance import Tolerance, ToleranceError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .bench import Bench


class Kind(StrEnum):
    """What a row says about the model."""

    INPUT = "input"
    """The model was given this number: the row shows that the array really has it."""
    FITTED = "fitted"
    """A parameter of the model was chosen so that this comes out."""
    PREDICTED = "predicted"
    """Nothing was chosen for it."""


@dataclass(frozen=True)
class Spread:
    """A stochastic result: central 90 % over named seeds.

    Attributes
    ----------
    low, high:
        5 % and 95 % quantile, in the unit of the row.
    seeds:
        The seeds that were run.
    """

    low: float
    high: float
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One number, or one yes or no, of the source beside ours.

    Attributes
    ----------
    quantity, unit:
        What it is; ``1`` for a plain number, empty for yes or no.
    seed_value:
        What the source says; None where it gives a range or a bound, which is
        then the tolerance.
    ours:
        What the array gave; for a stochastic row the median over the seeds.
    tolerance:
        How far ``ours`` may be from it.
    kind:
        Whether the model was given this, fitted to it, or predicts it.
    source:
        Seed and place.
    interval:
        For a stochastic row, its spread and seeds.
    """

    quantity: str
    unit: str
    seed_value: float | bool | None
    ours: float | bool
    tolerance: Tolerance
    kind: Kind
    source: str
    interval: Spread | None = None

    def __post_init__(self) -> None:
        for name in ("seed_value", "ours"):  # plain Python, whatever numpy gave
            value = getattr(self, name)
            if isinstance(value, np.generic):
                object.__setattr__(self, name, value.item())
        ranged = math.isfinite(self.tolerance.low) or math.isfinite(self.tolerance.high)
        if ranged != (self.seed_value is None):
            raise ToleranceError(f"{self.quantity}: a row has either a seed value or a range")
        if isinstance(self.seed_value, bool) != isinstance(self.ours, bool):
            raise ToleranceError(f"{self.quantity}: yes or no is compared with yes or no")

    @property
    def passed(self) -> bool:
        """Whether ours is within the tolerance."""
        value = None if self.seed_value is None else float(self.seed_value)
        return self.tolerance.accepts(value, float(self.ours))


@dataclass(frozen=True)
class Assumed:
    """A parameter that no source gives, and what of an experiment hangs on it.

    ``influences`` is empty where nothing does.
    """

    device: str
    parameter: str
    value: float
    unit: str
    reason: str
    influences: str


@dataclass(frozen=True)
class Result:
    """What an experiment's function returns.

    Attributes
    ----------
    rows:
        The comparison.
    plot:
        Draws the figure into an empty one.
    influences:
        For each device, what its assumed parameters change here: the key is a
        parameter's dotted name, or the front of one up to a dot.
    """

    rows: tuple[Row, ...]
    plot: Callable[[Figure], None]
    influences: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Definition:
    """One experiment: ``seed/name``, what it shows, which figure or table it stands for."""

    path: str
    title: str
    stands_for: str
    run: Callable[[Bench], Result]

    @property
    def seed(self) -> str:
        return self.path.partition("/")[0]

    @property
    def name(self) -> str:
        return self.path.partition("/")[2]


@dataclass(frozen=True)
class Experiment:
    """An experiment that was run."""

    seed: str
    name: str
    title: str
    stands_for: str
    rows: tuple[Row, ...]
    assumed: tuple[Assumed, ...]
    devices: tuple[str, ...]
    figures: tuple[Path, ...]

    @property
    def path(self) -> str:
        return f"{self.seed}/{self.name}"

    @property
    def passed(self) -> bool:
        """Whether it has rows and every row passes: one that checked nothing has failed."""
        return bool(self.rows) and all(row.passed for row in self.rows)
