"""Which TIA range each matrix is converted in: the finest that its own currents fit into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..sim.converters import ADC_MAX, Converters
from ..sim.devices import Device
from ..sim.engine.digits import digits_of
from .analog import MVM_RANGES, AnalogPlan, analog_plan, plan_analog
from .cells import Cells
from .encoding import Encoding
from .graph import Network
from .mapping import Placement, by_matrix, row_groups
from .options import Options
from .quantise import QuantisedBlock
from .seen import Seen, Which

HEADROOM = 1.5
"""Largest current that is provided for, over the largest one seen."""


def choose_ranges(
    network: Network,
    seen: Seen,
    blocks: Sequence[QuantisedBlock],
    cells: Cells,
    encodings: Mapping[int, Encoding],
    device: Device,
    converters: Converters,
    options: Options,
) -> dict[Which, AnalogPlan]:
    """How each matrix is converted.

    With a wish, for all or for a layer, as that says. Otherwise a matrix goes into the finest
    range in which all rows of each of its tiles at once give at most ``ADC_MAX / HEADROOM``
    on calibration samples; where there is none, into the largest range, in groups of rows
    that fit into it whatever they hold.

    Parameters
    ----------
    seen:
        On calibration samples.
    cells:
        Levels and places of the weights.
    encodings:
        How they lie in cells, by layer.
    options:
        The wishes.
    """
    rows = max((p.inputs for p in cells.placements), default=1)
    worst = plan_analog(device, converters, rows, options.tia_range)
    plans = {(block.layer, block.block): worst for block in blocks}
    own = {
        number: plan_analog(device, converters, rows, options.layers[layer.name].tia_range)
        for number, layer in enumerate(network.layers)
        if layer.name in options.layers and options.layers[layer.name].tia_range is not None
    }
    fine = [
        replace(plan, row_limit=max(plan.row_limit, rows))
        for number in reversed(range(min(MVM_RANGES, len(converters.tia_ohms))))
        if float((plan := analog_plan(device, converters, number)).gain) > float(worst.gain)
    ]
    parts = by_matrix(cells.placements)
    for quantised in blocks:
        which = quantised.layer, quantised.block
        if quantised.layer in own or options.tia_range is not None:
            plans[which] = own.get(quantised.layer, worst)
            continue
        held = network.holders[quantised.layer], quantised.block
        volts = _driven(seen.draws[which], quantised, converters.input_bits)
        joined = converters.sensing == "differential" and not encodings[held[0]].single
        peak = max(
            _peak(volts, p, cells, encodings[p.layer], device, joined=joined) for p in parts[held]
        )
        fitting = (plan for plan in fine if peak * float(plan.gain) * HEADROOM <= ADC_MAX)
        plans[which] = next(fitting, worst)
    return plans


def conversions(plans: Mapping[Which, AnalogPlan], placements: Sequence[Placement]) -> int:
    """Products of rows of a tile at one position of every matrix, and changes of range."""
    parts = by_matrix(placements)
    groups = sum(len(row_groups(p.inputs, plans[w].row_limit)) for w in parts for p in parts[w])
    ranges = [plan.tia_range for _, plan in sorted(plans.items())]
    return groups + sum(a != b for a, b in pairwise(ranges))


def _driven(values: np.ndarray, quantised: QuantisedBlock, input_bits: int) -> np.ndarray:
    """What drives rows, over V_read (digits * draws, inputs), by values (draws, inputs)."""
    drives = quantised.input.quantise(values)
    digits = digits_of(quantised.input.planes, quantised.input.signed, input_bits)
    shares = [digit.of(drives) * np.float32(2.0**-digit.share) for digit in digits]
    return np.concatenate(shares).astype(np.float32)


def _peak(
    volts: np.ndarray,
    p: Placement,
    cells: Cells,
    encoding: Encoding,
    device: Device,
    *,
    joined: bool,
) -> float:
    """Largest magnitude of a conversion's sum of conductance codes in rows of a tile."""
    levels = p.cells(cells.levels, encoding)
    exact = cells.stuck is None and p.inputs * int(device.level_codes.max()) <= 1 << 24
    codes = device.level_codes.astype(np.float32 if exact else np.float64)[levels]
    if cells.stuck is not None:
        at = device.level_codes[0] + p.cells(cells.stuck, encoding) * device.level_step
        codes = np.where(np.isnan(at), codes, at)
    if joined:
        codes = encoding.differences(codes)
    driven = volts[:, p.first_input : p.first_input + p.inputs]
    return float(np.abs(driven @ codes).max())
