"""A card of resistors in place of cells: what the self-test plugs in."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..array import Lines, Operands
from ..numerics import Domain, IntArray, draw_normal

G_LSB = 1e-13
"""Conductance code [S]: 156 Mohm is 64000 of them."""
VAR_EXPONENT = 0


class Resistors:
    """Known resistors at the crossings of rows and columns, as an array has cells.

    It has what the analog card and the numpy engine ask an array for when they read it.

    Parameters
    ----------
    ohms:
        Resistance of each crossing with all that is in series, shape (rows, columns);
        infinite: open.
    sigma:
        Standard deviation of a read's noise, relative to the conductance.
    seed:
        Of the noise.
    """

    tiles = 1
    listens = False
    wires = None

    def __init__(self, ohms: ArrayLike, sigma: float = 0.0, seed: int = 0) -> None:
        resistance = np.asarray(ohms, dtype=np.float64)
        self.rows, self.columns = resistance.shape
        self.seed = seed
        self.device = SimpleNamespace(g_lsb=G_LSB, var_exponent=VAR_EXPONENT)
        self.g_code: IntArray = np.rint(1 / (resistance * G_LSB)).astype(np.int64)
        deviation = np.rint(self.g_code * sigma).astype(np.int64)
        self.var_code: IntArray = deviation * deviation
        self.reads = np.zeros(self.g_code.size, dtype=np.uint32)

    def operands(self, lines: Lines) -> Operands:
        """What driven rows are multiplied with."""
        return Operands.of(lines, self.g_code, self.var_code)

    def column_totals(
        self,
        tile: int,
        bits: ArrayLike,
        columns: slice = slice(None),
        gated: NDArray[np.bool_] | None = None,
    ) -> tuple[IntArray, IntArray]:
        """Sums of conductance and variance codes over the driven rows, shape (n, columns)."""
        driven = np.asarray(bits, dtype=np.int64)
        return driven @ self.g_code[:, columns], driven @ self.var_code[:, columns]

    def select(self, cells: ArrayLike) -> None:
        """Reads of a resistor are numbered without end."""

    def verify_totals(self, cells: ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
        """One single read of each crossing: code, variance code and normal deviate."""
        cells = np.asarray(cells, dtype=np.int64)
        z = draw_normal(self.seed, Domain.VERIFY, cells, 0, self.reads[cells])
        self.reads[cells] += np.uint32(1)
        return self.g_code.reshape(-1)[cells], self.var_code.reshape(-1)[cells], z

    def wait(self, seconds: float) -> None:
        """Time does nothing to a resistor."""
