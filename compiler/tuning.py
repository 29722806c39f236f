"""Cells on any conductances: programs that write-verify tiles to targets, not to levels.

A network's weights use the levels of the device. Whoever wants a conductance of their
own for each cell, over the same window, takes this image: its ``program/T`` entries
take targets, and the controller computes I_cc from the device's line.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..hw.geometry import Geometry
from ..hw.image import Image, Span
from ..hw.isa import Dac, Op, Reg, instruction
from ..sim.converters import Converters, Gain
from ..sim.devices import Device
from ..sim.numerics import IntArray
from .analog import (
    cells_together,
    endurance_cycles,
    line_words,
    plan_reads,
    pulse_cycles,
    stuck_spread,
)
from .errors import TargetError
from .profile import make_profile

LINE_ADDRESS = 1
"""Parameter address of the line; 0 says that there is none."""
HALF_WINDOW = 0.0094
"""Of a read, as a fraction of the levels' window: with :data:`CONVERSIONS` what is accepted
is within one percent of it, the noise of a read included. A wider one lets the noise take
cells out, a narrower one leaves more that do not converge (``bench/write_verify.py``)."""
CONVERSIONS = 1024
TRIES = 10


def target_codes(g: ArrayLike, device: Device, gain: Gain) -> IntArray:
    """Targets [ADC codes] of conductances ``g`` [S] inside the levels' window.

    Raises
    ------
    TargetError
        If a conductance is outside the window.
    """
    wanted = np.asarray(g, dtype=np.float64)
    low, high = float(device.levels[0]), float(device.levels[-1])
    if not ((wanted >= low) & (wanted <= high)).all():
        raise TargetError(
            f"targets from {wanted.min():.4g} to {wanted.max():.4g} S: the window of "
            f"{device.name} is {low:.4g} to {high:.4g} S"
        )
    return np.rint(wanted / device.g_lsb * float(gain)).astype(np.int64)


def target_image(
    device: Device,
    converters: Converters,
    geometry: Geometry,
    clk_hz: int,
    *,
    half_window: float = HALF_WINDOW,
    conversions: int = CONVERSIONS,
    tries: int = TRIES,
    tia_range: int | None = None,
) -> tuple[Image, Gain]:
    """An image that programs every tile of a geometry to targets, and the gain of its reads.

    Parameters
    ----------
    device, converters, geometry, clk_hz:
        What it is for.
    half_window:
        Half width of the accepted window, as a fraction of the levels' window.
    conversions:
        Averaged for a verify read; a power of two.
    tries:
        Attempts per cell.
    tia_range:
        TIA range of the reads; without, the smallest that a cell of the top level fits.

    Raises
    ------
    TargetError
        If the controller takes no targets, the device has no line, or the conversions
        are no power of two that is averaged.
    """
    if not geometry.line:
        raise TargetError("this controller takes levels only (Geometry.line)")
    if conversions not in [1 << n for n in range(16)]:
        raise TargetError(f"{conversions} conversions: accepted are powers of two to {1 << 15}")
    plan = plan_reads(device, converters, tia_range)
    words = [0] * LINE_ADDRESS + line_words(device, converters, plan.gain, half_window)
    if len(words) > geometry.param_depth:
        raise TargetError(
            f"the line needs {len(words)} words of parameter memory, "
            f"the target has {geometry.param_depth}"
        )
    registers = {
        Reg.LINE: LINE_ADDRESS,
        Reg.TRIES: tries,
        Reg.AVERAGE: conversions.bit_length() - 1,
        Reg.STUCK: stuck_spread(device, plan.gain, conversions),
        Reg.TOGETHER: cells_together(device, geometry.columns),
        Reg.SET_CYCLES: pulse_cycles(device.set_width_s, clk_hz),
        Reg.RESET_CYCLES: pulse_cycles(device.reset_width_s, clk_hz),
        Reg.RAIL_SET: converters.dac_code(device.v_set),
        Reg.RAIL_RESET: converters.dac_code(device.v_reset),
        Reg.TIA_RANGE: plan.tia_range,
    }
    if geometry.wear:
        registers[Reg.ENDURANCE] = endurance_cycles(device)
    profile = make_profile(device, converters, clk_hz).without_ways()
    mode = device.mode_index(device.programmable.mode)
    code = [
        instruction(Op.ADOPT),
        instruction(Op.DAC, channel=Dac.RAIL_A, code=converters.read_code(device.v_read)),
        instruction(Op.DAC, channel=Dac.GATE_ON, code=converters.gate_on_code),
        *(instruction(Op.SET, reg=reg, value=value) for reg, value in registers.items()),
        instruction(Op.HALT),
    ]
    entries = {"setup": 0, "infer": len(code) - 1}
    for op, name in ((Op.PROGRAM, "program"), (Op.READ, "read")):
        for tile in range(geometry.tiles):
            entries[f"{name}/{tile}"] = len(code)
            code += [
                instruction(Op.RESTORE, tile=tile, mode=mode),
                instruction(op, tile=tile, cell=0, count=geometry.cells),
                instruction(Op.HALT),
            ]
    if len(code) > geometry.program_depth:
        raise TargetError(
            f"{geometry.tiles} tiles need {len(code)} words of program memory, "
            f"the target has {geometry.program_depth}"
        )
    image = Image(
        geometry=geometry,
        code=tuple(code),
        entries=entries,
        params=np.array(words, np.uint64),
        tiles=geometry.tiles,
        input=Span(0, 1),
        layers=(),
        profile=profile.words,
    )
    return image, plan.gain
