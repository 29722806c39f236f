"""Estimates that every family of two-state cells shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..numerics import FloatArray, IntArray
from .estimate import Estimate, pooled_deviation
from .found import Given
from .history import History, Kind
from .states import States


@dataclass(frozen=True)
class Episodes:
    """Times in which cells kept their conductance; arrays of shape (episodes,).

    Attributes
    ----------
    state, cell, cause:
        State, cell, and the row of the step or pulse that began it (-1: as it came).
    reads:
        Conductances read [S], one array for each.
    """

    state: IntArray
    cell: IntArray
    cause: IntArray
    reads: tuple[FloatArray, ...]

    @property
    def g(self) -> FloatArray:
        """Mean conductance of each [S]."""
        return np.array([reads.mean() for reads in self.reads])

    @property
    def counts(self) -> IntArray:
        return np.array([reads.size for reads in self.reads], dtype=np.int64)


def episodes(states: States) -> Episodes:
    """Those in which the cell was read."""
    rows = np.flatnonzero(
        states.history.of(Kind.READ) & np.isfinite(states.g) & (states.episode >= 0)
    )
    numbers = states.episode[rows]
    order = np.argsort(numbers, kind="stable")
    rows, numbers = rows[order], numbers[order]
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    first = rows[starts]
    return Episodes(
        state=states.state[first],
        cell=states.history.cell[first],
        cause=states.cause[first],
        reads=tuple(np.split(states.g[rows], starts[1:])) if rows.size else (),
    )


def read_noise(groups: Sequence[FloatArray]) -> Estimate | None:
    """Noise of one read over G, from reads of the same state; None where none is repeated."""
    return pooled_deviation(
        "read.noise",
        [group / group.mean() for group in groups],
        "reads of one state, chi-square interval",
    )


def read_volts(history: History) -> list[Given]:
    """The voltage of most reads, if there are any."""
    volts = np.abs(history.volts[history.of(Kind.READ)])
    return (
        [Given("read.v_read", most_used(volts), "the voltage of most reads")] if volts.size else []
    )


def most_used(values: FloatArray) -> float:
    """The value that occurs most often; the smallest of several."""
    found, counts = np.unique(values, return_counts=True)
    return float(found[np.argmax(counts)])
