"""Energy of an inference: cells, converters and controller, layer by layer.

What the cells take follows from Ohm's law, their conductances and how often each row is
driven, which an inference on the numpy engine counts. What the parts around them take
follows from their supply currents and the time that is predicted; where these come from is
beside the other numbers of the parts (:mod:`ohmloom.hw.afe`), and in the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..hw.afe.power import Consumer
from ..hw.cycles import FrontEndCycles, driven_cycles
from ..hw.isa import Op
from ..sim.array import MeteredArray
from ..sim.numerics import FloatArray
from .compiled import Compiled
from .programming import Tag
from .runner import build_engine

SAMPLE_CONVERSIONS = 1 << 22
"""ADC codes of the inferences that count rows, together; at least one inference."""
CELLS = "cells"


@dataclass(frozen=True, eq=False)
class CellEnergy:
    """What the cells take in an inference.

    Attributes
    ----------
    joules:
        Mean over inferences, by tile, shape (tiles,).
    inferences:
        How many there were.
    tag:
        How it was come by.
    """

    joules: FloatArray
    inferences: int
    tag: Tag


def driven_seconds(compiled: Compiled, front_end: FrontEndCycles) -> FloatArray:
    """How long a plane drives its rows [s], mean of an ``MVM``, by tile, shape (tiles,)."""
    image = compiled.image
    which = sorted({(p.layer, p.block) for p in compiled.placements})
    ranges = dict(zip(which, compiled.ranges, strict=True))
    ranges_of_tiles = {p.tile: ranges[p.layer, p.block] for p in compiled.placements}
    seconds = np.zeros(image.tiles)
    for instr in image.code[image.entries["infer"] :]:
        if instr.op is Op.MVM:
            tile = instr["tile"]
            cycles = driven_cycles(
                image.geometry, front_end, instr["planes"], ranges_of_tiles[tile]
            )
            seconds[tile] = float(np.mean(cycles)) / compiled.options.clk_hz
    return seconds


def cell_energy(
    compiled: Compiled, array: MeteredArray, inferences: int, front_end: FrontEndCycles
) -> CellEnergy:
    """What the cells of an array have taken in all inferences that it has been through."""
    converters = compiled.converters
    volts = converters.dac_volts(converters.read_code(compiled.device.v_read))
    joules = array.product_joules(volts, driven_seconds(compiled, front_end))
    return CellEnergy(joules / inferences, inferences, Tag.SIMULATED)


def sampled_cell_energy(
    compiled: Compiled, front_end: FrontEndCycles, conversions: int
) -> CellEnergy | None:
    """The same of the golden inputs, as many as do, on cells that are on their levels exactly.

    ``conversions`` is those of an inference. None where there are no golden inputs.
    """
    inputs = compiled.golden.inputs[: max(1, SAMPLE_CONVERSIONS // max(1, conversions))]
    if not len(inputs):
        return None
    engine = build_engine(
        compiled,
        program=False,
        read_noise=False,
        faults=compiled.device.levels[compiled.levels],
        array_type=MeteredArray,
    )
    assert isinstance(engine.array, MeteredArray)
    engine.infer(inputs)
    return cell_energy(compiled, engine.array, len(inputs), front_end)


def inference_energy(
    compiled: Compiled,
    cells: CellEnergy,
    consumers: Sequence[Consumer],
    cycles: dict[str, Any],
    planes: dict[str, int],
) -> dict[str, Any]:
    """Energy of an inference by part and by layer, as plain JSON values.

    Parameters
    ----------
    cells:
        What the cells take.
    consumers:
        What else takes power.
    cycles:
        Of the inference, as the report has them: its time, and that of layers.
    planes:
        Of each layer that has tiles: a plane is a conversion of all columns.
    """
    converters = compiled.converters
    volts = converters.dac_volts(converters.read_code(compiled.device.v_read))
    own = dict.fromkeys((layer.name for layer in compiled.layers), 0.0)
    for p in compiled.placements:
        own[compiled.layers[p.layer].name] += float(cells.joules[p.tile])
    seconds = {layer["name"]: layer["seconds"] for layer in cycles["layers"]}

    def shares(time: float, conversions: float, cells_j: float) -> dict[str, float]:
        parts = {each.name: each.joules(time, conversions, cells_j / volts, cells_j)
                 for each in consumers}  # fmt: skip
        return {CELLS: cells_j, **parts}

    layers = [
        {"name": name, "joules": shares(seconds.get(name, 0.0), planes.get(name, 0), cells_j)}
        for name, cells_j in own.items()
    ]
    total = shares(cycles["seconds"], sum(planes.values()), sum(own.values()))
    origins = {
        CELLS: (cells.tag, f"{cells.inferences} inferences on the numpy engine, V^2 G t"),
        **{each.name: (Tag.ESTIMATED, each.origin) for each in consumers},
    }
    joules = sum(total.values())
    return {
        "joules": joules,
        "watts": joules / cycles["seconds"],
        "parts": [
            {"name": name, "joules": total[name], "tag": tag.value, "origin": origin}
            for name, (tag, origin) in origins.items()
        ],
        "layers": layers,
    }
