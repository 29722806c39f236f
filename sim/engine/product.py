"""The product of activations with a tile, from driven rows to what accumulators add.

One lane is one product: of a sample, in a round of a loop. Lanes do not know each other, so
that any number of them, in blocks of any size, gives the same integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import Instruction, Scheme
from ..array import Lines, Operands, SimulatedArray
from ..converters import Gain, Readout, Scales
from ..numerics import Domain, IntArray, draw_normal, normal_table
from .accelerator import Accelerator
from .digits import Digit, digits_of
from .drives import Drives
from .fused import Driven, Names, converted, fused
from .workers import ALONE, Workers

_BYTES = 1 << 22
"""Of what drives rows, and of sums, made at a time: stays near the processor, changes no bit."""


Bounds = tuple[IntArray, NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
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
    workers:
        Threads that lanes are shared among.
    accelerator:
        Makes what it is exact for; None: there is none.
    """

    instr: Instruction
    scheme: int
    array: SimulatedArray
    readout: Readout
    gain: Gain
    tia_range: int
    seed: int | None
    workers: Workers = ALONE
    accelerator: Accelerator | None = None

    @cached_property
    def digits(self) -> tuple[Digit, ...]:
        """What the rows are driven with, one conversion after the other."""
        unit = (-1 if self.scheme == Scheme.SUBTRACTED else 1) << self.instr["shift"]
        bits = self.readout.converters.input_bits
        return digits_of(self.instr["planes"], bool(self.instr["signed"]), bits, unit)

    def sums(
        self, drives: Drives, epochs: IntArray, index: IntArray, accumulators: int
    ) -> tuple[IntArray, int]:
        """What is added to the first accumulators.

        Parameters
        ----------
        drives:
            Activations of the driven rows.
        epochs, index:
            Inference number of each lane, and the draw index of its plane 0, shape (lanes,).

        Returns
        -------
        The sums, shape (lanes, accumulators), and the codes at a rail.
        """
        sums = np.empty((len(drives), accumulators), dtype=np.int64)
        lines = self._lines(accumulators)
        operands = self.array.operands(lines)
        rows, columns = operands.g.shape
        step = max(1, _BYTES // (3 * rows + 24 * columns))
        if self.accelerator is not None:
            step = self.accelerator.lanes(len(self.digits), operands)

        def work(part: slice) -> int:
            railed = 0
            for start in range(part.start, part.stop, step):
                some = slice(start, min(start + step, part.stop))
                sums[some] = 0  # here, by the thread that adds to them
                lanes = _Lanes(drives, some, epochs[some], index[some], sums[some])
                for _, digits in groupby(self.digits, lambda digit: digit.share):
                    railed += self._made(lanes, tuple(digits), lines, operands)
            return railed

        numbers = len(self.digits) * len(drives) * max(operands.g.shape)
        railed = sum(self.workers.map(work, self.workers.shares(len(drives), numbers)))
        return sums, railed

    @property
    def conversions(self) -> int:
        """Of all columns of the tile, for one lane."""
        pairs = self.scheme == Scheme.DIFFERENTIAL
        converters = self.readout.converters
        return converters.conversions(self.instr["planes"], self.array.columns, pairs=pairs)

    def columns(self, accumulators: int) -> int:
        """First columns of the tile that the first accumulators are made from."""
        used = 2 * accumulators if self.scheme == Scheme.DIFFERENTIAL else accumulators + 1
        return min(used, self.array.columns)

    def _lines(self, accumulators: int) -> Lines:
        """Cells whose currents are converted for the first accumulators."""
        found = self._known_lines.get(accumulators)
        if found is None:
            columns = self.columns(accumulators)
            pairs = self.scheme == Scheme.DIFFERENTIAL
            found = self._known_lines[accumulators] = Lines(
                self.instr["tile"],
                self.instr["first"],
                self.instr["rows"],
                plus=range(0, columns, 2) if pairs else range(1, columns),
                minus=range(1, columns, 2) if pairs else range(1),
                joined=pairs and self.readout.converters.sensing == "differential",
                largest=max(digit.largest for digit in self.digits),
            )
        return found

    @cached_property
    def _known_lines(self) -> dict[int, Lines]:
        return {}

    @cached_property
    def _known_bounds(self) -> dict[int, tuple[Operands, Bounds]]:
        return {}

    def _made(
        self, lanes: _Lanes, digits: tuple[Digit, ...], lines: Lines, operands: Operands
    ) -> int:
        """Add what digits of one share come to to the sums of lanes; the codes at a rail."""
        gain = Gain(self.gain.mantissa, self.gain.shift + digits[0].share)
        exponent = self.array.device.var_exponent
        scales = self.readout.scales(gain, exponent)
        accelerator = self.accelerator
        if accelerator is not None and scales is not None and accelerator.takes(scales, operands):
            return self._accelerated(accelerator, lanes, digits, lines, operands, scales)
        loops = fused(len(digits) * len(lanes) * operands.g.shape[1], scales, operands)
        if loops is not None and scales is not None:
            return sum(
                self._by_bytes(loops, scales, lanes, digit, lines, operands) for digit in digits
            )
        return sum(self._by_numpy(gain, exponent, lanes, d, lines, operands) for d in digits)

    def _by_bytes(
        self, loops: ModuleType, scales: Scales, lanes: _Lanes, digit: Digit, lines: Lines,
        operands: Operands,
    ) -> int:  # fmt: skip
        """As ``_made``, in compiled loops, of one digit."""
        driven = Driven.of(loops, lanes.drives, lanes.which, digit)
        if self.array.listens:
            self.array.drives(lines.tile, lines.first, driven.energy / 4.0**digit.share)
        # Lanes whose rows are all at 0 V give code 0, without noise.
        if not driven.used.any():
            return 0
        total, variance = driven.sums(operands, noise=self.seed is not None)
        columns, names = lines.columns, None
        if self.seed is not None:
            places = lines.tile * self.array.columns + columns
            names = Names.of(self.seed, places, lanes.epochs, lanes.index + digit.plane)
        return converted(
            loops, total, variance, driven.used, names, scales,
            digit.weight, len(lines.plus), lanes.sums,
        )  # fmt: skip

    def _by_numpy(
        self, gain: Gain, exponent: int, lanes: _Lanes, digit: Digit, lines: Lines,
        operands: Operands,
    ) -> int:  # fmt: skip
        """As ``_made``, step by step, of one digit."""
        x = digit.of(lanes.values)
        if self.array.listens:
            driven = np.square(x, dtype=np.float64).sum(axis=0) / 4.0**digit.share
            self.array.drives(lines.tile, lines.first, driven)
        # Lanes whose rows are all at 0 V give code 0, without noise, but for a channel's offset.
        silent = self.readout.scales(gain, exponent) is not None
        lane = np.flatnonzero(x.any(axis=1)) if silent else np.arange(len(x))
        x = x[lane].astype(operands.total.dtype)
        total = x @ operands.total
        columns, epochs, index = lines.columns, lanes.epochs[lane], lanes.index[lane] + digit.plane
        z, variance = 0, np.zeros_like(total)
        if self.seed is not None and operands.var.shape[1]:
            variance = (x * x).astype(operands.variance.dtype, copy=False) @ operands.variance
            places = lines.tile * self.array.columns + columns
            z = draw_normal(
                self.seed, Domain.INFERENCE, places, epochs[:, np.newaxis], index[:, np.newaxis]
            )
        codes, railed = self.readout.convert(
            total, variance, z, gain, exponent, self.tia_range, columns
        )
        lanes.sums[lane, : len(lines.plus)] += _less(codes, codes, lines) * digit.weight
        return int(railed.sum())

    def _accelerated(
        self, accelerator: Accelerator, lanes: _Lanes, digits: tuple[Digit, ...], lines: Lines,
        operands: Operands, scales: Scales,
    ) -> int:  # fmt: skip
        """The same on an accelerator."""
        places = lines.tile * self.array.columns + lines.columns
        names = None
        if self.seed is not None:
            names = Names.of(self.seed, places, lanes.epochs, lanes.index)
        sums = lanes.sums[:, : len(lines.plus)]
        railed, squares = accelerator.add(lanes.values, digits, operands, names, scales, sums)
        if self.array.listens:
            self.array.drives(lines.tile, lines.first, squares / 4.0 ** digits[0].share)
        return railed

    def bounds(self, accumulators: int) -> Bounds:
        """What no input goes beyond: of each accumulator's sum, and of saturation.

        A code rises with its sum, and with its noise. So it lies between that of the least
        sum with the lowest deviate and that of the largest one with the highest deviate,
        both with the largest variance.

        Returns
        -------
        Largest magnitude of the sums, shape (accumulators,), and which columns may saturate.
        """
        lines = self._lines(accumulators)
        operands, columns = self.array.operands(lines), lines.columns
        known = self._known_bounds.get(accumulators)
        if known is not None and known[0] is operands:
            return known[1]
        deviate = 0 if self.seed is None else int(np.abs(normal_table()).max())
        above, below, variance = operands.ranges
        if self.seed is None or not variance.size:
            variance = np.zeros_like(above)
        most, rails = np.zeros(accumulators, np.int64), np.zeros(self.array.columns, bool)
        for digit in self.digits:
            low, high = digit.span
            gain = Gain(self.gain.mantissa, self.gain.shift + digit.share)
            least, largest = (
                self.readout.convert(
                    above * one - below * other, variance * max(high, -low) ** 2, sign * deviate,
                    gain, self.array.device.var_exponent, self.tia_range, columns,
                )
                for one, other, sign in ((low, high, -1), (high, low, 1))
            )  # fmt: skip
            rails[columns] |= least[1] | largest[1]
            up, down = _less(largest[0], least[0], lines), _less(least[0], largest[0], lines)
            most[: len(lines.plus)] += np.maximum(up, -down) * abs(digit.weight)
        self._known_bounds[accumulators] = operands, (most, rails)
        return most, rails


@dataclass(frozen=True)
class _Lanes:
    """Some lanes: which, names of their draws, and their sums, which are added to."""

    drives: Drives
    which: slice
    epochs: IntArray
    index: IntArray
    sums: IntArray

    def __len__(self) -> int:
        return len(self.sums)

    @cached_property
    def values(self) -> IntArray:
        """Their activations, shape (lanes, rows)."""
        return self.drives.values(self.which)


def _less(high: IntArray, low: IntArray, lines: Lines) -> IntArray:
    """Codes of the columns that are added, of ``high``, less those of the others, of ``low``."""
    plus = len(lines.plus)
    return high if lines.joined else high[..., :plus] - low[..., plus:]
