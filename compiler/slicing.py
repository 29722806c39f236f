"""Weights as sums of cells, where the levels of one are too few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Slicing:
    """``weight = sum over s of digit[s] * 2**(bits * s)``, each digit on a level of a cell.

    Attributes
    ----------
    levels:
        Levels of a cell; a digit is 0 to ``levels - 1``, on either cell of a pair.
    count:
        Slices, each in cells of its own.
    """

    levels: int
    count: int = 1

    @property
    def bits(self) -> int:
        """Bits between neighbouring slices: as many as the levels tell apart."""
        return self.levels.bit_length() - 1

    @property
    def top(self) -> int:
        """Largest weight."""
        return sum(self.levels - 1 << self.shift(number) for number in range(self.count))

    def shift(self, number: int) -> int:
        """Bits by which a slice counts more than the first one, the least significant."""
        return self.bits * number

    def digits(self, weight: np.ndarray) -> np.ndarray:
        """Digits of integer weights, of their sign, shape (count, *weight.shape)."""
        weight = weight.astype(np.int32)
        left, sign = np.abs(weight), np.sign(weight)
        found = np.empty((self.count, *weight.shape), np.int32)
        for number in reversed(range(self.count)):
            found[number] = np.minimum(left >> self.shift(number), self.levels - 1)
            left = left - (found[number] << self.shift(number))
        return found * sign
