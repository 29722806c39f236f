"""The programs by which a host has cells written and read, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...compiler.compiled import Compiled
from ...errors import OhmloomError
from ...hw.isa import Instruction, Op, Reg, instruction
from ...hw.link.protocol import Space
from ...sim.engine.attempts import setup_registers
from ...sim.engine.windows import level_table, line_table
from ...sim.numerics import IntArray
from .book import Windows

CHUNK = 32
"""Cells that are in flight at once, at most: those that a reset leaves in doubt."""


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
    space, words:
        What is in cell memory before; nothing where it is None.
    """

    tile: int
    cells: tuple[int, ...]
    writes: bool
    code: tuple[Instruction, ...]
    space: Space | None
    words: tuple[int, ...]


class Runs:
    """Makes the runs of a bundle.

    Parameters
    ----------
    compiled:
        The bundle.

    Raises
    ------
    RunError
        If the controller that it is for does not write cells by itself.
    """

    def __init__(self, compiled: Compiled) -> None:
        self.image = image = compiled.image
        self.levels = compiled.levels.reshape(image.tiles, -1).astype(np.int64)
        self.registers = setup_registers(image)
        if not image.geometry.verify or "program/0" not in image.entries:
            raise RunError(f"the cells of {compiled.device.name} are not written by PROGRAM")
        self.tries = self.registers[Reg.TRIES]

    def windows(self) -> Windows:
        """What every cell aims at."""
        line, params = self.registers[Reg.LINE], self.image.params
        table, base = (line_table, line) if line else (level_table, self.registers[Reg.LEVELS])
        _, low, high = table(params, base, self.levels.ravel())
        return Windows(low.reshape(self.levels.shape), high.reshape(self.levels.shape))

    def write(self, tile: int, cells: IntArray) -> Run:
        """One attempt on neighbouring cells."""
        wanted = self.levels[tile, cells]
        space = Space.TARGET if self.registers[Reg.LINE] else Space.LEVEL
        code = (
            *self._prelude(tile),
            instruction(Op.SET, reg=Reg.TRIES, value=1),
            instruction(Op.PROGRAM, tile=tile, cell=int(cells[0]), count=len(cells)),
        )
        return Run(tile, _listed(cells), True, code, space, tuple(wanted.tolist()))

    def read(self, tile: int, cells: IntArray) -> Run:
        """One read of neighbouring cells, as write-verify reads."""
        code = (
            *self._prelude(tile),
            instruction(Op.READ, tile=tile, cell=int(cells[0]), count=len(cells)),
        )
        return Run(tile, _listed(cells), False, code, None, ())

    def _prelude(self, tile: int) -> Iterator[Instruction]:
        """What the image itself does before it writes a tile."""
        for each in self.image.code[self.image.entries[f"program/{tile}"] :]:
            if each.op is Op.PROGRAM:
                return
            yield each


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
