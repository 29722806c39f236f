"""A history done again with a family's own model, every draw at its median."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import CellState, DeviceError, Draws, Stress
from ..devices.family import Family
from ..numerics import FloatArray, IntArray
from .history import History, Kind


class _Median(Draws):
    """Draws that are all 0: the median cell."""

    def _made(self, index: int) -> IntArray:
        return np.zeros(self.cells.shape, dtype=np.int64)

    def _pulse(self, index: int) -> IntArray:
        return np.zeros(self.cells.shape, dtype=np.int64)

    def take(self, cells: Any) -> Draws:
        return _Median(self.seed, self.cells[cells], self.pulses[cells])


class Replay:
    """What a median cell does in a history; made once, and run with many parameters.

    Cells with the same history are computed once.

    Parameters
    ----------
    history:
        What was done.
    set_sign:
        Sign of the voltages at which the compliance current of a sweep limits.
    """

    def __init__(self, history: History, set_sign: float = 1.0) -> None:
        self._size = history.size
        limit = np.where(
            (history.kind == Kind.SWEEP) & (set_sign * history.volts <= 0), np.inf, history.i_cc
        )
        done = np.column_stack(
            (history.kind, history.volts, history.seconds, limit, history.kelvin, history.idle)
        )
        found: dict[bytes, int] = {}
        self._stories: list[FloatArray] = []
        self._rows: list[list[slice]] = []
        for _, rows in history.each_cell():
            story: FloatArray = done[rows].astype(np.float64)
            key = story.tobytes()
            if key not in found:
                found[key] = len(self._stories)
                self._stories.append(story)
                self._rows.append([])
            self._rows[found[key]].append(rows)
        self._steps = self._batches()

    def _batches(self) -> list[tuple[Kind, IntArray, IntArray, FloatArray]]:
        """For each step: kind, stories and steps within them, and what is done to each."""
        batches = []
        for n in range(max(len(story) for story in self._stories)):
            here = np.array([k for k, story in enumerate(self._stories) if n < len(story)])
            rows = np.array([self._stories[k][n] for k in here])
            for kind in Kind:
                of_kind = rows[:, 0] == kind
                if of_kind.any():
                    some = here[of_kind]
                    batches.append((kind, some, np.full(some.size, n), rows[of_kind]))
        return batches

    def run(self, family: Family, p: Any) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Current [A] of each row, and whether the cell has a filament (``w`` above 0) after it.

        Raises
        ------
        DeviceError
            If the mode does not allow what was done.
        """
        count = len(self._stories)
        cells = np.arange(count)
        pulses = np.zeros(count, dtype=np.uint32)
        state = family.pristine(p, _Median(0, cells, pulses), (count,)).copy()
        longest = max(len(story) for story in self._stories)
        amps = np.zeros((count, longest))
        there = np.zeros((count, longest), dtype=np.bool_)
        for kind, some, steps, done in self._steps:
            part = state.take(some)
            part, amps[some, steps] = _step(family, p, kind, part, done, some)
            there[some, steps] = part.w > 0
            state.put(some, part)
        every_amps, every_there = np.empty(self._size), np.empty(self._size, dtype=np.bool_)
        for story, places in enumerate(self._rows):
            for rows in places:
                every_amps[rows] = amps[story, : rows.stop - rows.start]
                every_there[rows] = there[story, : rows.stop - rows.start]
        return every_amps, every_there

    def complaint(self, family: Family, p: Any) -> str | None:
        """What the mode refuses of the history; None if it allows all of it."""
        for _, _, _, done in self._steps:
            _, volts, seconds, i_cc, kelvin, _ = done.T
            if not np.any(volts):
                continue
            blank = CellState.blank(volts.shape)
            try:
                family.refuse(p, blank, Stress(volts, seconds, i_cc, kelvin))
            except DeviceError as error:
                return str(error)
        return None


def _step(
    family: Family, p: Any, kind: Kind, part: CellState, done: FloatArray, cells: IntArray
) -> tuple[CellState, FloatArray]:
    _, volts, seconds, i_cc, kelvin, idle = done.T
    rest = idle + seconds if kind in (Kind.WAIT, Kind.READ) else idle
    if kind == Kind.READ:
        if (idle > 0).any():
            part = family.relax(p, part, idle)
        amps = family.current(p, part, volts, kelvin)
        return (family.relax(p, part, seconds) if (seconds > 0).any() else part), amps
    if (rest > 0).any():  # also of a family that only drifts
        part = family.relax(p, part, rest)
    if kind == Kind.WAIT:
        return part, np.zeros(volts.shape)
    stress = Stress(volts, seconds, i_cc, kelvin, quasi_static=kind == Kind.SWEEP)
    draws = _Median(0, cells, np.zeros(cells.shape, dtype=np.uint32))
    after = family.drive(p, part, stress, draws)
    return after, family.flowing(p, part, after, stress)
