"""The product of bit planes with a tile, from driven rows to what accumulators add.

One lane is one product: of a sample, in a round of a loop. Lanes do not know each other, so
that any number of them, in blocks of any size, gives the same integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import Instruction, Scheme
from ..array import SimulatedArray
from ..converters import Gain, Readout
from ..numerics import Domain, IntArray, draw_normal, normal_table

_CONVERSIONS = 1 << 16
"""Made at a time: bounds memory and stays near the processor, changes no bit."""


def weights(instr: Instruction, scheme: int) -> IntArray:
    """What the code of each plane of an ``MVM`` counts, shape (planes,)."""
    weight = np.int64(1) << np.arange(instr["planes"], dtype=np.int64) + instr["shift"]
    if instr["signed"]:
        weight[-1] = -weight[-1]
    return -weight if scheme == Scheme.SUBTRACTED else weight


@dataclass(frozen=True)
class Product:
    """How the conversions of an ``MVM`` are made.

    Attributes
    ----------
    instr:
        The instruction; where its activations are is not looked at.
    scheme:
        A :class:`~ohmloom.hw.isa.Scheme`: which columns are subtracted from which.
    array, readout, gain, tia_range:
        The cells, and from their sums to codes.
    seed:
        Of the noise; None: there is none.
    """

    instr: Instruction
    scheme: int
    array: SimulatedArray
    readout: Readout
    gain: Gain
    tia_range: int
    seed: int | None

    def sums(
        self, x: IntArray, epochs: IntArray, index: IntArray, accumulators: int
    ) -> tuple[IntArray, int]:
        """What is added to the first accumulators.

        Parameters
        ----------
        x:
            Activations of the driven rows, shape (lanes, rows).
        epochs, index:
            Inference number of each lane, and the draw index of its plane 0, shape (lanes,).

        Returns
        -------
        The sums, shape (lanes, accumulators), and the codes at a rail.
        """
        sums = np.zeros((len(x), accumulators), dtype=np.int64)
        columns = self.columns(accumulators)
        step = max(1, _CONVERSIONS // (self.instr["planes"] * columns))
        saturations = 0
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            codes, saturated = self._codes(x[part], epochs[part], index[part], columns)
            for weight, code in zip(weights(self.instr, self.scheme), codes, strict=True):
                difference = self._less(code, code)
                sums[part, : difference.shape[1]] += difference * weight
            saturations += int(saturated.sum())
        return sums, saturations

    def columns(self, accumulators: int) -> int:
        """First columns of the tile that the first accumulators are made from."""
        used = 2 * accumulators if self.scheme == Scheme.DIFFERENTIAL else accumulators + 1
        return min(used, self.array.columns)

    def _less(self, plus: IntArray, minus: IntArray) -> IntArray:
        """Codes of columns less those that are subtracted, shape (..., accumulators)."""
        if self.scheme == Scheme.DIFFERENTIAL:
            return plus[..., 0::2] - minus[..., 1::2]
        return plus[..., 1:] - minus[..., :1]

    def _codes(
        self, x: IntArray, epochs: IntArray, index: IntArray, columns: int
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """Codes of the first columns and which are at a rail, shape (planes, lanes, columns)."""
        instr, array = self.instr, self.array
        plane = np.arange(instr["planes"], dtype=np.int16)[:, np.newaxis, np.newaxis]
        shape = (instr["planes"], len(x))
        bits = np.zeros((*shape, array.rows), dtype=np.uint8)
        bits[..., instr["first"] : instr["first"] + instr["rows"]] = x.astype(np.int16) >> plane & 1
        driven = bits.reshape(-1, array.rows)
        array.drives(instr["tile"], driven)
        total, variance = (
            each.reshape(*shape, columns)
            for each in array.column_totals(instr["tile"], driven, slice(columns))
        )
        z: IntArray | int = 0
        if self.seed is not None and variance.any():  # without variance it has no effect
            z = draw_normal(
                self.seed,
                Domain.INFERENCE,
                instr["tile"] * array.columns + np.arange(columns),
                epochs[:, np.newaxis],
                index[:, np.newaxis] + plane,
            )
        return self._convert(total, variance, z, columns)

    def _convert(
        self, total: IntArray, variance: IntArray, z: IntArray | int, columns: int
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        return self.readout.convert(
            total, variance, z, self.gain, self.array.device.var_exponent,
            self.tia_range, slice(columns),
        )  # fmt: skip

    def bounds(self, accumulators: int) -> tuple[IntArray, NDArray[np.bool_]]:
        """What no input goes beyond: of each accumulator's sum, and of saturation.

        A code rises with its sum, and with its noise. So it lies between that of no sum at
        all with the lowest deviate and that of all rows with the highest one, both with
        the variance of all rows.

        Returns
        -------
        Largest magnitude of the sums, shape (accumulators,), and which columns may saturate.
        """
        array, columns = self.array, self.array.columns
        rows = np.zeros((1, array.rows), dtype=np.uint8)
        rows[:, self.instr["first"] : self.instr["first"] + self.instr["rows"]] = 1
        total, variance = array.column_totals(self.instr["tile"], rows)
        deviate = 0 if self.seed is None else int(np.abs(normal_table()).max())
        least, most = (
            self._convert(total * share, variance, sign * deviate, columns)
            for share, sign in ((0, -1), (1, 1))
        )
        low = np.minimum(least[0], most[0])[0]
        high = np.maximum(least[0], most[0])[0]
        spread = np.maximum(self._less(high, low), -self._less(low, high))
        most_added = np.zeros(accumulators, dtype=np.int64)
        most_added[: len(spread)] = spread * np.abs(weights(self.instr, self.scheme)).sum()
        return most_added, (least[1] | most[1])[0]
