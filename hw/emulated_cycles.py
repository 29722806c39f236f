"""What an emulated array takes, in clock cycles. Plain Python, no Amaranth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .emulated_tables import (
    CODE_BITS,
    DEVIATE_BITS,
    POINT_BITS,
    EmulatedTables,
)
from .geometry import Geometry

GAIN_BITS = 16
DRAW_CYCLES = 32
"""From the name of a draw to its word: the load, six additions of keys, five of the group's
number, twenty rounds."""
SHIFT_CYCLES = 10
"""Enough to bring the top bit of 32 up, by 4 or by 1."""
BEGIN_CYCLES = 3
"""From ``convert`` to the first row of the first column."""


@dataclass(frozen=True)
class EmulatedCycles:
    """Widths of the arithmetic of an emulated array, and the cycles that follow from them.

    Attributes
    ----------
    geometry, tables:
        Of the array.
    """

    geometry: Geometry
    tables: EmulatedTables

    @cached_property
    def total_bits(self) -> int:
        """Of a sum of codes."""
        return (self.geometry.rows * ((1 << CODE_BITS) - 1)).bit_length()

    @cached_property
    def root_bits(self) -> int:
        """Of the square root of a sum of variances."""
        most = self.geometry.rows * max(self.tables.variances)
        return max(1, -(-most.bit_length() // 2))

    @cached_property
    def fall_bits(self) -> int:
        """Of the difference of two neighbours in the inverse-normal table."""
        table = self.tables.deviates
        falls = (a - b for a, b in zip(table, table[1:], strict=False))
        return max(1, max(falls).bit_length())

    @property
    def point(self) -> int:
        """Bits below a code in a conversion: a gain has :data:`GAIN_BITS` steps at least."""
        return max(self.exponent, GAIN_BITS - min(self._shifts))

    @property
    def exponent(self) -> int:
        """Bits below a code of deviate times standard deviation."""
        return DEVIATE_BITS + self.tables.var_exponent

    @property
    def noise_steps(self) -> int:
        """Of a multiplication with a standard deviation."""
        spread = max(*self.tables.spread, self.tables.reset_spread)
        return max(self.root_bits, spread.bit_length())

    @property
    def shift_steps(self) -> int:
        """Of what a gain is shifted by behind the multiplication: by 4 or by 1.

        What is below the codes' own fraction goes bit by bit.
        """
        alone = max(0, self.point - GAIN_BITS)
        others = [self.point + shift - GAIN_BITS - alone for shift in self._shifts]
        return alone + max(bits // 4 + bits % 4 for bits in others)

    @property
    def most_shift(self) -> int:
        """Largest shift of a gain."""
        return max(self._shifts)

    @property
    def _shifts(self) -> list[int]:
        return [shift for mantissa, shift in self.tables.gains if mantissa]

    # -- cycles -----------------------------------------------------------------------

    @property
    def deviate(self) -> int:
        """From a word to its deviate."""
        return SHIFT_CYCLES + 5 + self.fall_bits

    @property
    def drawn(self) -> int:
        """From a name to its deviate."""
        return DRAW_CYCLES + self.deviate

    @property
    def rooted(self) -> int:
        """From a column's first row to the root of its variance."""
        return self.geometry.rows + 2 + self.root_bits

    @property
    def conversion(self) -> int:
        """From sums, root and deviate to a code."""
        return self.noise_steps + GAIN_BITS + self.shift_steps + 1

    @property
    def column(self) -> int:
        """From a column to the next one, of a product: the longest of what overlaps.

        The sums begin anew in a cycle of their own. Those of a few rows have to wait for the
        deviate, and those of the next column too.
        """
        rows = self.geometry.rows
        steps = (DRAW_CYCLES + 1, self.deviate + 1, self.conversion + 1)
        return max(rows + 1, *steps, self.drawn - rows)

    @property
    def hold(self) -> int:
        """From ``convert`` of a product until its lines may move."""
        return BEGIN_CYCLES + (self.geometry.columns - 1) * self.column + self.geometry.rows

    @property
    def readout(self) -> int:
        """From ``convert`` of a product until the next one may begin."""
        last = BEGIN_CYCLES + (self.geometry.columns - 1) * self.column
        return last + max(self.drawn, self.rooted) + self.conversion + 2

    @property
    def cell(self) -> int:
        """Of a cell that a pulse changes."""
        return 6 + self.drawn + POINT_BITS + self.conversion

    @property
    def pulse(self) -> int:
        """From the end of a pulse until its cells, of one line, are written, at most."""
        rows, columns = self.geometry.rows, self.geometry.columns
        return 2 + rows * (columns + 1) + max(rows, columns) * self.cell

    @property
    def load(self) -> int:
        """From a switch update that is asked for until it is loaded: a line a cycle."""
        return max(self.geometry.rows, self.geometry.columns)
