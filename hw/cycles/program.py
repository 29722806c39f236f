"""Cycles of runs that write cells, whose numbers of tries are known. Plain Python.

How many tries a cell takes is the cell's; what they cost follows from the state machine of
:mod:`ohmloom.hw.verify`, from event to event, as for an ``MVM``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry import Geometry
from ..image import Image
from ..isa import CellStatus, Dac, Op, Reg
from ..ranges import RANGE_BITS
from ..tables import CALIBRATION_CYCLES
from .front_end import FrontEndCycles
from .run import BEGIN_CYCLES, DISPATCH_CYCLES, ENGINE_CYCLES, State, instruction_cycles

GRANT_CYCLES = 20
"""From ``ask`` to the start strobe: the mode engine looks the tile's mode up."""
WALK_CYCLES = 2
"""``LOCATE``, and the ``GROUP`` that finds no more cells."""
GROUP_CYCLES = 2
"""``GROUP`` and ``NEXT``."""
GROUPS = 3
"""Of switches: rows, columns and gates."""
MEAN_CYCLES = 3
"""Of each column that the averager hands on."""
WEAR_CYCLES = 3
"""For each cell whose cycles are counted."""
_BITS = 12
"""Of a number of cells in a group."""


@dataclass(frozen=True)
class WriteSettings:
    """What the registers say to a ``PROGRAM``; see :class:`~ohmloom.hw.isa.Reg`."""

    together: int
    average: int
    tia_range: int
    set_cycles: int
    reset_cycles: int

    @classmethod
    def of(cls, image: Image) -> WriteSettings:
        """The registers as ``setup`` and the programming of tile 0 leave them."""
        values = dict.fromkeys(Reg, 0)
        for entry in ("setup", "program/0"):
            for instr in image.code[image.entries[entry] :]:
                if instr.op is Op.HALT:
                    break
                if instr.op is Op.SET:
                    values[Reg(instr["reg"])] = instr["value"]
        return cls(
            together=max(1, values[Reg.TOGETHER]),
            average=values[Reg.AVERAGE],
            tia_range=values[Reg.TIA_RANGE] & (1 << RANGE_BITS) - 1,
            set_cycles=values[Reg.SET_CYCLES],
            reset_cycles=values[Reg.RESET_CYCLES],
        )


def program_cycles(
    image: Image, front_end: FrontEndCycles, tries: ArrayLike, statuses: ArrayLike
) -> int:
    """Cycles of the runs that write tiles of an image, all of them together.

    Parameters
    ----------
    image : Image
        Its tiles are put on levels: a target takes longer by what ``docs/gateware.md`` says.
    front_end : FrontEndCycles
        What is behind the controller.
    tries, statuses : array_like
        Tries that each cell has had and its :class:`~ohmloom.hw.isa.CellStatus`, shape
        (tiles, rows, columns). A cell that is worn out counts as one that is given up after
        its last try, which is a few cycles too many.
    """
    had, found = np.asarray(tries), np.asarray(statuses)
    settings = WriteSettings.of(image)
    attempt = cache(_Attempt(image.geometry, front_end, settings).cycles)
    total = len(had) * (_around(image, front_end) + WALK_CYCLES)
    columns, together = had.shape[-1], min(settings.together, had.shape[-1])
    whole = columns // together * together
    for begin, end, width in ((0, whole, together), (whole, columns, columns - whole)):
        if begin == end:
            continue
        groups = had[..., begin:end].reshape(-1, width)
        done = found[..., begin:end].reshape(-1, width) == CellStatus.DONE
        total += len(groups) * (GROUP_CYCLES + width)
        for number in range(1, int(groups.max()) + 1):
            for key, times in _attempts(groups, done, number):
                total += times * attempt(width, *key)
    return total


def _attempts(
    groups: NDArray[np.integer], done: NDArray[np.bool_], number: int
) -> list[tuple[tuple[int, ...], int]]:
    """What :meth:`_Attempt.cycles` wants of the attempts with a number, and how many are so."""
    left, ending = groups >= number, groups == number
    counts = (left.sum(1), left.argmax(1), (ending & done).sum(1), (ending & ~done).sum(1))
    keys = np.zeros(len(groups), np.int64)
    for count in counts:
        keys = keys << _BITS | count
    unique, times = np.unique(keys[left.any(1)], return_counts=True)
    mask = (1 << _BITS) - 1
    return [
        (tuple(int(key) >> _BITS * place & mask for place in (3, 2, 1, 0)), int(count))
        for key, count in zip(unique, times, strict=True)
    ]


def _around(image: Image, front_end: FrontEndCycles) -> int:
    """Cycles of a run that writes a tile, but for what its ``PROGRAM`` does."""
    total, params = BEGIN_CYCLES, image.params.tolist()
    for instr in image.code[image.entries["program/0"] :]:
        if instr.op is Op.PROGRAM:
            total += DISPATCH_CYCLES + ENGINE_CYCLES + GRANT_CYCLES
        else:
            total += instruction_cycles(instr, params, image.geometry, front_end, State())
        if instr.op is Op.HALT:
            break
    return total


@dataclass(frozen=True)
class _Attempt:
    """An attempt on a group."""

    geometry: Geometry
    front_end: FrontEndCycles
    settings: WriteSettings

    def cycles(self, cells: int, left: int, first: int, done: int, given_up: int) -> int:
        """Of a group of ``cells`` of which ``left`` were not done, from its walk to ``VERDICT``.

        ``first`` is the first one left; ``done`` of them are afterwards, and ``given_up``
        have had their last try.
        """
        front_end, settings = self.front_end, self.settings
        over = cells - left
        lines = _Lines(front_end)
        if self.geometry.wear:
            lines.now += WEAR_CYCLES * left + over
        lines.now += 1  # ATTEMPT
        lines.write(Dac.RAIL_B)
        for _group in range(GROUPS):
            lines.switch()
        lines.pulse(settings.reset_cycles)
        lines.write(Dac.RAIL_B)
        lines.now += first  # while the DAC is written
        for _cell in range(left):
            lines.now += 3  # SET, LEVEL, GATE
            lines.write(Dac.GATE_PROGRAM)
            lines.switch()
            lines.pulse(settings.set_cycles)
        lines.now += over - first
        for _group in range(GROUPS):
            lines.switch()
        readout = front_end.readout + CALIBRATION_CYCLES * self.geometry.calibration
        conversions = 1 << settings.average
        lines.now += max(1, front_end.settle[settings.tia_range])
        lines.now += (conversions - 1) * (readout + 1) + readout + MEAN_CYCLES * cells + 1
        # JUDGE, FETCH, WINDOW, COMPARE; STORE of those that end; GIVE-UP.
        return lines.now + over + 4 * left + done + 2 * given_up + 1


@dataclass
class _Lines:
    """The front end's handshakes, in cycles since an attempt began."""

    front_end: FrontEndCycles
    now: int = 0
    dac_idle: int = 0
    recovered: int = 0

    def write(self, channel: Dac) -> None:
        """A DAC write, once the one before is over."""
        accepted = max(self.now, self.dac_idle)
        self.dac_idle = accepted + self.front_end.write[channel]
        self.now = accepted + 1

    def switch(self) -> None:
        """A switch update and its latch."""
        latched = max(self.now, self.recovered) + self.front_end.load
        self.recovered = latched + self.front_end.recover
        self.now = latched + 1

    def pulse(self, width: int) -> None:
        """Rails and switches settle, then the gate is open."""
        settled = max(self.now, self.dac_idle) + max(1, self.front_end.drive)
        self.now = settled + 1 + max(width, self.front_end.pulse) + 1
