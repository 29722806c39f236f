"""Charging in amperes and seconds: which record makes it, and what is really made.

Plain Python, for whoever writes a ``PULSE`` of the current source. Currents become the
nearest code of the finest range that reaches them, times become clock cycles, and limits
become the last ADC codes inside them; what that makes of the numbers is reported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from ..errors import OhmloomError
from .isa import CYCLE_BITS, Train, pack_pulse
from .stairs import CODES, ZERO_CODE, Pace

SOURCE_OHMS = (1e6, 1e7, 1e8, 1e9)
"""Scaling resistors of the array card's current source, by range (``hw/afe/array_card.py``)."""
JUDGE_CYCLES = 4
"""From the last conversion of a mean to its judgement, beyond the spacing of conversions:
the mean of one column takes three, the comparison one (``docs/gateware.md``)."""
AFTER_CYCLES = 2
"""From the closing of the gate to the first conversion, beyond the settling."""
CODE_MAX = (1 << 15) - 1


class ChargeError(OhmloomError, ValueError):
    """A charge that the controller cannot make."""


@dataclass(frozen=True)
class Charge:
    """A charge or discharge that can be made.

    Attributes
    ----------
    train:
        What :func:`~ohmloom.hw.isa.pack_pulse` takes.
    amperes, error:
        Current that is made [A], below 0 out of the cell, and its relative deviation
        from what was asked for; 0 for a current of 0.
    seconds, rest_seconds:
        Time that it flows, if no limit ends it, and time of the last sample after it [s].
    step_seconds:
        Time from sample to sample [s]: a limit may be passed by what flows in it.
    low_volts, high_volts:
        Limits as they are kept [V].
    """

    train: Train
    amperes: float
    error: float
    seconds: float
    rest_seconds: float
    step_seconds: float
    low_volts: float
    high_volts: float


def source_code(
    amperes: float, ohms: tuple[float, ...] = SOURCE_OHMS, span_volts: float = 10.0
) -> tuple[int, int]:
    """Rail code and range of a current: the finest range that reaches it.

    Raises
    ------
    ChargeError
        If no range does, or it would be less than half a code of the finest one.
    """
    lsb = Fraction(span_volts) / ZERO_CODE
    for index in sorted(range(len(ohms)), key=lambda n: -ohms[n]):
        code = round(Fraction(amperes) * Fraction(ohms[index]) / lsb) + ZERO_CODE
        if amperes and code == ZERO_CODE:
            raise ChargeError(
                f"{amperes:g} A is less than half a step of the finest range, "
                f"{float(lsb) / ohms[index]:.3g} A"
            )
        if 0 <= code < CODES:
            return code, index
    raise ChargeError(
        f"{amperes:g} A is beyond the current source's +-{span_volts / min(ohms):g} A"
    )


def constant_current(
    amperes: float,
    seconds: float,
    clk_hz: int,
    pace: Pace,
    *,
    samples: int = 0,
    rest_seconds: float = 0.0,
    rest_samples: int = 0,
    low_volts: float | None = None,
    high_volts: float | None = None,
    average: int = 0,
    ohms: tuple[float, ...] = SOURCE_OHMS,
    span_volts: float = 10.0,
    adc_volts: float = 10.0,
) -> Charge:
    """A constant current for a time, then a rest, with samples of the voltage.

    Parameters
    ----------
    amperes, seconds:
        Current into the row's side of the cell, and for how long at most [A, s].
    clk_hz, pace:
        Controller clock, and what the front end needs at it. ``pace.gap`` is not used.
    samples:
        Samples while it flows, equally spaced, the last one at the end.
    rest_seconds, rest_samples:
        Time after it with the cell open, and samples in it, the last one at its end.
    low_volts, high_volts:
        A sample that reaches one of them ends the current [V]; without, the ADC's rails.
    average:
        A sample is the mean of ``2**average`` conversions.
    ohms, span_volts, adc_volts:
        Of the source's ranges, of the rail DAC and of the ADC behind the buffer.

    Raises
    ------
    ChargeError
        If the source or the ADC does not reach that far, a limit has no sample to be seen
        in, or there is no time for the samples or too much for a counter.
    """
    code, index = source_code(amperes, ohms, span_volts)
    lsb = Fraction(adc_volts) / (CODE_MAX + 1)
    low = -CODE_MAX - 1 if low_volts is None else math.ceil(Fraction(low_volts) / lsb)
    high = CODE_MAX if high_volts is None else math.floor(Fraction(high_volts) / lsb)
    if not -CODE_MAX - 1 <= low < high <= CODE_MAX:
        raise ChargeError(
            f"limits of {low_volts} V and {high_volts} V: accepted are two in ascending order "
            f"within +-{adc_volts:g} V"
        )
    if not samples and (low_volts is not None or high_volts is not None):
        raise ChargeError("a limit without a sample is never seen")
    width = _cycles(seconds, clk_hz)
    react = pace.spacing + JUDGE_CYCLES if samples else 0
    delay, spacing = _spread(
        "samples", samples << average, width - 2, pace.settle, max(pace.spacing, react + 1)
    )
    rest = _cycles(rest_seconds, clk_hz) if rest_samples else 0
    after_delay, after_spacing = _spread(
        "samples in the rest", rest_samples << average, rest, pace.settle + AFTER_CYCLES,
        pace.spacing + JUDGE_CYCLES,
    )  # fmt: skip
    train = Train(
        rail=code, width=width, inside=samples, delay=delay, spacing=spacing, after=rest_samples,
        after_delay=after_delay, after_spacing=after_spacing, average=average, source=1,
        source_range=index, v_low=low, v_high=high, react=react,
    )  # fmt: skip
    pack_pulse(train)
    made = Fraction(code - ZERO_CODE) * Fraction(span_volts) / ZERO_CODE / Fraction(ohms[index])
    return Charge(
        train=train,
        amperes=float(made),
        error=float(made / Fraction(amperes) - 1) if amperes else 0.0,
        seconds=width / clk_hz,
        rest_seconds=rest / clk_hz,
        step_seconds=(spacing << average) / clk_hz,
        low_volts=float(low * lsb),
        high_volts=float(high * lsb),
    )


def _cycles(seconds: float, clk_hz: int) -> int:
    cycles = round(Fraction(seconds) * clk_hz)
    if not 0 < cycles < 1 << CYCLE_BITS:
        raise ChargeError(
            f"{seconds:g} s are {cycles} cycles at {clk_hz} Hz, accepted are 1..2^{CYCLE_BITS} - 1"
        )
    return cycles


def _spread(
    what: str, conversions: int, last: int, settle: int, spacing_min: int
) -> tuple[int, int]:
    """First conversion and spacing of some that are equally spaced and end at ``last``."""
    if not conversions:
        return 0, 0
    spacing = (last + 2) // conversions
    delay = last - (conversions - 1) * spacing
    if delay < settle or (conversions > 1 and spacing < spacing_min):
        raise ChargeError(
            f"{conversions} conversions of the {what} in {last} cycles: the front end needs "
            f"{settle} to the first one and {spacing_min} from one to the next"
        )
    return delay, spacing
