"""Volts, amperes and seconds as codes and cycles, within what a mode of the profile permits.

Voltages and compliance currents become the nearest codes (:class:`Converters`), times clock
cycles. What is beyond a limit by less than a code gets the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...hw.afe.array_card import BUFFER_A, GATE_CODES, PULSE_MAX_PS
from ...hw.cycles.front_end import FrontEndCycles
from ...hw.isa import LIMIT_NEGATIVE, LIMIT_POSITIVE, limited
from ...hw.profile import Drive
from ...hw.stairs import gap_cycles
from ...sim.converters import ConverterError, Converters
from ...sim.devices import ComplianceError, DeviceError

ZERO_CODE = 0x8000
STEP_TOLERANCE = 2e-3
"""Part of a voltage by which a step of a whole staircase may be off: its steps are equal
numbers of codes. assumed: a tenth of what a range of the card may be off by anyway."""


@dataclass(frozen=True)
class Opening:
    """What rail B and GATE_PROGRAM do while the fast gate is open.

    Attributes
    ----------
    rail, width:
        Code of rail B, and clock cycles.
    gate, limit:
        Code of GATE_PROGRAM, and the polarities in which it limits, as of a
        :class:`~ohmloom.hw.isa.Train`.
    """

    rail: int
    width: int
    gate: int
    limit: int


@dataclass(frozen=True)
class Codes:
    """The conversions of one mode behind one card.

    Attributes
    ----------
    converters, clk_hz, cycles:
        Transfer functions, controller clock, and what the card takes.
    drive:
        Limits of the mode.
    what:
        Device and mode, for what is refused.
    """

    converters: Converters
    clk_hz: int
    cycles: FrontEndCycles
    drive: Drive
    what: str

    @property
    def width_max(self) -> int:
        """Longest opening [clock cycles]: of the mode and of the guard."""
        return min(self.drive.width_max, PULSE_MAX_PS * self.clk_hz // 10**12)

    @property
    def gate_range(self) -> tuple[int, int]:
        """First and last code of GATE_PROGRAM: of the mode and of the card."""
        low, high = self.drive.gate_low, self.drive.gate_high
        return max(low, ZERO_CODE), min(high, ZERO_CODE + GATE_CODES)

    @property
    def v_range(self) -> tuple[float, float]:
        """Lowest and highest voltage of a pulse [V]."""
        volts = self.converters.dac_volts
        return volts(self.drive.rail_low), volts(self.drive.rail_high)

    @property
    def i_cc_range(self) -> tuple[float, float]:
        """Smallest and largest compliance current [A]."""
        low, high = self.converters.i_cc(self.gate_range)
        return float(low), float(high)

    def opening(self, volts: float, width_s: float, i_cc: float | None) -> Opening:
        """A pulse.

        Raises
        ------
        DeviceError
            If it is outside the limits of the mode or the card.
        """
        rail = self.rail(volts)
        polarity = LIMIT_POSITIVE if rail >= ZERO_CODE else LIMIT_NEGATIVE
        if i_cc is not None and np.isfinite(i_cc):
            return Opening(rail, self.width(width_s), self.gate(i_cc), polarity)
        if not limited(rail, self.drive.limited):
            return Opening(rail, self.width(width_s), 0, 0)
        if rail != ZERO_CODE:
            raise ComplianceError(
                f"{self.what}: {volts:g} V without a compliance current, accepted is "
                f"{self._amperes()} in that polarity"
            )
        return Opening(rail, self.width(width_s), self.gate_range[0], polarity)

    def rail(self, volts: float) -> int:
        """Code of rail B nearest to a voltage.

        Raises
        ------
        DeviceError
            If the mode does not take it, or the card does not give it.
        """
        lsb, span = self.converters.dac_lsb, self.converters.dac_volts_span
        reached = min(max(volts, -span), span - lsb) if abs(volts) <= span + lsb / 2 else volts
        low, high = self.drive.rail_low, self.drive.rail_high
        try:
            code = self.converters.dac_code(reached)
        except ConverterError as error:
            raise DeviceError(f"{self.what}: {error}") from error
        if not low - 1 <= code <= high + 1:
            least, most = self.v_range
            raise DeviceError(f"{self.what}: {volts:g} V, accepted is {least:.4g}..{most:.4g} V")
        return min(max(code, low), high)

    def gate(self, i_cc: float) -> int:
        """Code of GATE_PROGRAM nearest to a compliance current [A].

        Raises
        ------
        ComplianceError
            If the mode does not take it, or the card does not give it.
        """
        low, high = self.gate_range
        gap_low, gap_high = self.drive.gap_low, self.drive.gap_high
        try:
            code = int(self.converters.gate_code(i_cc))
        except ConverterError as error:
            raise ComplianceError(f"{self.what}: {error}") from error
        if not low - 1 <= code <= high + 1 or gap_low <= code < gap_high:
            raise ComplianceError(f"{self.what}: I_cc = {i_cc:g} A, accepted is {self._amperes()}")
        return min(max(code, low), high)

    def _amperes(self) -> str:
        low, high = self.i_cc_range
        text = f"an I_cc of {low:.3g}..{high:.3g} A"
        if self.drive.gap_low < self.drive.gap_high:
            gap = self.converters.i_cc([self.drive.gap_low, self.drive.gap_high])
            text += f" outside the gap of {gap[0]:.3g}..{gap[1]:.3g} A"
        return text

    def width(self, seconds: float) -> int:
        """Clock cycles of a pulse.

        Raises
        ------
        DeviceError
            If it is shorter than the card's shortest, or longer than the mode's longest one.
        """
        cycles = round(seconds * self.clk_hz)
        if not self.cycles.pulse <= cycles <= self.width_max:
            least, most = self.cycles.pulse / self.clk_hz, self.width_max / self.clk_hz
            raise DeviceError(
                f"{self.what}: a pulse of {seconds:g} s, accepted is {least:g}..{most:g} s"
            )
        return cycles

    def together(self, opening: Opening) -> int:
        """Cells that may be driven at once: what the buffer of rail B gives them."""
        gate = opening.gate if opening.limit else self.converters.gate_on_code
        each = float(self.converters.i_cc(gate))
        return max(1, int(BUFFER_A / each)) if each else 1 << 16

    # -- samples ----------------------------------------------------------------------

    @property
    def spacing(self) -> int:
        """From conversion to conversion within a mean [clock cycles]."""
        return self.cycles.readout + 1

    @property
    def gap(self) -> int:
        """From a gate's closing to the next opening of a sweep, at least [clock cycles]."""
        return gap_cycles(self.cycles.load, max(self.cycles.write), self.cycles.drive)

    def sample_delay(self, width: int, average: int) -> int:
        """From a gate's opening to the first of the conversions that end with it."""
        return width - 2 - ((1 << average) - 1) * self.spacing

    def ranges(self, width: int, average: int) -> list[int]:
        """TIA ranges that have settled before the conversions, the coarsest one first."""
        ohms = self.converters.tia_ohms
        delay = self.sample_delay(width, average)
        fitting = (n for n in range(len(ohms)) if self.cycles.settle[n] <= delay)
        return sorted(fitting, key=lambda n: ohms[n])

    def full_scale(self, tia_range: int) -> float:
        """Of a TIA range [A]."""
        return self.converters.adc_volts_span / self.converters.tia_ohms[tia_range]

    def amperes(self, code: int, tia_range: int) -> float:
        """Column current of a code [A]."""
        return code * self.converters.adc_lsb / self.converters.tia_ohms[tia_range]


def pieces(codes: Sequence[int], most: int) -> Iterator[tuple[int, int, int]]:
    """Staircases ``(start, step, count)``, the step signed, that follow codes one after the other.

    No code is off by more than one or :data:`STEP_TOLERANCE` of its distance from 0 V, none
    is beyond all of ``codes``, and no staircase has more than ``most`` steps.
    """
    lowest, highest = min(codes), max(codes)
    place = 0
    while place < len(codes):
        left = codes[place : place + most]
        best = (0, 1)
        # The longest piece whose steps are as a straight line's through its ends.
        for count in range(2, len(left) + 1):
            step = round((left[count - 1] - left[0]) / (count - 1))
            made = left[0] + step * np.arange(count)
            wanted = np.array(left[:count])
            off = np.maximum(1, STEP_TOLERANCE * np.abs(wanted - ZERO_CODE))
            beyond = (made < lowest) | (made > highest)
            if step == 0 or (beyond | (np.abs(made - wanted) > off)).any():
                break
            best = (step, count)
        yield left[0], best[0] or 1, best[1]
        place += best[1]
