"""The programs by which a host has cells written and read, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...compiler.analog import endurance_cycles
from ...compiler.compiled import Compiled
from ...compiler.report import front_end_of
from ...errors import OhmloomError
from ...hw.image import Image
from ...hw.isa import CellStatus, Instruction, Op, Reg, instruction, pack_pulse, unpack_result
from ...hw.link.protocol import Space
from ...sim.engine import EngineError
from ...sim.engine.attempts import (
    PULSE_WORDS,
    SAMPLE_WORDS,
    AttemptWriter,
    code_of,
    setup_registers,
)
from ...sim.engine.windows import level_table, line_table
from ...sim.numerics import IntArray
from .book import Windows

CHUNK = 32
"""Cells that ``PROGRAM`` has in flight at once, at most: those that a reset leaves in doubt."""


class RunError(OhmloomError):
    """A bundle whose cells a host cannot write."""


@dataclass(frozen=True)
class Run:
    """A run that writes or reads neighbouring cells of a tile.

    Attributes
    ----------
    tile, cells:
        Which, by places in the tile, ascending and without a gap.
    writes:
        Whether it makes an attempt on each, or reads.
    code:
        Instructions; a ``HALT`` follows.
    records:
        What is behind the image's words in parameter memory.
    space, words:
        What is in cell memory before; nothing where it is None.
    """

    tile: int
    cells: tuple[int, ...]
    writes: bool
    code: tuple[Instruction, ...]
    records: tuple[int, ...] = ()
    space: Space | None = None
    words: tuple[int, ...] = ()


@dataclass(frozen=True)
class Results:
    """What a run has left behind: the code of each cell, and which had no attempt left."""

    codes: tuple[int, ...]
    worn: tuple[int, ...] = ()


class Runs(Protocol):
    """Makes the runs of a bundle, and says what they have left in cell memory.

    Attributes
    ----------
    image, registers:
        The bundle's image, and registers as its ``setup`` leaves them.
    most:
        Cells of one run that writes, at most.
    reads:
        Whether the controller reads cells without a pulse.
    endurance:
        Cycles of a cell that the host has to hold to, since the controller counts none; 0: none.
    """

    image: Image
    registers: dict[Reg, int]
    most: int
    reads: bool
    endurance: int

    def windows(self) -> Windows:
        """What every cell aims at."""
        ...

    def write(self, tile: int, cells: IntArray) -> Run:
        """One attempt on neighbouring cells."""
        ...

    def read(self, tile: int, cells: IntArray) -> Run:
        """One read of neighbouring cells, as write-verify reads."""
        ...

    def answer(self, writes: bool, cells: int) -> int:
        """Words of cell memory that a run of so many cells leaves."""
        ...

    def results(self, writes: bool, cells: tuple[int, ...], words: list[int]) -> Results | None:
        """What they say; None: no run leaves such words."""
        ...


def runs_of(compiled: Compiled) -> Runs:
    """How the cells of a bundle are written by the controller that it is for.

    Raises
    ------
    RunError
        If a host cannot write them.
    """
    geometry = compiled.image.geometry
    if geometry.verify and "program/0" in compiled.image.entries:
        return ProgramRuns(compiled)
    if compiled.device.pulses is None and not geometry.passive:
        return PulseRuns(compiled)
    raise RunError(
        f"the cells of {compiled.device.name} are not put on a level by I_cc and one attempt: "
        "a deployment cannot write them"
    )


class ProgramRuns:
    """Runs on a controller that writes and verifies by itself (``PROGRAM``), one try each."""

    reads = True
    most = CHUNK

    def __init__(self, compiled: Compiled) -> None:
        self.image = compiled.image
        self.levels = compiled.levels.reshape(self.image.tiles, -1).astype(np.int64)
        self.registers = setup_registers(self.image)
        self.endurance = _endurance(compiled)

    def windows(self) -> Windows:
        line, params = self.registers[Reg.LINE], self.image.params
        table, base = (line_table, line) if line else (level_table, self.registers[Reg.LEVELS])
        _, low, high = table(params, base, self.levels.ravel())
        return Windows(low.reshape(self.levels.shape), high.reshape(self.levels.shape))

    def write(self, tile: int, cells: IntArray) -> Run:
        wanted = self.levels[tile, cells]
        space = Space.TARGET if self.registers[Reg.LINE] else Space.LEVEL
        code = (
            *self._prelude(tile),
            instruction(Op.SET, reg=Reg.TRIES, value=1),
            instruction(Op.PROGRAM, tile=tile, cell=int(cells[0]), count=len(cells)),
        )
        words = tuple(wanted.tolist())
        return Run(tile, _listed(cells), True, code, space=space, words=words)

    def read(self, tile: int, cells: IntArray) -> Run:
        code = (
            *self._prelude(tile),
            instruction(Op.READ, tile=tile, cell=int(cells[0]), count=len(cells)),
        )
        return Run(tile, _listed(cells), False, code)

    def answer(self, writes: bool, cells: int) -> int:
        return cells

    def results(self, writes: bool, cells: tuple[int, ...], words: list[int]) -> Results | None:
        found = [unpack_result(word) for word in words]
        if not all(_plausible(writes, tries, status) for _, tries, status in found):
            return None
        which = zip(cells, found, strict=True)
        worn = tuple(cell for cell, (_, _, status) in which if status is CellStatus.WORN)
        return Results(tuple(code for code, _, _ in found), worn)

    def _prelude(self, tile: int) -> Iterator[Instruction]:
        """What the image itself does before it writes a tile."""
        for each in self.image.code[self.image.entries[f"program/{tile}"] :]:
            if each.op is Op.PROGRAM:
                return
            yield each


class PulseRuns:
    """Runs on a controller without write-verify: a host makes each attempt by two ``PULSE``.

    Raises
    ------
    RunError
        If parameter memory has no room for their records.
    """

    reads = False
    most = 1

    def __init__(self, compiled: Compiled) -> None:
        self.image = image = compiled.image
        self.levels = compiled.levels.reshape(image.tiles, -1).astype(np.int64)
        self.registers = setup_registers(image)
        self.endurance = _endurance(compiled)
        geometry, front_end = image.geometry, front_end_of(compiled)
        self._writers = [
            AttemptWriter.of(image, compiled.device, tile, front_end) for tile in range(image.tiles)
        ]
        room = geometry.param_depth - len(image.params)
        if room < 2 * PULSE_WORDS:
            raise RunError(
                f"parameter memory has room for {room} words beside those of the bundle, "
                f"the pulses of a host take {2 * PULSE_WORDS}"
            )

    def windows(self) -> Windows:
        _, low, high = np.moveaxis(self._writers[0].table[self.levels], -1, 0)
        return Windows(low, high)

    def write(self, tile: int, cells: IntArray) -> Run:
        (cell,) = cells
        writer, at = self._writers[tile], len(self.image.params)
        pulses = writer.pulses
        gate = int(writer.table[self.levels[tile, cell], 0])
        row, column = divmod(int(cell), self.image.geometry.columns)
        code = (
            instruction(Op.RESTORE, tile=tile, mode=pulses.mode),
            instruction(Op.SET, reg=Reg.TIA_RANGE, value=pulses.tia_range),
            *(
                instruction(
                    Op.PULSE, tile=tile, row=row, column=column, count=1, down=0, param=param
                )
                for param in (at, at + PULSE_WORDS)
            ),
        )
        trains = (pulses.reset, replace(pulses.set, gate=gate))
        records = tuple(word for train in trains for word in pack_pulse(train))
        return Run(tile, _listed(cells), True, code, records)

    def read(self, tile: int, cells: IntArray) -> Run:
        raise RunError("a controller without READ reads no cell without a pulse")

    def answer(self, writes: bool, cells: int) -> int:
        return SAMPLE_WORDS

    def results(self, writes: bool, cells: tuple[int, ...], words: list[int]) -> Results | None:
        try:
            return Results((code_of(words),))
        except (EngineError, ValueError):
            return None


def _endurance(compiled: Compiled) -> int:
    """Cycles that the host holds a cell to: all that it is good for, if nobody else counts."""
    return 0 if compiled.image.geometry.wear else endurance_cycles(compiled.device)


def _plausible(writes: bool, tries: int, status: CellStatus) -> bool:
    """Whether a result can be of a run of that kind."""
    if not writes:
        return status is CellStatus.READ and tries == 0
    if status is CellStatus.WORN:
        return tries == 0
    return tries == 1 and status in (CellStatus.DONE, CellStatus.NOT_CONVERGED)


def pieces(wanted: NDArray[np.bool_], columns: int, most: int = CHUNK) -> Iterator[IntArray]:
    """Places that are wanted, shape (cells,), as runs of neighbours inside a row.

    Parameters
    ----------
    columns:
        Of a row.
    most:
        Cells of a run.
    """
    places = np.flatnonzero(wanted)
    if not places.size:
        return
    apart = (np.diff(places) != 1) | (places[1:] % columns == 0)
    for part in np.split(places, np.flatnonzero(apart) + 1):
        yield from (part[n : n + most] for n in range(0, len(part), most))


def _listed(cells: IntArray) -> tuple[int, ...]:
    return tuple(int(cell) for cell in cells)
