"""Pulses and sweeps on the cells of one line, cut into parts where conversions lie.

A pulse without a conversion inside is one :meth:`~ohmloom.sim.array.Array.pulse`. One
with conversions is a quasi-static :meth:`~ohmloom.sim.array.Array.sweep` of one step
from conversion to conversion, since only that says what current flows. Between the
pulses of a train, and up to each read after one, time passes at 0 V.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ...hw.isa import Staircase, Train, limited, pack_sample
from ..array import SimulatedArray
from ..converters import ADC_MAX, ADC_MIN, Converters
from ..numerics import IntArray, round_half_even_shift


class LinePulser:
    """What a ``PULSE`` or a ``SWEEP`` does to an array, and the samples that it gives.

    Parameters
    ----------
    array, converters, clk_hz
        The cells, the transfer functions, and the clock that times are counted in [Hz].
    cells:
        Flat numbers of the cells, shape (rows, columns), one of them 1: a column's
        current is the sum over its rows.
    tia_range:
        Index of the TIA range.
    read:
        One conversion of a single read of cells: their codes.
    """

    def __init__(
        self,
        array: SimulatedArray,
        converters: Converters,
        clk_hz: int,
        cells: IntArray,
        tia_range: int,
        read: Callable[[IntArray], IntArray],
    ) -> None:
        self.array = array
        self.converters = converters
        self.clk_hz = clk_hz
        self.cells = cells
        self.tia_range = tia_range
        self.read = read

    def pulse(self, train: Train) -> list[int]:
        """Sample words (:func:`~ohmloom.hw.isa.unpack_sample`) of a train, in order."""
        per_sample = 1 << train.average
        inside = [train.delay + n * train.spacing for n in range(train.inside * per_sample)]
        later = [
            train.after_delay + n * train.after_spacing for n in range(train.after * per_sample)
        ]
        words: list[int] = []
        for n in range(train.pulses):
            codes = self._open(train, train.rail, inside)
            words += self._samples(codes, train.average)
            codes, now = [], 0
            for moment in later:
                self._wait(moment - now)
                codes.append(self.read(self.cells.reshape(-1)))
                now = moment
            words += self._samples(codes, train.average)
            if n + 1 < train.pulses:
                self._wait(train.interval - train.width - now)
        return words

    def sweep(self, stairs: Staircase) -> list[int]:
        """Sample words of a staircase, in order."""
        inside = [stairs.delay + n * stairs.spacing for n in range(1 << stairs.average)]
        words: list[int] = []
        for n, rail in enumerate(stairs.codes()):
            if n:
                self._wait(stairs.interval - stairs.width)
            words += self._samples(self._open(stairs, rail, inside), stairs.average)
        return words

    def _open(self, record: Train | Staircase, rail: int, moments: Iterable[int]) -> list[IntArray]:
        """One pulse; the codes of its conversions, each of shape (columns,)."""
        volts = self.converters.dac_volts(rail)
        limit = None
        if limited(rail, record.limit):
            limit = float(self.converters.i_cc(record.gate))
        codes, now = [], 0
        for moment in moments:
            current = column_currents(
                self.array, self.cells, volts, (moment - now) / self.clk_hz, limit
            )
            codes.append(self.converters.current_codes(current, self.tia_range))
            now = moment
        seconds = (record.width - now) / self.clk_hz
        if codes:
            column_currents(self.array, self.cells, volts, seconds, limit)
        else:
            self.array.pulse(self.cells.reshape(-1), volts, seconds, limit)
        return codes

    def _wait(self, cycles: int) -> None:
        self.array.wait(cycles / self.clk_hz)

    def _samples(self, codes: list[IntArray], average: int) -> list[int]:
        words: list[int] = []
        for start in range(0, len(codes), 1 << average):
            group = np.stack(codes[start : start + (1 << average)])
            mean = round_half_even_shift(group.sum(axis=0), average)
            railed = ((group == ADC_MIN) | (group == ADC_MAX)).any(axis=0)
            words += [pack_sample(int(m), bool(s)) for m, s in zip(mean, railed, strict=True)]
        return words


def column_currents(
    array: SimulatedArray, cells: IntArray, volts: float, seconds: float, limit: float | None
) -> np.ndarray:
    """Currents of columns [A] after ``seconds`` at ``volts``, shape (columns,).

    Cells have shape (rows, columns); the currents of a column's cells are added row
    after row, so that every engine gets the same float.
    """
    current = array.sweep(cells, [volts], seconds, limit)[..., 0]
    return np.add.accumulate(current, axis=0)[-1]
