"""The state of cells: one array per quantity, all of one shape."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..numerics import FloatArray


class Health(IntEnum):
    """What has become of a cell."""

    OK = 0
    STUCK_ON = 1
    """It cannot be brought back into the high-resistance state."""
    STUCK_VOLATILE = 2
    """It no longer keeps its low-resistance state."""
    COLLAPSED = 3
    """Its two states cannot be told apart."""


def everything(cells: Any) -> bool:
    """Whether a numpy index is the one of all cells."""
    return cells is ... or (isinstance(cells, slice) and cells == slice(None))


@dataclass
class CellState:
    """The state of cells.

    Attributes
    ----------
    g:
        Conductance [S] at the read voltage and the reference temperature: what
        conductance codes are made of. float64, as are the following up to ``q``.
    w:
        Long-term internal state, 0..1.
    s:
        Short-term internal state, which relaxes to 0 by itself.
    q:
        Stored charge [C].
    mode:
        Index into the device's modes, uint8.
    pulses:
        Pulses in the cell's life, uint32: the epoch of its draws. Only the array
        counts it.
    cycles:
        Cycles in the present mode, uint32: SET and RESET pairs, or what the mode's
        family counts.
    health:
        A :class:`Health`, uint8.
    written:
        Whether a cell that can be written once has been, bool.
    time:
        When the state was last brought up to date [s], float64. Only the array
        sets it.
    """

    g: FloatArray
    w: FloatArray
    s: FloatArray
    q: FloatArray
    mode: NDArray[np.uint8]
    pulses: NDArray[np.uint32]
    cycles: NDArray[np.uint32]
    health: NDArray[np.uint8]
    written: NDArray[np.bool_]
    time: FloatArray

    @classmethod
    def blank(cls, shape: int | tuple[int, ...]) -> CellState:
        """Cells of mode 0 in which everything is 0, OK and not written."""
        real = (np.zeros(shape) for _ in range(4))
        return cls(
            *real,
            mode=np.zeros(shape, dtype=np.uint8),
            pulses=np.zeros(shape, dtype=np.uint32),
            cycles=np.zeros(shape, dtype=np.uint32),
            health=np.zeros(shape, dtype=np.uint8),
            written=np.zeros(shape, dtype=np.bool_),
            time=np.zeros(shape),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.g.shape

    def reshape(self, *shape: int) -> CellState:
        """The same cells in another shape; views of the same memory where numpy can."""
        return CellState(*(getattr(self, f.name).reshape(*shape) for f in fields(self)))

    def take(self, cells: Any) -> CellState:
        """The cells that a numpy index selects; of a slice, views of the same memory."""
        if everything(cells):
            return self
        return CellState(*(getattr(self, f.name)[cells] for f in fields(self)))

    def copy(self) -> CellState:
        """The same cells in memory of their own."""
        return CellState(*(getattr(self, f.name).copy() for f in fields(self)))

    def put(self, cells: Any, part: CellState) -> None:
        """Overwrite the cells that a numpy index selects; views of them are there already."""
        for field in fields(self):
            mine, new = getattr(self, field.name), getattr(part, field.name)
            if not np.may_share_memory(mine, new):
                mine[cells] = new

    def with_(self, **changes: Any) -> CellState:
        """The same cells with some arrays replaced; the others are shared."""
        return replace(self, **changes)
