"""Sweeps in volts per second: which codes and cycles make them, and what is really made.

Plain Python, for whoever writes a ``SWEEP``. The rate of a staircase is ``step`` codes
an ``interval``; both are integers, so it is exact but for the rounding of the interval,
which is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..errors import OhmloomError
from .isa import CYCLE_BITS, Staircase

ZERO_CODE = 0x8000
"""DAC code of 0 V (offset binary)."""
CODES = 1 << 16
STEP_MAX = CODES - 1
LOOK_CYCLES = 6
"""Of finding whether a sweep has a next step, while its lines settle (``hw/pulse.py``)."""


class StairsError(OhmloomError, ValueError):
    """A sweep that the controller cannot make."""


@dataclass(frozen=True)
class Pace:
    """What a front end needs within a step, in clock cycles (``docs/gateware.md``).

    Attributes
    ----------
    gap:
        Gate closed between two steps, at least: :func:`gap_cycles`.
    settle:
        From the gate's opening to the first conversion, at least.
    spacing:
        From conversion to conversion within a mean, at least.
    """

    gap: int
    settle: int
    spacing: int


def gap_cycles(load: int, shift: int, drive: int) -> int:
    """Shortest time between two steps of a sweep with the gate closed.

    Parameters
    ----------
    load, shift, drive:
        Cycles of a switch update, of a DAC write, and of the slower of DAC and switch
        settling, in which the next step is found too.
    """
    return max(load + 4, shift + 1) + max(drive, LOOK_CYCLES + 1) + 2


@dataclass(frozen=True)
class Ramp:
    """A sweep that can be made.

    Attributes
    ----------
    stairs:
        What :func:`~ohmloom.hw.isa.pack_sweep` takes.
    start_volts, stop_volts, step_volts:
        Voltages of its codes [V].
    rate_v_s, error:
        Rate that is made [V/s], and its relative deviation from what was asked for.
    """

    stairs: Staircase
    start_volts: float
    stop_volts: float
    step_volts: float
    rate_v_s: float
    error: float


def ramp(
    start_volts: float,
    stop_volts: float,
    rate_v_s: float,
    clk_hz: int,
    pace: Pace,
    *,
    step_volts: float | None = None,
    both: bool = True,
    gate: int = 0,
    limit: int = 0,
    average: int = 0,
    span_volts: float = 10.0,
) -> Ramp:
    """Codes and cycles of a sweep at ``rate_v_s``.

    The conversions of a step are its last ones, so that a sample is the current at the
    end of the step.

    Parameters
    ----------
    start_volts, stop_volts, rate_v_s:
        From where to where and how fast, the rate above 0 [V, V/s]. Voltages become the
        nearest codes; the last step is the last whole one before ``stop_volts``.
    clk_hz, pace:
        Controller clock, and what the front end needs at it.
    step_volts:
        Height of a step [V], nearest code and at least one; without, the finest that
        the front end has time for.
    both, gate, limit, average:
        As of :class:`~ohmloom.hw.isa.Staircase`.
    span_volts:
        The rail DAC gives -span .. span [V].

    Raises
    ------
    StairsError
        If the DAC does not reach that far, the rate is not above 0, the front end has
        no time for a step at it, or a step takes more cycles than a time can have.
    """
    lsb = Fraction(span_volts) / ZERO_CODE
    ends = []
    for volts in (start_volts, stop_volts):
        code = round(Fraction(volts) / lsb) + ZERO_CODE
        if not 0 <= code < CODES:
            raise StairsError(f"{volts:g} V is outside the rail's +-{span_volts:g} V")
        ends.append(code)
    start, stop = ends
    if rate_v_s <= 0 or clk_hz < 1:
        raise StairsError(f"{rate_v_s:g} V/s at {clk_hz} Hz: accepted are numbers above 0")

    def interval_of(step: int) -> int:
        return round(step * lsb * clk_hz / Fraction(rate_v_s))

    reading = ((1 << average) - 1) * pace.spacing
    shortest = pace.gap + pace.settle + reading + 2
    if step_volts is None:
        step = max(1, -(-(2 * shortest - 1) * Fraction(rate_v_s) // (2 * lsb * clk_hz)))
        while interval_of(step) < shortest:
            step += 1
    else:
        step = max(1, round(Fraction(abs(step_volts)) / lsb))
    interval = interval_of(step) if step <= STEP_MAX else 0
    if interval < shortest:
        raise StairsError(
            f"{rate_v_s:g} V/s in steps of {float(step * lsb):g} V leaves {interval} cycles a "
            f"step at {clk_hz} Hz, the front end needs {shortest}"
        )
    if interval >= 1 << CYCLE_BITS:
        raise StairsError(f"a step of {interval} cycles does not fit {CYCLE_BITS} bits")
    sign = 1 if stop >= start else -1
    stop = start + sign * (abs(stop - start) // step * step)
    width = interval - pace.gap
    stairs = Staircase(
        start, stop, step, width, interval, gate=gate, limit=limit, both=both,
        delay=width - 2 - reading, spacing=pace.spacing, average=average,
    )  # fmt: skip
    rate = step * lsb * clk_hz / interval
    return Ramp(
        stairs=stairs,
        start_volts=float((start - ZERO_CODE) * lsb),
        stop_volts=float((stop - ZERO_CODE) * lsb),
        step_volts=float(step * lsb),
        rate_v_s=float(rate),
        error=float(rate / Fraction(rate_v_s) - 1),
    )
