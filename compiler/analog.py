"""Where the integers meet volts and amperes: TIA range, level table, pulse widths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..hw.isa import SEGMENTS, IsaError, pack_level, unpack_level
from ..hw.line import (
    FRACTION_BITS,
    GATE_FRACTION_BITS,
    I_CC_BITS,
    PRODUCT_SHIFT,
    Line,
    Piece,
    pack_line,
)
from ..sim.converters import ADC_BITS, ADC_MAX, Converters, Gain
from ..sim.devices import REFERENCE_K, Device
from ..sim.numerics import G_CODE_MAX
from .errors import TargetError

MVM_RANGES = 3
"""TIA ranges that are chosen for a network: they settle in 15 us at most (see
``docs/array-card.md``). A user may ask for another."""
RAIL_AMPERES = 50e-3
"""What rail B gives a row [A]; assumed: a unity-gain buffer behind the AD5754R, as a
cell of 45 ohm alone needs."""
GATE_ERROR = 1.0
"""Largest distance of a computed gate code from the card's table, rounding included."""
_STUCK_SIGMAS = 8.0  # of one read's noise: the spread of some ten reads
_FIT_POINTS = 65  # of each piece of the card's table


@dataclass(frozen=True)
class AnalogPlan:
    """How conversions are scaled.

    Attributes
    ----------
    tia_range:
        Index of the TIA range.
    gain:
        ADC codes per conductance code.
    row_limit:
        Rows that may be driven at once without leaving the range.
    codes_per_weight:
        ADC codes of one weight step on one driven row.
    """

    tia_range: int
    gain: Gain
    row_limit: int
    codes_per_weight: float


def plan_analog(
    device: Device, converters: Converters, rows: int, tia_range: int | None
) -> AnalogPlan:
    """Choose the TIA range for at most ``rows`` driven rows.

    Without a wish, the smallest range that all rows fit into at the top level
    and its verify window; where none does, the largest one, in row groups.

    Raises
    ------
    TargetError
        If the range does not exist or one cell alone exceeds it.
    """
    # More sensitive ranges than these are for single reads: their settling would be the
    # plane period.
    return _plan(device, converters, rows, tia_range, MVM_RANGES)


def plan_reads(device: Device, converters: Converters, tia_range: int | None) -> AnalogPlan:
    """Choose the TIA range for reads of single cells: the smallest of all that one fits into.

    Raises
    ------
    TargetError
        As :func:`plan_analog`.
    """
    return _plan(device, converters, 1, tia_range, len(converters.tia_ohms))


def _plan(
    device: Device, converters: Converters, rows: int, tia_range: int | None, ranges: int
) -> AnalogPlan:
    # Largest full scale, that is smallest feedback resistor, first.
    by_scale = sorted(range(len(converters.tia_ohms)), key=lambda r: converters.tia_ohms[r])
    if tia_range is not None and tia_range not in by_scale:
        raise TargetError(
            f"TIA range {tia_range} does not exist, 0 to {len(by_scale) - 1} are accepted"
        )
    chosen = [n for n in by_scale if n < ranges] if tia_range is None else [tia_range]
    plan = analog_plan(device, converters, chosen[0])
    for number in chosen[1:]:
        finer = analog_plan(device, converters, number)
        if finer.row_limit < rows:
            break
        plan = finer
    if plan.row_limit < 1:
        current = device.levels[-1] * device.v_read
        scale = converters.adc_volts_span / converters.tia_ohms[plan.tia_range]
        raise TargetError(
            f"one {device.name} cell on its top level draws {current:.3g} A at "
            f"{device.v_read:g} V, TIA range {plan.tia_range} takes {scale:.3g} A"
        )
    return plan


def analog_plan(device: Device, converters: Converters, tia_range: int) -> AnalogPlan:
    """A TIA range, and the rows that fit into it at the top level and its verify window."""
    gain = converters.gain(device.g_lsb, device.v_read, tia_range)
    top = device.level_codes[-1] + device.verify_window * device.level_step
    limit = math.floor(ADC_MAX / (float(top) * float(gain)))
    return AnalogPlan(tia_range, gain, limit, device.level_step * float(gain))


def level_words(device: Device, converters: Converters, gain: Gain) -> list[int]:
    """Parameter words of the level table: gate code and verify window in ADC codes.

    Windows include their lower edge and not their upper one, so neighbours that
    touch share no code.

    Raises
    ------
    TargetError
        If a level's own code is outside its window: the range is too coarse.
    """
    gates = np.zeros(len(device.level_codes), dtype=np.int64)  # where none limits the current
    if device.pulses is None:
        gates = converters.gate_code(device.level_i_cc)
    half = device.verify_window * device.level_step
    words = []
    for level, (gate, code) in enumerate(zip(gates, device.level_codes, strict=True)):
        low = math.ceil((code - half) * float(gain))
        high = math.ceil((code + half) * float(gain)) - 1
        if not low <= round(code * float(gain)) <= high:
            raise TargetError(
                f"{device.name} levels are {device.level_step * float(gain):.3g} ADC codes apart "
                f"in this TIA range, too few to verify level {level}"
            )
        try:
            words.append(pack_level(int(gate), low, high))
        except IsaError as error:
            raise TargetError(f"{device.name} level {level} has no table entry: {error}") from error
    return words


def check_windows(device: Device, converters: Converters, words: Sequence[int]) -> None:
    """Whether the converter gives a code inside every window of a level table.

    Where it does not, no read says that a cell is on its level: write-verify would wear the
    cell and find nothing.

    Raises
    ------
    TargetError
        If there is a window without one.
    """
    step = 1 << ADC_BITS - converters.adc_bits
    for level, word in enumerate(words):
        _, low, high = unpack_level(word)
        if high // step * step < low:
            raise TargetError(
                f"{device.name} level {level} is verified by ADC codes {low} to {high}, of which "
                f"{converters.adc_bits} bits give none"
            )


def device_line(device: Device, converters: Converters, gain: Gain, half_window: float) -> Line:
    """The device's line and the card's table, for targets over the levels' whole window.

    Parameters
    ----------
    device, converters, gain:
        The device, whose levels lie on the line; the card; ADC codes per conductance
        code of the verify read.
    half_window:
        Half width of the window of a read, as a fraction of the levels' window.

    Raises
    ------
    TargetError
        If the levels' compliance currents lie on no line, the window is less than one
        ADC code, or the card's table is not within :data:`GATE_ERROR` of straight pieces.
    """
    codes = device.level_codes * float(gain)
    slope = float(device.level_i_cc[-1] - device.level_i_cc[0]) / float(codes[-1] - codes[0])

    def i_cc(code: np.ndarray) -> np.ndarray:
        return device.level_i_cc[0] + slope * (code - codes[0])

    if not np.allclose(i_cc(codes), device.level_i_cc, rtol=1e-9, atol=0.0):
        raise TargetError(f"{device.name}: the compliance currents of its levels lie on no line")
    low, high = math.ceil(codes[0]), math.floor(codes[-1])
    half = math.floor(half_window * float(codes[-1] - codes[0]))
    if half < 1:
        raise TargetError(
            f"{device.name}: a window of +-{half_window:g} of {codes[-1] - codes[0]:.3g} ADC "
            "codes in this TIA range is less than a code"
        )
    top = (1 << I_CC_BITS) - 1
    mantissa = min((top << PRODUCT_SHIFT) // (high - low), (1 << 24) - 1)
    highest = ((high - low) * mantissa + (1 << PRODUCT_SHIFT - 1)) >> PRODUCT_SHIFT

    table = converters.i_cc(np.arange(1 << 16))
    conducts = max(int(np.searchsorted(table, 0.0, side="right")) - 1, 0)
    numbers = np.arange(conducts, 1 << 16)

    def gate(code: np.ndarray) -> np.ndarray:
        """Gate code, with its fraction, for I_cc codes."""
        target = low + np.minimum(code, highest) * float(1 << PRODUCT_SHIFT) / mantissa
        return np.interp(i_cc(target), table[conducts:], numbers)

    pieces = []
    for number in range(SEGMENTS):
        at = np.linspace(0.0, 1.0, _FIT_POINTS)
        exact = gate((number + at) * (1 << FRACTION_BITS))
        rise = float(exact[-1] - exact[0])
        off = exact - exact[0] - rise * at
        begin = float(exact[0]) + float(off.max() + off.min()) / 2
        unit = 1 << GATE_FRACTION_BITS
        pieces.append(Piece(round(begin * unit), round(rise * unit)))
    line = Line(-low, mantissa, half, 0, highest, tuple(pieces))
    targets = np.arange(low, high + 1)
    exact = np.interp(i_cc(targets), table[conducts:], numbers)
    found = np.array([line.gate_code(target) for target in targets.tolist()])
    worst = float(np.abs(found - exact).max())
    if worst > GATE_ERROR:
        raise TargetError(
            f"{device.name}: in {SEGMENTS} pieces the card's table is off by {worst:.2f} gate "
            f"codes, accepted is {GATE_ERROR:g}"
        )
    return line


def line_words(device: Device, converters: Converters, gain: Gain, half_window: float) -> list[int]:
    """Parameter words of :func:`device_line`."""
    try:
        return pack_line(device_line(device, converters, gain, half_window))
    except IsaError as error:
        raise TargetError(f"{device.name} has no line for this card: {error}") from error


def endurance_cycles(device: Device) -> int:
    """Cycles that a cell is good for where it holds weights; 0 where no limit is known."""
    cycles = device.mode(device.programmable.mode).endurance(REFERENCE_K)
    return min(math.floor(cycles), (1 << 31) - 1) if math.isfinite(cycles) else 0


def cells_together(device: Device, columns: int) -> int:
    """Cells of a row that rail B can RESET at once, each of the largest conductance coded."""
    each = abs(device.v_reset) * device.g_lsb * G_CODE_MAX
    return min(max(math.floor(RAIL_AMPERES / each), 1), columns)


def stuck_codes(device: Device, gain: Gain) -> int:
    """Spread of verify reads within which a cell that has been pulsed is called stuck.

    That of :func:`stuck_spread`; 0, that is never, where levels are no further apart.
    """
    spread = stuck_spread(device, gain, device.verify_conversions)
    return spread if spread < device.level_step * float(gain) else 0


def stuck_spread(device: Device, gain: Gain, conversions: int) -> int:
    """Spread of the means of ``conversions`` reads of a cell that does not move, ADC codes.

    Eight standard deviations of their noise at full scale, and one code for rounding.
    """
    noise = device.read_noise * G_CODE_MAX / math.sqrt(conversions)
    return math.ceil(_STUCK_SIGMAS * noise * float(gain)) + 1


def pulse_cycles(width_s: float, clk_hz: int) -> int:
    """Clock cycles of a pulse that lasts at least ``width_s``."""
    width_ps = round(width_s * 1e12)
    return -(-width_ps * clk_hz // 10**12)
