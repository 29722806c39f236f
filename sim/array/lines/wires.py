"""What the lines of a tile are made of, and where they are connected."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...numerics import FloatArray
from ..errors import ArrayError


@dataclass(frozen=True)
class Wires:
    """Resistances of a tile's lines.

    A row begins at its driver, left of column 0; a column ends at its amplifier, below the
    last row. From an end to the first cell is one segment, as between neighbouring cells.

    Attributes
    ----------
    row_ohms, column_ohms:
        A segment of a row, and of a column [ohm]; above 0.
    drive_ohms, sense_ohms:
        Behind each connected end of a row and of a column: driver, switch, amplifier [ohm].
    drive_both, sense_both:
        Whether the far ends of rows, and of columns, are connected as well.
    series_ohms:
        In series with each cell: selector or transistor [ohm].
    """

    row_ohms: float
    column_ohms: float
    drive_ohms: float = 0.0
    sense_ohms: float = 0.0
    drive_both: bool = False
    sense_both: bool = False
    series_ohms: float = 0.0

    def __post_init__(self) -> None:
        for name in ("row_ohms", "column_ohms", "drive_ohms", "sense_ohms", "series_ohms"):
            value = getattr(self, name)
            least = "above 0" if name in ("row_ohms", "column_ohms") else "0 or more"
            if not math.isfinite(value) or value < 0 or (value == 0 and least == "above 0"):
                raise ArrayError(f"{name} = {value:g}, accepted is a resistance {least}")

    def cells(self, g: ArrayLike) -> FloatArray:
        """Conductances [S] of cells with what is in series, from those without (rows, columns).

        Raises
        ------
        ArrayError
            If they are no such array of conductances.
        """
        g = np.asarray(g, dtype=np.float64)
        if g.ndim != 2 or not g.size:
            raise ArrayError(f"conductances of shape {g.shape}, expected (rows, columns)")
        if not (np.isfinite(g).all() and (g >= 0).all()):
            raise ArrayError("conductances that are not finite or below 0")
        return g / (1.0 + g * self.series_ohms)
