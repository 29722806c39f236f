"""Which voltages the lines of a passive tile get while one cell is selected."""

from __future__ import annotations

from enum import Enum

import numpy as np

from ...numerics import FloatArray
from ..errors import ArrayError


class Bias(Enum):
    """Lines that are not selected, the selected row being at V and its column at 0 V."""

    GROUNDED = "grounded"
    """All at 0 V: every current of the selected row's other cells flows elsewhere."""
    FLOATING = "floating"
    """All in the air: currents sneak through three cells and more."""
    HALF = "V/2"
    """All at V/2."""
    THIRD = "V/3"
    """Rows at V/3, columns at 2V/3."""


_SHARES = {Bias.GROUNDED: (0.0, 0.0), Bias.HALF: (0.5, 0.5), Bias.THIRD: (1 / 3, 2 / 3)}


def line_volts(
    bias: Bias, shape: tuple[int, int], row: int, column: int, volts: float
) -> tuple[FloatArray, FloatArray]:
    """At the ends of rows and columns [V], shapes (rows,) and (columns,); NaN: in the air.

    Raises
    ------
    ArrayError
        If there is no such cell.
    """
    if not (0 <= row < shape[0] and 0 <= column < shape[1]):
        raise ArrayError(f"cell ({row}, {column}) is outside a tile of {shape[0]} x {shape[1]}")
    shares = _SHARES.get(bias, (np.nan, np.nan))
    rows, columns = (np.full(n, share * volts) for n, share in zip(shape, shares, strict=True))
    rows[row], columns[column] = volts, 0.0
    return rows, columns
