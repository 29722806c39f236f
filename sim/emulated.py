"""Devices as an emulated array has them, and the tables of its gateware.

``emulate`` makes of a device that is programmed by a compliance current another device, of
the family :mod:`~ohmloom.sim.devices.families.emulated`: everything that works with a device
works with it, and ``emulated_tables`` gives the gateware the same integers.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ..hw.emulated_tables import RANGES, VARIANCE_BITS, EmulatedTables
from .converters import ADC_BITS, ConverterError, Converters
from .devices import Device, DeviceError, build
from .devices.families import emulated, icc_line
from .numerics import normal_table

_ZERO_CODE = 0x8000
_DOUBLINGS = 8
_GATE = "the gate transistor of the emulated array: that of the array card"


def emulate(device: Device, converters: Converters | None = None) -> Device:
    """The device as cells of an emulated array; one that is emulated already as it is.

    Its mode that holds weights is kept, on a grid of 12-bit codes that covers its line.
    It neither drifts nor relaxes, and has that one mode.

    Parameters
    ----------
    device:
        With weights that a compliance current sets (family ``icc_line``).
    converters:
        The gate DAC and transistor; by default those of the array card.

    Raises
    ------
    DeviceError
        If the device is another one, or its line does not fit.
    """
    if device.emulated:
        return device
    mode = device.mode(device.programmable.mode)
    if mode.p.family != icc_line_name():
        raise DeviceError(
            f"{device.name} cannot be emulated: its {mode.name} mode is of the family "
            f"{mode.p.family}, an emulated array has cells whose conductance the compliance "
            "current of a SET gives (icc_line)"
        )
    card = converters or Converters()
    document = copy.deepcopy(device.document())
    section: dict[str, Any] = document["modes"][mode.name]
    for left_out in ("drift", "wears_with", "temperature"):
        section.pop(left_out, None)
    section |= {"family": emulated.NAME, "exact_levels": False}
    section["gate"] = {
        name: {"value": value, "unit": unit, "assumed": _GATE}
        for name, value, unit in (
            ("threshold", card.gate_threshold, "V"),
            ("k", card.gate_k, "A/V^2"),
            ("lsb", card.dac_lsb, "V"),
        )
    }
    document |= {
        "name": f"{emulated.NAME}_{device.name}"[:64],
        "title": f"{device.title}, emulated"[:200],
        "modes": {mode.name: section},
        "transitions": [],
    }
    for doubled in range(_DOUBLINGS):
        section["codes"]["g_lsb"] = {
            "value": device.g_lsb * 2.0**doubled,
            "unit": "S",
            "assumed": "the grid of the device, doubled until 12 bits cover its line",
        }
        try:
            return build(document, f"{device.name}, emulated")
        except DeviceError:
            if doubled == _DOUBLINGS - 1:
                raise
    raise AssertionError


def icc_line_name() -> str:
    """What device entries call the family that can be emulated."""
    return icc_line.__name__.rpartition(".")[2]


def emulated_tables(device: Device, converters: Converters, seed: int) -> EmulatedTables:
    """The integers of an emulated device behind converters.

    Parameters
    ----------
    device:
        What :func:`emulate` has made.
    converters:
        All of their TIA ranges.
    seed:
        Of all draws.

    Raises
    ------
    DeviceError
        If the device is none of an emulated array.
    ConverterError
        If the converters' ADC has not 16 bits.
    """
    if not device.emulated:
        raise DeviceError(f"{device.name} is no device of an emulated array")
    converters.require_card()
    if converters.adc_bits != ADC_BITS:
        raise ConverterError(
            f"an ADC of {converters.adc_bits} bits, an emulated array has {ADC_BITS}"
        )
    p: Any = device.mode(device.programmable.mode).p
    law, pulses = p.law, p.pulses
    codes = np.arange(1 << VARIANCE_BITS) * emulated.VARIANCE_STEP
    gains = []
    for tia_range in range(RANGES):
        try:
            gain = converters.gain(device.g_lsb, device.v_read, tia_range)
        except ConverterError:
            gains.append((0, 0))
        else:
            gains.append((gain.mantissa, gain.shift))
    volts = [converters.dac_volts(code) for code in range(1 << 16)]
    return EmulatedTables(
        seed=seed,
        made=law.made,
        var_exponent=device.var_exponent,
        deviates=tuple(normal_table().tolist()),
        variances=tuple(device.var_codes(codes * device.g_lsb).tolist()),
        gate=_ZERO_CODE + law.gate,
        mean=tuple(law.mean.tolist()),
        spread=tuple(law.spread.tolist()),
        reset_mean=law.reset_mean,
        reset_spread=law.reset_spread,
        rail_set=int(np.searchsorted(volts, pulses.v_set_threshold.value)),
        rail_reset=int(np.searchsorted(volts, pulses.v_reset_threshold.value, "right")) - 1,
        set_s=pulses.set_width_min.value,
        reset_s=pulses.reset_width_min.value,
        rail_read=converters.read_code(device.v_read),
        gains=tuple(gains),
    )
