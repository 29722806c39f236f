"""Which TIA range each matrix is converted in: the finest that its own currents fit into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..sim.converters import ADC_MAX, Converters
from ..sim.devices import Device
from .analog import MVM_RANGES, AnalogPlan, analog_plan, plan_analog
from .cells import Cells
from .graph import Network
from .layers import Block, Matrix
from .mapping import Placement
from .quantise import QuantisedBlock

DRAWS = 64
"""Positions at which the currents of a matrix are looked at."""
HEADROOM = 1.5
"""Largest current that is provided for, over the largest one seen."""
Which = tuple[int, int]
"""A matrix: its layer, and which of the layer's it is."""


def choose_ranges(
    network: Network,
    memory: np.ndarray,
    blocks: Sequence[QuantisedBlock],
    cells: Cells,
    device: Device,
    converters: Converters,
    tia_range: int | None,
) -> dict[Which, AnalogPlan]:
    """How each matrix is converted.

    With a wish it is the same for all of them. Otherwise a matrix goes into the finest
    range in which all rows of each of its tiles at once give at most ``ADC_MAX / HEADROOM``
    on calibration samples; where there is none, into the largest range, in groups of rows
    that fit into it whatever they hold.

    Parameters
    ----------
    memory:
        Every value on calibration samples, of :meth:`Network.memory`.
    cells:
        Levels and places of the weights.
    tia_range:
        The wish.
    """
    rows = max((p.inputs for p in cells.placements), default=1)
    worst = plan_analog(device, converters, rows, tia_range)
    plans = {(block.layer, block.block): worst for block in blocks}
    if tia_range is not None:
        return plans
    fine = [
        replace(plan, row_limit=max(plan.row_limit, rows))
        for number in reversed(range(min(MVM_RANGES, len(converters.tia_ohms))))
        if float((plan := analog_plan(device, converters, number)).gain) > float(worst.gain)
    ]
    for quantised in blocks:
        which = quantised.layer, quantised.block
        layer = network.layers[quantised.layer]
        assert isinstance(layer, Matrix)
        held = network.holders[quantised.layer], quantised.block
        own = [p for p in cells.placements if (p.layer, p.block) == held]
        bits = _bits(memory, layer.blocks[quantised.block], quantised)
        peak = max(_peak(bits, p, cells, device) for p in own)
        fitting = (plan for plan in fine if peak * float(plan.gain) * HEADROOM <= ADC_MAX)
        plans[which] = next(fitting, worst)
    return plans


def _bits(memory: np.ndarray, block: Block, quantised: QuantisedBlock) -> np.ndarray:
    """Rows that are driven, float64 (planes * draws, inputs), at positions drawn evenly."""
    total = len(memory) * block.positions
    places = np.unique(np.linspace(0, total - 1, DRAWS).astype(int))
    sample, position = np.divmod(places, block.positions)
    values = memory[sample[:, np.newaxis], block.source.at(position)]
    drives = quantised.input.quantise(values)
    planes = np.arange(quantised.input.planes).reshape(-1, 1, 1)
    return (drives >> planes & 1).reshape(-1, block.inputs).astype(np.float64)


def _peak(bits: np.ndarray, p: Placement, cells: Cells, device: Device) -> float:
    """Largest sum of a column's conductance codes in a tile."""
    part = np.s_[p.tile, p.first_row : p.first_row + p.inputs, : 2 * p.outputs]
    codes = device.level_codes[cells.levels[part]].astype(np.float64)
    if cells.stuck is not None:
        at = device.level_codes[0] + cells.stuck[part] * device.level_step
        codes = np.where(np.isnan(at), codes, at)
    return float((bits[:, p.first_input : p.first_input + p.inputs] @ codes).max())
