"""Pulses and sweeps on the cells of one line, cut into parts where conversions lie.

A pulse without a conversion inside is one :meth:`~ohmloom.sim.array.Array.pulse`. One
with conversions is a quasi-static :meth:`~ohmloom.sim.array.Array.sweep` of one step
from conversion to conversion, since only that says what current flows. Between the
pulses of a train, and up to each read after one, time passes at 0 V.

A pulse of the current source is an :meth:`~ohmloom.sim.array.Array.charge` from conversion
to conversion, up to the one that reaches a limit. Its conversions are the voltage of the
line; after it, time passes with the cell open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ...hw.isa import PulseStatus, Staircase, Train, limited, pack_sample, unpack_sample
from ..array import SimulatedArray
from ..converters import ADC_MAX, ADC_MIN, Converters, Readout
from ..numerics import FloatArray, IntArray, round_half_even_shift
from .modes import Warden


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
    warden:
        What lets the gate open; without one, it always does.
    readout:
        From currents to codes; without one, that of ``converters``.

    Attributes
    ----------
    status:
        How the last train or sweep ended: ``DONE``, or ``CUT`` at a limit.
    """

    def __init__(
        self,
        array: SimulatedArray,
        converters: Converters,
        clk_hz: int,
        cells: IntArray,
        tia_range: int,
        read: Callable[[IntArray], IntArray],
        warden: Warden | None = None,
        readout: Readout | None = None,
    ) -> None:
        self.array = array
        self.converters = converters
        self.clk_hz = clk_hz
        self.cells = cells
        self.tia_range = tia_range
        self.read = read
        self.warden = warden
        self.readout = readout or Readout(converters)
        self.status = PulseStatus.DONE

    def pulse(self, train: Train) -> list[int]:
        """Sample words (:func:`~ohmloom.hw.isa.unpack_sample`) of a train, in order."""
        if train.source:
            return self._charge(train)
        self.status = PulseStatus.DONE
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
        self.status = PulseStatus.DONE
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
        asked, width = record.width, self._width(record, rail)
        codes, now = [], 0
        for moment in (moment for moment in moments if moment < width):
            current = column_currents(
                self.array, self.cells, volts, (moment - now) / self.clk_hz, limit
            )
            columns = self.cells[0] % self.array.columns
            codes.append(self.readout.current_codes(current, self.tia_range, columns))
            now = moment
        seconds = (width - now) / self.clk_hz
        if codes:
            column_currents(self.array, self.cells, volts, seconds, limit)
        else:
            self.array.pulse(self.cells.reshape(-1), volts, seconds, limit, together=True)
        if self.warden is not None and width < asked:
            raise self.warden.cut(asked)
        return codes

    def _width(self, record: Train | Staircase, rail: int) -> int:
        """Cycles of an opening, which the warden may cut."""
        if self.warden is None:
            return record.width
        gate = record.gate if limited(rail, record.limit) else None
        return self.warden.opening(rail, gate, record.width)

    def _charge(self, train: Train) -> list[int]:
        """A pulse of the current source: sample words of the line's voltage."""
        self.status = PulseStatus.DONE
        cell = self.cells.reshape(-1)
        amperes = self.converters.source_amperes(train.rail, train.source_range)
        width, now = self._width(train, train.rail), 0
        allowed = width
        words: list[int] = []
        codes: list[IntArray] = []

        def flow(until: int) -> None:
            self.array.charge(cell, amperes, (until - now) / self.clk_hz)

        def line(current: float) -> IntArray:
            return self.converters.voltage_codes(line_volts(self.array, cell, current))

        for n in range(train.inside << train.average):
            moment = train.delay + n * train.spacing
            if moment >= width:
                break
            flow(moment)
            now = moment
            codes.append(line(amperes))
            if len(codes) == 1 << train.average:
                words += self._samples(codes, train.average)
                if not train.v_low < unpack_sample(words[-1])[0] < train.v_high:
                    self.status = PulseStatus.CUT
                    width = min(width, moment + train.react + 1)
                codes = []
        flow(width)
        if self.warden is not None and width == allowed < train.width:
            raise self.warden.cut(train.width)
        now = 0
        for n in range(train.after << train.average):
            moment = train.after_delay + n * train.after_spacing
            self._wait(moment - now)
            now = moment
            codes.append(line(0.0))
        return words + self._samples(codes, train.average)

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


def line_volts(array: SimulatedArray, cells: IntArray, amperes: float) -> FloatArray:
    """Voltage [V] of each cell's terminals while a current flows into it.

    That of the store, and the drop over what is in series with it.
    """
    siemens = array.currents(cells, 1.0) - array.currents(cells, 0.0)
    return array.sense_voltage(cells) + amperes / siemens


def column_currents(
    array: SimulatedArray, cells: IntArray, volts: float, seconds: float, limit: float | None
) -> np.ndarray:
    """Currents of columns [A] after ``seconds`` at ``volts``, shape (columns,).

    Cells have shape (rows, columns); the currents of a column's cells are added row
    after row, so that every engine gets the same float.
    """
    current = array.sweep(cells, [volts], seconds, limit)[..., 0]
    return np.add.accumulate(current, axis=0)[-1]
