"""What lines with resistance make of a tile, nearly, with a bound of the error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...numerics import FloatArray
from .ladder import Ladders
from .wires import Wires

_TURNS = 64
_NARROW = 0.05
"""Of the bound: how much of it what is still unknown of the total may be."""


@dataclass(frozen=True)
class Estimate:
    """The transfer of a tile, and how far off it can be.

    Attributes
    ----------
    transfer:
        Nearly :meth:`Network.transfer` [A/V], shape (rows, columns).
    bound:
        With voltages between 0 and 1 V at the rows no column's current is farther off [A],
        shape (columns,).
    """

    transfer: FloatArray
    bound: FloatArray


def estimate(g: ArrayLike, wires: Wires) -> Estimate:
    """The transfer of a tile from lines by themselves.

    A voltage that rises somewhere in the network lowers none elsewhere. So a row at 1 V whose
    cells lead to 0 V has voltages below its own, and a column whose cell gets them while all
    other cells lead to 0 V has a current below its own: the transfer is the product of the
    two ladders at least. With all rows at 1 V, rows and columns solved in turn come to the total
    of each column from above and from below. What it has more than the products is the bound
    for any voltages; each column's products are scaled to give the total.

    Raises
    ------
    ArrayError
        If there are no such cells.
    """
    g = wires.cells(g)
    rows = Ladders(
        np.ascontiguousarray(g.T), wires.row_ohms, wires.row_ohms + wires.drive_ohms,
        both=wires.drive_both,
    )  # fmt: skip
    columns = Ladders(
        g[::-1].copy(), wires.column_ohms, wires.column_ohms + wires.sense_ohms,
        both=wires.sense_both,
    )  # fmt: skip
    none = np.zeros((1, *g.shape))

    def along(volts: FloatArray) -> FloatArray:
        """Voltages of rows at 1 V, from those of the columns; both (n, rows, columns)."""
        return rows.solve(np.ascontiguousarray((g * volts).swapaxes(1, 2)), 1.0).swapaxes(1, 2)

    def across(volts: FloatArray, ends: float = 0.0) -> FloatArray:
        """Voltages of the columns, from those of the rows."""
        return columns.solve((g * volts)[:, ::-1], ends)[:, ::-1]

    alone = along(none)
    least = g * alone[0] * across(none, 1.0)[0]
    products = least.sum(axis=0)
    volts = np.concatenate([alone, np.ones((1, *g.shape))])  # below, above
    fewest = most = products
    for _ in range(_TURNS):
        inside = across(volts)
        fewest, most = columns.amperes(inside[:, ::-1])
        if ((most - fewest) <= _NARROW * (most - products)).all():
            break
        volts = along(inside)
    total = np.maximum((fewest + most) / 2.0, products)
    scale = np.divide(total, products, out=np.ones_like(total), where=products > 0)
    return Estimate(least * scale, most - products)
