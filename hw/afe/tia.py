"""The TIA ranges of the array card: resistors, time constants and what a reading is worth.

One feedback network for each range, chosen by the range pins. Every number is of the
card's parts or ``assumed``; :func:`uncertainty` turns them into what a reading in a range
may be off by, and :func:`table` prints that (``docs/array-card.md`` has it, tested).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from . import ad7606c, adgs1414d
from .adc_part import CODE_BITS, AdcPart
from .power import SUPPLY_V, Power

AMPLIFIER_BANDWIDTH_HZ = 2_000_000
"""assumed: closed loop of the TIA's amplifier; the network of ranges 0 and 1 is faster."""
OFFSET_V = 100e-6
"""assumed: offset voltage of a precision FET-input amplifier, at most."""
BIAS_A = 10e-12
"""assumed: its bias current up to 50 degC, at most."""
LEAKAGE_A = 50e-12
"""assumed: of the column's open switch, whose both sides are within a millivolt of 0 V."""
AMPLIFIER_NOISE_V = 8e-9
"""assumed: voltage noise density of the amplifier [V/sqrt(Hz)]."""
AMPLIFIER_POWER = Power(
    watts=1.5e-3 * 2 * SUPPLY_V,
    origin="assumed: 1.5 mA of +-15 V, a precision FET-input amplifier of some megahertz",
)
ADC_GAIN = 0.0008
"""assumed: gain of converter and reference, at most."""
ADC_OFFSET_CODES = 12
"""assumed: offset of the converter over temperature, at most."""
ADC_LINEARITY_CODES = 2
"""assumed: integral nonlinearity, at most."""
KELVIN = 298.15
BOLTZMANN = 1.380649e-23
SETTLE_TAUS = math.log(2 ** (CODE_BITS + 1))
"""Time constants until the remainder of a full-scale step is half an LSB: ln(2^17)."""
VOLTS_PER_CODE = ad7606c.FULL_SCALE_V / (1 << CODE_BITS - 1)
CALIBRATED = 0.0002
"""assumed: of a calibrated gain, the references' tolerance and the drift in between."""
SIGMAS = 4
"""Standard deviations of noise that a limit allows for: 1 reading in 16000 is beyond."""


@dataclass(frozen=True)
class TiaRange:
    """A feedback network.

    Attributes
    ----------
    ohms, farads:
        Resistor and capacitor. assumed: a capacitor below 1 pF cannot be placed.
    tolerance:
        Of the resistor. assumed: thin film up to 500 kohm, thick film above.
    """

    ohms: float
    farads: float
    tolerance: float

    @property
    def amperes(self) -> float:
        """Full scale [A]."""
        return ad7606c.FULL_SCALE_V / self.ohms


RANGES = (
    TiaRange(5e3, 15e-12, 0.001),
    TiaRange(50e3, 1.5e-12, 0.001),
    TiaRange(500e3, 1e-12, 0.001),
    TiaRange(5e6, 1e-12, 0.01),
    TiaRange(50e6, 1e-12, 0.01),
    TiaRange(500e6, 1e-12, 0.02),
)
"""By the number on the range pins, a decade apart: 2 mA to 20 nA."""


def pole_ps(bandwidth_hz: int) -> int:
    """Time constant of a single-pole low-pass, rounded up to a picosecond."""
    return math.ceil(10**12 / (2 * math.pi * bandwidth_hz))


def tau_ps(tia_range: int) -> int:
    """Time constant of a range's TIA: R_f C_f, or the amplifier's where that is slower."""
    network = RANGES[tia_range]
    return max(pole_ps(AMPLIFIER_BANDWIDTH_HZ), round(network.ohms * network.farads * 1e12))


def settle_ps(tia_range: int = 0, adc: AdcPart = ad7606c.PART) -> int:
    """From the switches' clock edge to the sampling edge.

    Turn-on, then ``ln(2^17) * (tau_TIA + tau_ADC)``: the sum of two time
    constants bounds the settling of their cascade. A filter of second order takes
    ``ln(sqrt(2) 2^17)`` of them.
    """
    return adgs1414d.T_ON_PS + math.ceil(adc.settle_taus * (tau_ps(tia_range) + adc.filter_ps))


@dataclass(frozen=True)
class Uncertainty:
    """What a reading of ``2**average`` conversions in a range may be off by.

    Attributes
    ----------
    gain:
        Of the reading, at most.
    offset:
        In codes, at most.
    noise:
        In codes, one standard deviation.
    """

    gain: float
    offset: float
    noise: float

    def codes(self, reading: float) -> float:
        """Codes that a reading of so many codes may be off by: half a code for rounding."""
        return self.gain * abs(reading) + self.offset + SIGMAS * self.noise + 0.5


def noise_codes(tia_range: int, adc: AdcPart = ad7606c.PART) -> float:
    """Of one conversion, rms: of the resistor, the amplifier and the converter.

    ``sqrt(4 k T R_f B + (2 e_n)^2 B)`` over the noise bandwidth ``B = pi/2 f`` of the
    slower one of TIA and ADC filter; 2 is the noise gain at a source of R_f.
    """
    slower = max(tau_ps(tia_range), adc.filter_ps) / 1e12
    bandwidth = 1 / (4 * slower)  # pi/2 / (2 pi tau)
    density = 4 * BOLTZMANN * KELVIN * RANGES[tia_range].ohms + (2 * AMPLIFIER_NOISE_V) ** 2
    return math.hypot(math.sqrt(density * bandwidth) / VOLTS_PER_CODE, adc.noise_codes)


def uncertainty(
    tia_range: int, average: int = 0, source_ohms: float = math.inf, calibrated: bool = False
) -> Uncertainty:
    """What a reading may be off by.

    The parts' limits are added up: they are limits, not distributions. The amplifier's
    offset appears with the gain ``1 + R_f / R_source``; ``calibrated`` leaves what a
    calibration cannot take away.
    """
    network = RANGES[tia_range]
    noise = noise_codes(tia_range) / math.sqrt(1 << average)
    if calibrated:
        return Uncertainty(CALIBRATED, ADC_LINEARITY_CODES + 1, noise)
    volts = OFFSET_V * (1 + network.ohms / source_ohms) + (BIAS_A + LEAKAGE_A) * network.ohms
    offset = volts / VOLTS_PER_CODE + ADC_OFFSET_CODES + ADC_LINEARITY_CODES
    return Uncertainty(network.tolerance + ADC_GAIN, offset, noise)


def table() -> Iterator[str]:
    """The ranges as lines of a table in Markdown."""
    yield "| range | full scale | R_f | C_f | tau | settling | 1 code | noise | off by, at most |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for n, network in enumerate(RANGES):
        found = uncertainty(n)
        cells = (
            str(n),
            _si(network.amperes, "A"),
            _si(network.ohms, "ohm"),
            _si(network.farads, "F"),
            _si(tau_ps(n) / 1e12, "s"),
            _si(settle_ps(n) / 1e12, "s"),
            _si(VOLTS_PER_CODE / network.ohms, "A"),
            _si(found.noise * VOLTS_PER_CODE / network.ohms, "A"),
            f"{100 * found.gain:.2f} % + {_si(found.offset * VOLTS_PER_CODE / network.ohms, 'A')}",
        )
        yield f"| {' | '.join(cells)} |"


def _si(value: float, unit: str) -> str:
    """Three digits and a prefix."""
    for exponent, prefix in ((6, "M"), (3, "k"), (0, ""), (-3, "m"), (-6, "u"), (-9, "n")):
        if value >= 0.9995 * 10.0**exponent:
            return f"{float(f'{value:.3g}') / 10.0**exponent:.3g} {prefix}{unit}"
    return f"{value * 1e12:.3g} p{unit}"
