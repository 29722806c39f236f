"""Where the integers meet volts and amperes: TIA range, level table, pulse widths."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..hw.isa import IsaError, pack_level
from ..sim.converters import ADC_MAX, Converters, Gain
from ..sim.devices import Device
from ..sim.numerics import G_CODE_MAX
from .errors import TargetError

_STUCK_SIGMAS = 8.0  # of one read's noise: the spread of some ten reads


@dataclass(frozen=True)
class AnalogPlan:
    """How a network's conversions are scaled.

    Attributes
    ----------
    tia_range:
        Index of the TIA range, the same for inference and verify.
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
    # Smallest full scale, that is largest feedback resistor, first.
    by_scale = sorted(range(len(converters.tia_ohms)), key=lambda r: -converters.tia_ohms[r])
    if tia_range is not None and tia_range not in by_scale:
        raise TargetError(
            f"TIA range {tia_range} does not exist, 0 to {len(by_scale) - 1} are accepted"
        )
    chosen = by_scale if tia_range is None else [tia_range]
    plans = [_plan(device, converters, number) for number in chosen]
    plan = next((plan for plan in plans if plan.row_limit >= rows), plans[-1])
    if plan.row_limit < 1:
        current = device.levels[-1] * device.v_read
        scale = converters.adc_volts_span / converters.tia_ohms[plan.tia_range]
        raise TargetError(
            f"one {device.name} cell on its top level draws {current:.3g} A at "
            f"{device.v_read:g} V, TIA range {plan.tia_range} takes {scale:.3g} A"
        )
    return plan


def _plan(device: Device, converters: Converters, tia_range: int) -> AnalogPlan:
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


def stuck_codes(device: Device, gain: Gain) -> int:
    """Spread of verify reads within which a cell that has been pulsed is called stuck.

    Eight standard deviations of the averaged noise at full scale, and one code for
    rounding; 0, that is never, where levels are no further apart than that.
    """
    noise = device.read_noise * G_CODE_MAX / math.sqrt(device.verify_conversions)
    spread = math.ceil(_STUCK_SIGMAS * noise * float(gain)) + 1
    return spread if spread < device.level_step * float(gain) else 0


def pulse_cycles(width_s: float, clk_hz: int) -> int:
    """Clock cycles of a pulse that lasts at least ``width_s``."""
    width_ps = round(width_s * 1e12)
    return -(-width_ps * clk_hz // 10**12)
