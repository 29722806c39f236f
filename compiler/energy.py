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
from ..hw.cycles import FrontEndCycles, driven_cycles, inference
from ..hw.isa import Op
from ..sim.array import MeteredArray
from ..sim.numerics import FloatArray
from .compiled import Compiled
from .programming import Tag
from .runner import build_engine

SAMPLE_CONVERSIONS = 1 << 22
"""ADC codes of the inferences that count rows, together; at least one inference."""
ASSUMED_SHARE = 0.5
"""Of the rows of a plane that are driven, where no inference has counted them: a bit is as
often one as zero."""
CELLS = "cells"
NO_LAYER = "no layer's"


@dataclass(frozen=True, eq=False)
class CellEnergy:
    """What the cells take in an inference.

    Attributes
    ----------
    joules:
        By placement, mean over inferences, shape (placements,).
    tag, origin:
        How it was come by, and in words.
    """

    joules: FloatArray
    tag: Tag
    origin: str


@dataclass(frozen=True, eq=False)
class Products:
    """The ``MVM`` of an inference, by placement, shape (placements,).

    Attributes
    ----------
    planes:
        That its rows are driven for.
    seconds:
        How long each of them is [s], mean of an ``MVM``.
    """

    planes: FloatArray
    seconds: FloatArray

    @classmethod
    def of(cls, compiled: Compiled, front_end: FrontEndCycles) -> Products:
        """Those of a network behind a front end."""
        image, ranges = compiled.image, compiled.matrix_ranges
        made = cls(*np.zeros((2, len(compiled.placements))))
        for step in inference(image, front_end).later.steps:
            if step.instruction.op is Op.MVM:
                place = compiled.placement_at(step.instruction["tile"], step.instruction["first"])
                planes, p = step.instruction["planes"], compiled.placements[place]
                cycles = driven_cycles(image.geometry, front_end, planes, ranges[p.layer, p.block])
                made.planes[place] += step.times * planes
                made.seconds[place] = float(np.mean(cycles)) / compiled.options.clk_hz
        return made


def metered_cell_energy(
    compiled: Compiled, array: MeteredArray, inferences: int, front_end: FrontEndCycles
) -> CellEnergy:
    """What the cells of an array have taken in all inferences that it has been through."""
    seconds = Products.of(compiled, front_end).seconds
    geometry = compiled.image.geometry
    by_row = np.zeros((compiled.image.tiles, geometry.rows))
    for p, each in zip(compiled.placements, seconds, strict=True):
        by_row[p.tile, p.rows.start : p.rows.stop] = each
    rows = array.product_joules(_read_volts(compiled), by_row) / inferences
    own = [rows[p.tile, p.rows.start : p.rows.stop].sum() for p in compiled.placements]
    joules = np.array(own, np.float64)
    return CellEnergy(
        joules, Tag.SIMULATED, f"V^2 G t, {inferences} inferences on the numpy engine"
    )


def sampled_cell_energy(compiled: Compiled, front_end: FrontEndCycles) -> CellEnergy:
    """The same of golden inputs, as many as do, on cells that are on their levels exactly.

    Where there are none, rows are assumed to be driven in half of the planes.
    """
    products = Products.of(compiled, front_end)
    conversions = products.planes.sum() * compiled.image.geometry.columns
    inputs = compiled.golden.inputs[: max(1, int(SAMPLE_CONVERSIONS / max(1, conversions)))]
    if not len(inputs):
        volts, levels = _read_volts(compiled), compiled.device.levels
        siemens = [
            levels[compiled.levels[p.tile, p.rows.start : p.rows.stop]].sum()
            for p in compiled.placements
        ]
        joules = volts * volts * ASSUMED_SHARE * products.planes * products.seconds * siemens
        origin = "V^2 G t; assumed: a row is driven in half of the planes"
        return CellEnergy(joules, Tag.ESTIMATED, origin)
    engine = build_engine(
        compiled,
        program=False,
        read_noise=False,
        faults=compiled.device.levels[compiled.levels],
        array_type=MeteredArray,
    )
    assert isinstance(engine.array, MeteredArray)
    engine.infer(inputs)
    return metered_cell_energy(compiled, engine.array, len(inputs), front_end)


def inference_energy(
    compiled: Compiled,
    front_end: FrontEndCycles,
    cells: CellEnergy,
    consumers: Sequence[Consumer],
    cycles: dict[str, Any],
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
    """
    volts = _read_volts(compiled)
    products = Products.of(compiled, front_end)
    names = [layer.name for layer in compiled.layers]
    seconds = {layer["name"]: layer["seconds"] for layer in cycles["layers"]}
    planes, joules = np.zeros((2, len(names)))
    for number, p in enumerate(compiled.placements):
        planes[p.layer] += products.planes[number]
        joules[p.layer] += cells.joules[number]

    def parts(time: float, conversions: float, cells_j: float) -> dict[str, float]:
        others = {
            each.name: each.joules(time, conversions, cells_j / volts, cells_j)
            for each in consumers
        }
        return {CELLS: cells_j, **others}

    layers = [
        {"name": name, "joules": parts(seconds.get(name, 0.0), float(count), float(own))}
        for name, count, own in zip(names, planes, joules, strict=True)
    ]
    rest = cycles["seconds"] - sum(seconds.values())
    layers.append({"name": NO_LAYER, "joules": parts(rest, 0.0, 0.0)})
    total = parts(cycles["seconds"], float(planes.sum()), float(joules.sum()))
    origins = {each.name: (Tag.ESTIMATED, each.origin) for each in consumers}
    origins = {CELLS: (cells.tag, cells.origin), **origins}
    return {
        "joules": sum(total.values()),
        "watts": sum(total.values()) / cycles["seconds"],
        "parts": [
            {"name": name, "joules": total[name], "tag": tag.value, "origin": origin}
            for name, (tag, origin) in origins.items()
        ],
        "layers": layers,
    }


def _read_volts(compiled: Compiled) -> float:
    """What is on a driven row [V]."""
    converters = compiled.converters
    return converters.dac_volts(converters.read_code(compiled.device.v_read))
