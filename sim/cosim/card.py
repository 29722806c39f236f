"""The analog side of the array card: what lies between the chips' pins.

Knows nothing of a simulator: it is told what the chips do and when (in clock
cycles), and gives ADC codes. Rows and columns carry what the switches connect,
the rails follow their DACs, and what the ADC sees has gone through the TIA's and
the ADC's own low-pass; a conversion that comes too early reads wrong codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...errors import OhmloomError
from ...hw.afe.adc_part import CHANNELS
from ...hw.geometry import Geometry
from ...hw.isa import Dac
from ..array import ArrayError, SimulatedArray, pulse_lines
from ..converters import Channels, Converters, Readout
from ..devices import DeviceError
from ..engine.pulses import column_currents, line_volts
from ..engine.recipe import Opening, seen
from ..numerics import Domain, draw_normal
from .settling import Filtered, Settling

SAMPLE_LAG_CYCLES = 1
"""From the edge of CONVST to the converter model's report, which comes with the next clock."""


TIA_RAIL_CODES = 1.2 * 32768
"""assumed: the amplifiers' outputs end at 12 V; the ADC's range, at 10 V."""


class CardFault(OhmloomError, RuntimeError):
    """The controller did something to the card that would harm or confuse it."""


@dataclass(frozen=True)
class Lines:
    """What the switches connect, one boolean per line.

    ``row_a``, ``row_b``, ``row_ground``: shape (rows,); the others (columns,).
    """

    row_a: np.ndarray
    row_b: np.ndarray
    row_ground: np.ndarray
    column_tia: np.ndarray
    column_ground: np.ndarray
    gate_program: np.ndarray
    gate_on: np.ndarray


@dataclass(frozen=True)
class ConversionTag:
    """The name of a conversion, as the controller drives it beside the pins."""

    inference: bool
    epoch: int
    index: int


@dataclass(frozen=True)
class Lags:
    """Time constants and dead time of the card's analog parts, in clock cycles.

    ``range_taus`` is what each TIA range adds to ``input_tau``; empty: nothing.
    ``filter_tau`` is that of a second-order Butterworth filter behind them, sqrt(2) / w;
    0: there is none. ``sensor_tau`` is what the converters' temperature sensors add to
    ``input_tau``.
    """

    input_tau: float
    input_delay: float
    dac_tau: float
    range_taus: tuple[float, ...] = ()
    filter_tau: float = 0.0
    sensor_tau: float = 0.0


class AnalogCard:
    """Rails, switches, cells, TIAs and ADC inputs of one lane.

    Parameters
    ----------
    array : SimulatedArray
        The cells; its state changes with the pulses that arrive.
    converters : Converters
        Transfer functions of DACs, TIA and ADC.
    geometry, clk_hz, lags
        Dimensions, the clock that times are counted in, and the analog lags.
    channels : Channels or None
        Gain and offset errors of the channels.
    """

    def __init__(
        self,
        array: SimulatedArray,
        converters: Converters,
        geometry: Geometry,
        clk_hz: int,
        lags: Lags,
        channels: Channels | None = None,
    ) -> None:
        self.array = array
        self.converters = converters
        self.readout = Readout(converters, channels)
        self.geometry = geometry
        self.clk_hz = clk_hz
        rows, columns = geometry.rows, geometry.columns
        off_rows, off_columns = np.zeros(rows, bool), np.zeros(columns, bool)
        self.lines = Lines(*[off_rows] * 3, *[off_columns] * 4)
        self._moved = False
        self.tile = 0
        self.tia_range = 0
        self.gate_a = False
        self.conversions = 0
        self.pulses = 0
        self._pulse_begun: tuple[int, float, float] | None = None
        self._train = False
        self._changing: int | None = None
        self._openings: list[Opening] = []
        self._changed: np.ndarray | None = None
        self._resting_since: int | None = None
        self._waiting_since = 0
        self.source = False
        self.sensor = np.zeros(columns, bool)
        self._part_begun = 0
        self._line_from, self._line_since = 0, 0
        self._inside: np.ndarray | None = None
        self._columns: np.ndarray | None = None
        self._dac = [0x8000] * len(Dac)
        self._rails = Settling(len(Dac), lags.dac_tau)
        self._input = (
            Filtered(columns, lags.input_tau, lags.filter_tau, lags.input_delay)
            if lags.filter_tau
            else Settling(columns, lags.input_tau, lags.input_delay)
        )
        self._lags = lags

    # What the chips do.

    def set_lines(self, time: int, **lines: np.ndarray) -> None:
        """Some switches have changed at ``time`` (cycles)."""
        self.lines = replace(self.lines, **lines)
        self._moved = True
        rows = self.lines
        if np.any(rows.row_a & rows.row_b | rows.row_ground & (rows.row_a | rows.row_b)):
            raise CardFault("a row is connected to two of rail A, rail B and ground at once")
        if np.any(rows.gate_program & rows.gate_on):
            raise CardFault("a gate is connected to GATE_PROGRAM and GATE_ON at once")
        self._refuse_during_pulse("a switch moved")
        self._retarget(time)

    def set_dac(self, time: int, channel: int, code: int) -> None:
        """A DAC channel has got a new code."""
        self._refuse_during_pulse("a DAC moved")
        self._dac[channel] = code
        self._rails.set_target(
            time, np.array([self.converters.dac_volts(value) for value in self._dac])
        )
        if channel == Dac.RAIL_A:
            self._retarget(time)

    def set_tile(self, time: int, tile: int) -> None:
        """The tile-select bus has changed."""
        if tile >= self.array.tiles:
            raise CardFault(f"tile {tile} is selected, the array has {self.array.tiles}")
        self.tile = tile
        self._retarget(time)

    def set_source(self, time: int, on: bool) -> None:
        """The current source stands for rail B behind gate B, or does no longer."""
        self._refuse_during_pulse("the current source was switched")
        self.source = on
        self._line_from, self._line_since = 0, time
        self._set_tau(time)
        self._retarget(time)

    def set_range(self, time: int, tia_range: int) -> None:
        """The range pins have changed: of the TIAs, and of the source while it is selected."""
        if self.source:
            self._refuse_during_pulse("the range of the current source moved")
        self.tia_range = tia_range
        self._set_tau(time)
        self._retarget(time)

    def set_sensor(self, time: int, channels: int) -> None:
        """Channels of each converter, a bit each, are on its temperature sensor, no others."""
        self._refuse_during_pulse("the converters were set")
        each = np.array([bool(channels >> n & 1) for n in range(CHANNELS)])
        self.sensor = each[np.arange(self.geometry.columns) % CHANNELS]
        self._set_tau(time)
        self._retarget(time)

    def set_gate_a(self, time: int, on: bool) -> None:
        """The fast gate of rail A has moved."""
        self.gate_a = on
        self._retarget(time)

    def set_gate_b(self, time: int, on: bool) -> None:
        """The fast gate of rail B has moved: a pulse begins, or ends and takes effect."""
        if on:
            self._rest(time)
            self._pulse_begun = (time, *self._pulse_levels(time))
            self._part_begun, self._inside = time, None
            self._columns = self._biases(time) if self.geometry.passive else None
            if self.source:
                self.pulses += 1
                self._line_from, self._line_since = self._line_code(0.0), time
        elif self._pulse_begun is not None:
            begun, volts, i_cc = self._pulse_begun
            if self._changing is not None:
                self._transition(begun, time, volts, i_cc)
                return
            if self.source:
                self._line_from, self._line_since = self._charge(time), time
            elif self._inside is None:
                self._pulse(volts, i_cc, time - begun)
            else:
                self._part(time)
                self._input.set_target(begun, self._inside)
                self._input.set_target(time, np.zeros(self.geometry.columns))
            self._pulse_begun = None
            self._resting_since = time if self._train else None

    def set_train(self, time: int, on: bool) -> None:
        """A train of pulses begins or ends; inside one, time between pulses passes for cells."""
        self._train, self._resting_since = on, None

    def set_waiting(self, time: int, on: bool) -> None:
        """A ``WAIT`` begins or ends; the time in it passes for the cells."""
        if not on:
            self.array.wait((time - self._waiting_since) / self.clk_hz)
        self._waiting_since = time

    def set_changing(self, time: int, on: bool, to: int) -> None:
        """The recipe of a change to mode ``to`` begins on a row, or has ended.

        Meanwhile cells are not pulsed: no entry describes their currents. At the end,
        what was measured at the pins is what the cells have been through.
        """
        if on:
            self._changing, self._openings, self._changed = to, [], None
            return
        wanted, self._changing = self._changing, None
        if wanted is None or self._changed is None:
            return
        found = seen(self._openings, self.clk_hz)
        name = self.array.device.modes[wanted].name
        try:
            self.array.wait(found.cycles / self.clk_hz)
            self.array.set_mode(
                name, self._changed, i_cc=found.i_cc, volts=found.volts, rate_v_s=found.rate_v_s
            )
        except (DeviceError, ArrayError) as error:
            raise CardFault(f"the recipe of {name} at cycle {time}: {error}") from error

    # What comes back.

    def convert(self, time: int, tag: ConversionTag) -> np.ndarray:
        """ADC codes of all columns sampled at ``time``, shape (columns,), int64."""
        if self.sensor.any() and (self._pulse_begun is not None or self.source or tag.inference):
            raise CardFault(f"cycle {time}: temperature sensors are converted by a READ alone")
        if self._pulse_begun is not None:
            return self._convert_pulse(time - SAMPLE_LAG_CYCLES)
        self._rest(time - SAMPLE_LAG_CYCLES)
        if self.source:
            self.conversions += 1
            return self._convert_line(time - SAMPLE_LAG_CYCLES, self._line_code(0.0))
        columns = self.geometry.columns
        bits = self._driven_rows()
        sensed = self._sensed()
        device = self.array.device
        self.conversions += 1
        total, variance, z = np.zeros((3, columns), np.int64)
        if tag.inference:
            total, variance = (np.where(sensed, part, 0) for part in self._totals(bits))
            places = self.tile * columns + np.arange(columns)
            z = draw_normal(self.array.seed, Domain.INFERENCE, places, tag.epoch, tag.index)
        else:
            rows, selected = np.flatnonzero(bits), np.flatnonzero(sensed)
            # Several cells of a row are read side by side, each by its column's TIA.
            if len(rows) != 1 or not len(selected):
                raise CardFault(
                    f"a single read drives {len(rows)} rows and senses {len(selected)} columns"
                )
            cell = (self.tile * self.geometry.rows + rows) * columns + selected
            if self._moved:
                self.array.select(cell)
                self._moved = False
            total[selected], variance[selected], z[selected] = self.array.verify_totals(cell)
        codes = np.zeros(columns, np.int64)
        if not self.sensor.any() or self._dac[Dac.RAIL_A] != 0x8000:
            codes, _ = self.readout.convert(
                total, variance, z, self._gain(), device.var_exponent, self.tia_range,
                slice(columns),
            )  # fmt: skip
        if self.sensor.any():
            temperatures = self.readout.temperature_codes(z, slice(columns))
            codes = np.where(self.sensor, temperatures, codes)
        # Once settled to half an LSB the remainder rounds to nothing.
        late = np.rint(self._input.residual(time)).astype(np.int64)
        return np.clip(codes + late, -(1 << 15), (1 << 15) - 1)

    # Inside.

    def _transition(self, begun: int, time: int, volts: float, i_cc: float) -> None:
        """An opening inside a change of mode has ended."""
        cells = [(cells, limit) for cells, _, limit in self._pulsed(i_cc)]
        if cells:
            free = any(limit is None for _, limit in cells)
            self._openings.append(Opening(begun, time, volts, None if free else i_cc))
            self._changed = np.sort(np.concatenate([some.ravel() for some, _ in cells]))
        self._pulse_begun, self._resting_since = None, None

    def _rest(self, time: int) -> None:
        """Inside a train, time since the last pulse or read has passed at 0 V."""
        if self._resting_since is not None:
            self.array.wait((time - self._resting_since) / self.clk_hz)
            self._resting_since = time

    def _pulsed(self, i_cc: float) -> Iterator[tuple[np.ndarray, np.ndarray, float | None]]:
        """Cells that rail B drives, (rows, columns), their columns, and their I_cc."""
        lines, columns = self.lines, self.geometry.columns
        rows = self.tile * self.geometry.rows + np.flatnonzero(lines.row_b)
        for conducting, limit in ((lines.gate_program, i_cc), (lines.gate_on, None)):
            selected = np.flatnonzero(conducting & (lines.column_ground | lines.column_tia))
            cells = rows[:, np.newaxis] * columns + selected
            if cells.size:
                yield cells, selected, limit

    def _part(self, time: int) -> np.ndarray:
        """Let the pulse go on up to ``time``; column currents then [A], shape (columns,)."""
        assert self._pulse_begun is not None
        _, volts, i_cc = self._pulse_begun
        seconds = (time - self._part_begun) / self.clk_hz
        current = np.zeros(self.geometry.columns)
        for cells, selected, limit in self._pulsed(i_cc):
            current[selected] = column_currents(self.array, cells, volts, seconds, limit)
        self._part_begun = time
        return np.where(self.lines.column_tia, current, 0.0)

    def _convert_pulse(self, time: int) -> np.ndarray:
        """ADC codes inside a pulse; the input follows the step at its opening with its lag."""
        assert self._pulse_begun is not None
        begun = self._pulse_begun[0]
        self.conversions += 1
        if self._columns is not None:
            raise CardFault(f"cycle {time}: a conversion while columns are biased")
        if self.source:
            return self._convert_line(time, self._charge(time))
        if self._inside is None:
            cells = sum(cells.size for cells, _, _ in self._pulsed(0.0))
            self.pulses += cells
        codes = self.readout.current_codes(
            self._part(time), self.tia_range, slice(self.geometry.columns)
        )
        self._inside = codes.astype(np.float64)
        since = max(time - begun - self._input.delay, 0.0)
        left = self._input.remainder(since, self._input.tau)
        late = np.rint(-self._inside * left).astype(np.int64)
        return np.clip(codes + late, -(1 << 15), (1 << 15) - 1)

    def _set_tau(self, time: int) -> None:
        """The lag of the inputs in the present range, unless its pins are the source's."""
        taus = self._lags.range_taus
        if self.sensor.any():
            self._input.set_tau(time, self._lags.input_tau + self._lags.sensor_tau)
        elif not self.source and self.tia_range < len(taus):
            self._input.set_tau(time, self._lags.input_tau + taus[self.tia_range])

    def _line_cell(self) -> np.ndarray:
        """The one cell on the line of the current source, shape (1,)."""
        cells = [found.ravel() for found, _, _ in self._pulsed(0.0)]
        size = sum(found.size for found in cells)
        if size != 1:
            raise CardFault(f"the current source is on {size} cells, accepted is one")
        return cells[0]

    def _line_code(self, amperes: float) -> int:
        """ADC code of the buffer while a current flows into the line."""
        volts = line_volts(self.array, self._line_cell(), amperes)
        return int(self.converters.voltage_codes(volts[0]))

    def _charge(self, time: int) -> int:
        """Let the source's current flow up to ``time``; the buffer's code then."""
        assert self._pulse_begun is not None
        cell = self._line_cell()
        amperes = self._pulse_begun[1] / self.converters.source_ohms[self.tia_range]
        seconds = (time - self._part_begun) / self.clk_hz
        self.array.charge(cell, amperes, seconds)
        self._part_begun = time
        return self._line_code(amperes)

    def _convert_line(self, time: int, code: int) -> np.ndarray:
        """ADC codes of all columns; the first is the buffer's, which follows with its lag."""
        since = max(time - self._line_since - self._input.delay, 0.0)
        left = self._input.remainder(since, self._lags.input_tau)
        late = round((self._line_from - code) * left)
        codes = np.zeros(self.geometry.columns, np.int64)
        codes[0] = min(max(code + late, -(1 << 15)), (1 << 15) - 1)
        return codes

    def _driven_rows(self) -> np.ndarray:
        return self.lines.row_a & self.gate_a

    def _sensed(self) -> np.ndarray:
        """Columns whose cells are on their TIAs."""
        tia = self.lines.column_tia
        return tia if self.geometry.passive else tia & self.lines.gate_on

    def _totals(self, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums of all columns over driven rows, of codes and of variance codes."""
        gated = None if self.geometry.passive else self.lines.gate_on
        driven = bits[np.newaxis, :].astype(np.int64)
        total, variance = self.array.column_totals(self.tile, driven, gated=gated)
        return total[0], variance[0]

    def _gain(self):
        volts = self.converters.dac_volts(self._dac[Dac.RAIL_A])
        return self.converters.gain(self.array.device.g_lsb, volts, self.tia_range)

    def _retarget(self, time: int) -> None:
        """What the ADC inputs now head for, in ADC codes."""
        sensed = self._sensed()
        bits = self._driven_rows()
        if self._dac[Dac.RAIL_A] == 0x8000 or not bits.any() or not sensed.any():
            codes = np.zeros(self.geometry.columns)
        else:
            total, _ = self._totals(bits)
            gain = self._gain()
            codes = np.where(sensed, total * gain.mantissa / 2.0**gain.shift, 0.0)
            codes = np.clip(codes, -TIA_RAIL_CODES, TIA_RAIL_CODES)
        if self.sensor.any():
            sensors = self.readout.temperature_codes(0, slice(self.geometry.columns))
            codes = np.where(self.sensor, sensors, codes)
        self._input.set_target(time, codes)

    def _refuse_during_pulse(self, what: str) -> None:
        if self._pulse_begun is not None:
            raise CardFault(f"{what} while rail B was driving a pulse")

    def _pulse_levels(self, time: int) -> tuple[float, float]:
        """Volts of rail B and I_cc of the program gate at ``time``, settled or not."""
        rail, gate = (self._level(time, dac) for dac in (Dac.RAIL_B, Dac.GATE_PROGRAM))
        return self.converters.dac_volts(rail), float(self.converters.i_cc(gate))

    def _level(self, time: int, dac: Dac) -> int:
        """Code that a DAC's voltage at ``time`` would have."""
        late = self._rails.residual(time)[dac] / self.converters.dac_lsb
        return self._dac[dac] + int(np.rint(late))

    def _biases(self, time: int) -> np.ndarray:
        """Volts of the columns of a passive array while gate B is open, shape (columns,)."""
        lines, volts = self.lines, self.converters.dac_volts
        if lines.column_tia.any():
            raise CardFault(f"cycle {time}: a pulse with a column on its TIA, which has no bias")
        program, on = (volts(self._level(time, dac)) for dac in (Dac.GATE_PROGRAM, Dac.GATE_ON))
        return np.where(lines.gate_program, program, np.where(lines.gate_on, on, 0.0))

    def _pulse(self, volts: float, i_cc: float, cycles: int) -> None:
        if self._columns is not None:
            self.pulses += pulse_lines(
                self.array, self.tile, np.where(self.lines.row_b, volts, 0.0), self._columns,
                cycles / self.clk_hz, self.converters.limiter_a,
            )  # fmt: skip
            return
        for cells, _, limit in self._pulsed(i_cc):
            self.pulses += cells.size
            seconds = cycles / self.clk_hz
            self.array.pulse(cells.ravel(), volts, seconds, limit, together=True)
