"""How integer weights lie in cells: on which levels, of how many slices and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..hw.isa import Scheme

SchemeName = Literal["differential", "offset", "twos-complement"]


@dataclass(frozen=True)
class Encoding:
    """``weight = sum over slices s of unit(s) * digits[s]``, each digit a difference of levels.

    Columns of a part of a matrix: with ``differential`` output ``k`` is the pair of columns
    ``2k`` (G+) and ``2k + 1`` (G-); a digit is on one of them, the other is on level 0.
    Otherwise column 0 is a reference, from which all outputs, columns ``k + 1``, differ:
    with ``offset`` it holds the middle of what the slices hold; with ``twos-complement`` it
    is on level 0, and the last slice is the sign, whose level 1 counts negatively.

    Attributes
    ----------
    levels:
        Levels of a cell, at least 2.
    slices:
        Cells of a weight, or pairs of them, each counting more than the one before.
    scheme:
        What the columns are.
    """

    levels: int
    slices: int = 1
    scheme: SchemeName = "differential"

    @property
    def single(self) -> bool:
        """Whether an output is one column, less a reference that all outputs share."""
        return self.scheme != "differential"

    def __str__(self) -> str:
        return f"{self.slices} slice{'s' * (self.slices > 1)}, {self.scheme}"

    @property
    def bits(self) -> int:
        """Bits between neighbouring slices: as many as the levels tell apart."""
        return self.levels.bit_length() - 1

    @property
    def top(self) -> int:
        """Largest weight, of either sign; 0 where there are too few slices for any."""
        if self.scheme == "twos-complement":
            return (1 << self.shift(self.slices - 1)) - 1
        if self.scheme == "offset":
            return self.offset
        return self._most

    @property
    def offset(self) -> int:
        """What the reference column holds."""
        return self._most // 2 if self.scheme == "offset" else 0

    @property
    def _most(self) -> int:
        """What the slices hold where all cells are on the top level."""
        return sum(self.levels - 1 << self.shift(number) for number in range(self.slices))

    def shift(self, number: int) -> int:
        """Bits by which a slice counts more than the first one, the least significant."""
        return self.bits * number

    def unit(self, number: int) -> int:
        """What a difference of one level in a slice counts."""
        return -(1 << self.shift(number)) if self._is_sign(number) else 1 << self.shift(number)

    def _is_sign(self, number: int) -> bool:
        return self.scheme == "twos-complement" and number == self.slices - 1

    def register(self, number: int) -> Scheme:
        """``Reg.SCHEME`` for a slice."""
        if not self.single:
            return Scheme.DIFFERENTIAL
        return Scheme.SUBTRACTED if self._is_sign(number) else Scheme.SINGLE

    def columns(self, outputs: int) -> int:
        """Columns that so many outputs take."""
        return outputs + 1 if self.single else 2 * outputs

    def outputs(self, columns: int) -> int:
        """Outputs that so many columns hold."""
        return columns - 1 if self.single else columns // 2

    def digits(self, weight: np.ndarray) -> np.ndarray:
        """Differences of levels that make integer weights, int32 (slices, *weight.shape)."""
        weight = weight.astype(np.int32)
        if self.scheme == "twos-complement":
            shifts = np.array([self.shift(number) for number in range(self.slices)])
            found = weight >> shifts.reshape(-1, *[1] * weight.ndim) & (1 << self.bits) - 1
            found[-1] = weight < 0
            return found.astype(np.int32)
        if self.scheme == "offset":
            return self._cut(weight + self.offset) - self._cut(np.full_like(weight, self.offset))
        return self._cut(np.abs(weight)) * np.sign(weight)

    def _cut(self, left: np.ndarray) -> np.ndarray:
        """Levels, slice by slice, that together hold numbers from 0 on."""
        found = np.empty((self.slices, *left.shape), np.int32)
        for number in reversed(range(self.slices)):
            found[number] = np.minimum(left >> self.shift(number), self.levels - 1)
            left = left - (found[number] << self.shift(number))
        return found

    def reference(self, number: int) -> int:
        """Level of the reference column in a slice."""
        return int(self._cut(np.array(self.offset, np.int32))[number])

    def sides(self, digits: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Levels that make the digits of a slice: what is added, and what is subtracted.

        Both of the digits' shape; what is subtracted is a number where a reference is shared.
        """
        if self.single:
            low = self.reference(number)
            return digits + low, np.array(low, digits.dtype)
        return np.maximum(digits, 0), np.maximum(-digits, 0)

    def cells(self, weight: np.ndarray, number: int) -> np.ndarray:
        """Levels of a slice of weights (inputs, outputs), shape (inputs, columns)."""
        return self._laid(*self.sides(self.digits(weight)[number], number))

    def differences(self, cells: np.ndarray) -> np.ndarray:
        """What levels or conductances (inputs, columns) make, shape (inputs, outputs)."""
        high, low = self._split(cells)
        return high - low

    def around(
        self, left: np.ndarray, stuck: np.ndarray, number: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Levels of a slice beside stuck cells, and the differences that they make.

        A cell makes up for the one that it is subtracted from, or that is subtracted from it.

        Parameters
        ----------
        left:
            Weights, as far as no slice that counts more holds them, float64 of shape
            (inputs, outputs). Slices below make up for what is cut off.
        stuck:
            Levels of stuck cells, NaN elsewhere, shape (inputs, columns), or of one output in
            each row, for any weights of it, (inputs, 2).

        Returns
        -------
        Levels (inputs, columns), 0 of stuck cells, and differences (inputs, outputs).
        """
        top, size, sign = self.levels - 1, 1 << self.shift(number), np.sign(self.unit(number))
        high, low = self._split(stuck)
        fixed, broken = ~np.isnan(high), ~np.isnan(low)
        if self.single:
            reference = np.where(broken, low, self.reference(number))
            below = sum(self.reference(n) << self.shift(n) for n in range(number))
            wanted = sign * reference + (left + below) / size
            whole = np.floor(wanted) if number else np.rint(wanted)
            plus, minus = np.clip(sign * whole, 0, top), reference
        else:
            wanted = left / size
            whole = np.trunc(wanted) if number else np.rint(wanted)
            plus, minus = np.clip(whole, 0, top), np.clip(-whole, 0, top)
            plus = np.where(broken, np.clip(np.rint(low + wanted), 0, top), plus)
            minus = np.where(fixed, np.clip(np.rint(high - wanted), 0, top), minus)
        real = np.where(fixed, high, plus) - np.where(broken, low, minus)
        # What a stuck cell is told to be makes no difference; level 0 takes no pulses to reach.
        return self._laid(np.where(fixed, 0, plus), np.where(broken, 0, minus)), real

    def alone(self, cells: np.ndarray) -> np.ndarray:
        """The cells (inputs, columns) of every output by itself, shape (inputs, outputs, 2).

        As :meth:`around` takes them for one output.
        """
        high, low = np.broadcast_arrays(*self._split(cells))
        return np.stack([low, high] if self.single else [high, low], axis=-1)

    def _split(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The columns that are added, and those that are subtracted from them."""
        if self.single:
            return cells[:, 1:], cells[:, :1]
        return cells[:, 0::2], cells[:, 1::2]

    def _laid(self, high: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Columns of which :meth:`_split` gives these again."""
        inputs, outputs = high.shape
        cells = np.empty((inputs, self.columns(outputs)), high.dtype)
        for side, values in zip(self._split(cells), (high, low), strict=True):
            side[...] = values
        return cells
