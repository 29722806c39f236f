"""Family ``emulated``: what an FPGA makes of an ``icc_line`` mode, in integers.

The parameters are those of the mode that is emulated, and of the gate transistor. The law
is in :class:`Law`; the gateware has the same tables (``docs/numerics.md``, "The emulated
array"). A cell's name in a draw is its word: its code, and above it the last bits of its
count of SETs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...numerics import Domain, FloatArray, IntArray, draw_normal
from ..draws import Draws
from ..errors import DeviceError
from ..family import Programming, Stress, Window
from ..levels import variance_exponent
from ..schema import POSITIVE, ModeSection, Quantity, Section, unit
from ..state import CellState
from ..wear import count
from . import icc_line

RELAXES = False

NAME = "emulated"
CODE_BITS = 12
"""Of a conductance code."""
COUNT_BITS = 4
"""Of a count of SETs."""
POINT_BITS = 7
"""Gate codes from one point of the SET line to the next, as a power of two."""
SEGMENTS_MAX = 63
FRACTION_BITS = 4
"""Of a mean and a spread, below a code."""
VARIANCE_STEP = 16
"""Codes that have a variance in common."""
NUMBER_MASK = (1 << 16) - 1
"""Of the number of a conversion within its read."""
_DEVIATE_BITS = 12
_MAX_SIGMA = 6.4  # the largest deviate of the normal table
_LN10 = 2.302585092994046
_CODE_MAX = (1 << CODE_BITS) - 1


class Gate(Section):
    """The transistor of a cell, I_cc = k (V - threshold)^2, and the steps of its gate's DAC."""

    threshold: Annotated[Quantity, unit("V"), POSITIVE]
    k: Annotated[Quantity, unit("A/V^2"), POSITIVE]
    lsb: Annotated[Quantity, unit("V"), POSITIVE]


@dataclass(frozen=True)
class Law:
    """A mode's integers.

    Attributes
    ----------
    gate:
        Steps of the gate DAC, from 0 V, of the first point of the line.
    mean, spread:
        At the points, and in the segments between them (see
        :class:`~ohmloom.hw.emulated_tables.EmulatedTables`), int64.
    reset_mean, reset_spread, made:
        After a RESET, and the code of a cell as made.
    """

    gate: int
    mean: IntArray
    spread: IntArray
    reset_mean: int
    reset_spread: int
    made: int


class Parameters(icc_line.Parameters):
    """The sections of a mode of this family."""

    gate: Gate

    @cached_property
    def law(self) -> Law:
        """Its integers.

        Raises
        ------
        DeviceError
            If they do not fit the emulated array.
        """
        return _law(self)


def _law(p: Parameters) -> Law:
    g_lsb, one = _g_lsb(p), float(1 << FRACTION_BITS)
    fine = one * float(1 << exponent(p))
    first, points = gates(p)
    currents = _i_cc(p, points)
    mean = np.rint(np.maximum(icc_line.mean(p, currents), 0.0) / g_lsb * one)
    middle = (currents[1:] + currents[:-1]) * 0.5
    spread = np.rint(icc_line.sigma(p, middle) / g_lsb * fine).astype(np.int64)
    hrs = p.hrs.conductance.value / g_lsb
    made = Law(
        gate=first,
        # With half a code more, so that what is above the point is rounded.
        mean=mean.astype(np.int64) + (1 << FRACTION_BITS - 1),
        spread=spread,
        reset_mean=round(hrs * one) + (1 << FRACTION_BITS - 1),
        reset_spread=round(hrs * _LN10 * p.hrs.spread.value * fine),
        made=round(hrs),
    )
    reach = int(made.mean[-1]) + _MAX_SIGMA * float(spread[-1]) * one / fine
    if reach >= (_CODE_MAX + 1) * one or made.reset_mean >= (_CODE_MAX + 1) * one:
        raise DeviceError(
            f"codes.g_lsb = {g_lsb:g} S covers {_CODE_MAX * g_lsb:.4g} S in an emulated array, "
            f"the line reaches {reach / one * g_lsb:.4g} S"
        )
    return made


def gates(p: Parameters) -> tuple[int, IntArray]:
    """Steps of the gate DAC of the line's first point, and of all points.

    Raises
    ------
    DeviceError
        If there are too many.
    """
    step = 1 << POINT_BITS
    low, high = (_gate(p, i.value) for i in (p.line.i_cc_min, p.line.i_cc_max))
    first = int(low) // step
    segments = -(-int(high + 1) // step) - first
    if segments > SEGMENTS_MAX:
        raise DeviceError(
            f"line.i_cc_min..i_cc_max is {segments} times {step} steps of the gate DAC, an "
            f"emulated array takes {SEGMENTS_MAX}"
        )
    return first * step, step * (first + np.arange(segments + 1, dtype=np.int64))


def _gate(p: Parameters, i_cc: ArrayLike) -> IntArray:
    """Steps of the gate DAC from 0 V that give a compliance current [A]."""
    volts = p.gate.threshold.value + np.sqrt(np.asarray(i_cc) / p.gate.k.value)
    return np.rint(volts / p.gate.lsb.value).astype(np.int64)


def _i_cc(p: Parameters, steps: IntArray) -> FloatArray:
    over = np.maximum(steps * p.gate.lsb.value - p.gate.threshold.value, 0.0)
    return p.gate.k.value * (over * over)


def _g_lsb(p: ModeSection) -> float:
    if p.codes is None:
        raise DeviceError("an emulated array is of a mode that holds weights")
    return p.codes.g_lsb.value


def exponent(p: ModeSection) -> int:
    """Scale of the variances of a mode."""
    return variance_exponent(p.read.noise.value)


def word(code: ArrayLike, cycles: ArrayLike) -> IntArray:
    """Words of cells with these codes and counts of SETs."""
    kept = np.asarray(cycles).astype(np.int64) & (1 << COUNT_BITS) - 1
    return np.asarray(code, np.int64) | kept << CODE_BITS


def coarse(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The codes whose variances those of cells with ``codes`` are."""
    return np.floor(np.rint(codes) / VARIANCE_STEP) * VARIANCE_STEP + VARIANCE_STEP // 2


# -- the family -----------------------------------------------------------------------


def pristine(p: Parameters, draws: Draws, shape: tuple[int, ...]) -> CellState:
    """Cells as made: all have the same high-resistance state."""
    return enter(p, CellState.blank(shape), draws)


def enter(p: Parameters, state: CellState, draws: Draws) -> CellState:
    """The state as made."""
    zero = np.zeros(state.shape)
    return state.with_(g=np.full(state.shape, p.law.made * _g_lsb(p)), w=zero, s=zero, q=zero)


def refuse(p: Parameters, state: CellState, stress: Stress) -> None:
    """Raise for what :mod:`.icc_line` refuses, and for sweeps.

    Raises
    ------
    DeviceError
        If a current inside a pulse is asked for.
    """
    if stress.quasi_static:
        raise DeviceError("an emulated array has no currents inside a pulse, and no sweeps")
    icc_line.refuse(p, state, stress)


def drive(p: Parameters, state: CellState, stress: Stress, draws: Draws) -> CellState:
    """The cells after a pulse: one draw for each that it SETs or RESETs."""
    sets, resets = icc_line.switching(p, stress)
    moved = sets | resets
    if not moved.any():
        return state
    known, g_lsb = p.law, _g_lsb(p)
    code = np.rint(state.g[moved] / g_lsb)
    words = word(code, state.cycles[moved])
    z = draw_normal(draws.seed, Domain.PULSE, draws.cells[moved], words, 0)
    point = _DEVIATE_BITS + exponent(p)
    value = np.full(z.shape, known.reset_mean << point) + z * known.reset_spread
    here = sets[moved]
    if here.any():
        gate = _gate(p, stress.i_cc[sets]) - known.gate
        segment, part = gate >> POINT_BITS, gate & (1 << POINT_BITS) - 1
        rise = known.mean[segment + 1] - known.mean[segment]
        mean = (known.mean[segment] << point) + (rise * part << point - POINT_BITS)
        value[here] = mean + z[here] * known.spread[segment]
    g, w = state.g.copy(), state.w.copy()
    g[moved] = np.clip(value >> point + FRACTION_BITS, 0, _CODE_MAX) * g_lsb
    w[moved] = here
    return count(p.wear, state.with_(g=g, w=w), stress, sets)


def flowing(p: Parameters, before: CellState, after: CellState, stress: Stress) -> FloatArray:
    """No current: :func:`refuse` has refused what asks for one."""
    return np.zeros(before.shape)


def relax(p: Parameters, state: CellState, seconds: FloatArray) -> CellState:
    """The cells as they are."""
    return state


def current(
    p: Parameters, state: CellState, volts: FloatArray, temperature_k: FloatArray
) -> FloatArray:
    """Ohmic current [A]."""
    return icc_line.current(p, state, volts, temperature_k)


def window(p: Parameters) -> Window:
    """The pulses that are used, and the range of the line."""
    return icc_line.window(p)


def programming(p: Parameters, levels: FloatArray) -> Programming:
    """The pulses for levels, each with the I_cc that the line gives it.

    Raises
    ------
    DeviceError
        If a level needs an I_cc outside the line's range, or the integers do not fit.
    """
    _ = p.law
    return icc_line.programming(p, levels)
