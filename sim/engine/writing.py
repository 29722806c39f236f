"""Write-verify by a host: cells put on levels by pulses of chosen amplitude and width.

Cells without a compliance current are not put on a level by one SET. A host reads them,
computes the pulses that a nominal cell would need from there, has the controller drive
them (``PULSE``) and reads again. It is written once, as a generator of what is to be
driven, for whatever drives it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...hw.isa import (
    CellStatus,
    Instruction,
    Op,
    Train,
    instruction,
    pack_pulse,
    pack_result,
)
from ..converters import Converters
from ..devices import LevelPulses
from ..numerics import FloatArray, IntArray

HOST_WORDS = 2
"""Program words of a train: the pulses, and a pause as long as one of them."""
_MISSED = CellStatus.NOT_CONVERGED


@dataclass(frozen=True)
class HostPulse:
    """The instructions of one train, and its record in parameter memory."""

    code: tuple[Instruction, ...]
    record: tuple[int, ...]


@dataclass(frozen=True)
class Trains:
    """A train of equal pulses on each of some cells: a ``PULSE`` without samples for each.

    Attributes
    ----------
    cells:
        Places in the tile, ``row * columns + column``; this and the following int64, (n,).
    rails, cycles, pulses:
        DAC code, width in clock cycles, and number of the pulses, at least one.
    """

    cells: IntArray
    rails: IntArray
    cycles: IntArray
    pulses: IntArray

    def take(self, some: slice) -> Trains:
        """Some of them."""
        return Trains(self.cells[some], self.rails[some], self.cycles[some], self.pulses[some])

    def instructions(self, tile: int, columns: int, param: int) -> Iterator[HostPulse]:
        """Each train as what a host has the controller do.

        Parameters
        ----------
        tile, columns:
            The tile, and how many columns it has.
        param:
            Parameter address of the first record; the others follow.
        """
        words = zip(
            self.cells.tolist(), self.rails.tolist(), self.cycles.tolist(), self.pulses.tolist(),
            strict=True,
        )  # fmt: skip
        for cell, rail, cycles, pulses in words:
            row, column = divmod(cell, columns)
            record = pack_pulse(
                Train(rail, cycles, pulses=pulses, interval=2 * cycles if pulses > 1 else 0)
            )
            driven = instruction(
                Op.PULSE, tile=tile, row=row, column=column, count=1, down=0, param=param
            )
            # The gate of rail B is open for at most half of the time, as between pulses.
            yield HostPulse((driven, instruction(Op.WAIT, cycles=cycles)), tuple(record))
            param += len(record)


Writing = Generator[Trains, IntArray, NDArray[np.uint32]]
"""Gives the trains to drive next, perhaps none, and takes the codes of a read of the whole
tile after them; returns result words (:func:`~ohmloom.hw.isa.unpack_result`)."""


@dataclass(frozen=True)
class Writer:
    """How the cells of a tile are written.

    Attributes
    ----------
    law:
        The device's pulses.
    converters, clk_hz:
        What they are made with.
    unit:
        Conductance of one ADC code of a read [S].
    tries:
        Attempts per cell. With one, nothing is read back: a cell is taken to be as made.
    stuck:
        Spread of codes within which a cell has not moved; 0: none is called stuck.
    """

    law: LevelPulses
    converters: Converters
    clk_hz: int
    unit: float
    tries: int
    stuck: int

    def write(self, codes: IntArray, targets: FloatArray, low: IntArray, high: IntArray) -> Writing:
        """Put each cell on its target.

        A cell that is read inside its window is ``DONE``, before the first attempt too. One
        that misses with two attempts or more is ``STUCK`` if the codes of all its reads,
        the first one included, lie within ``stuck`` of each other.

        Parameters
        ----------
        codes:
            Of a read of the tile as it is, shape (cells,).
        targets:
            Conductances that are wanted [S], of the same shape.
        low, high:
            First and last code of a read that is accepted, likewise.
        """
        code, least, most = codes.copy(), codes.copy(), codes.copy()
        used = np.zeros(code.shape, dtype=np.int64)
        blind = self.tries == 1
        done = np.zeros(code.shape, bool) if blind else (code >= low) & (code <= high)
        for attempt in range(1, self.tries + 1):
            left = np.flatnonzero(~done)
            if not left.size:
                break
            known = np.asarray(code[left] * self.unit, np.float64)
            if blind:
                known[:] = self.law.made
            codes = yield self._trains(left, known, targets[left])
            code[left] = found = codes[left]
            used[left] = attempt
            least[left] = np.minimum(least[left], found)
            most[left] = np.maximum(most[left], found)
            done[left] = (found >= low[left]) & (found <= high[left])
        return result_words(code, used, most - least, done, self.stuck)

    def _trains(self, cells: IntArray, known: FloatArray, targets: FloatArray) -> Trains:
        """The pulses of those cells that need any."""
        train = self.law.train(known, targets)
        moving = np.flatnonzero(train.pulses)
        volts = train.volts[moving].tolist()
        rails = np.array([self.converters.dac_code(v) for v in volts], dtype=np.int64)
        cycles = np.rint(train.seconds[moving] * self.clk_hz).astype(np.int64)
        return Trains(cells[moving], rails, np.maximum(cycles, 1), train.pulses[moving])


def result_words(
    code: IntArray, used: IntArray, spread: IntArray, done: NDArray[np.bool_], stuck: int
) -> NDArray[np.uint32]:
    """Result words of cells that a host has written; all of shape (cells,).

    Parameters
    ----------
    code, used:
        Of the last read, and how many attempts there were.
    spread:
        Between the codes of all reads.
    done:
        Whether the last read was inside its window.
    stuck:
        Spread within which a cell has not moved; 0: none is called stuck.
    """
    missed = np.where((used > 1) & (spread <= stuck) & bool(stuck), CellStatus.STUCK, _MISSED)
    status = np.where(done, CellStatus.DONE, missed)
    results = np.stack([code, used, status], axis=1).tolist()
    return np.array([pack_result(c, n, CellStatus(s)) for c, n, s in results], np.uint32)


def result_codes(words: ArrayLike) -> IntArray:
    """The codes of result words."""
    return (np.asarray(words) & 0xFFFF).astype(np.uint16).view(np.int16).astype(np.int64)
