"""The numbers of a compilation: what ``report.json`` holds and ``report.html`` shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ..hw.afe.array_card import front_end_cycles
from ..hw.cycles import FrontEndCycles, inference, layer_cycles
from ..hw.isa import Instruction, Op
from .compiled import Compiled


def summarise(compiled: Compiled, front_end: FrontEndCycles | None = None) -> dict[str, Any]:
    """The report as plain JSON values.

    Parameters
    ----------
    compiled:
        The network.
    front_end:
        What its cycles are predicted for; by default the array card at the network's clock.
    """
    image, device, geometry = compiled.image, compiled.device, compiled.image.geometry
    layers = [_layer(compiled, number) for number in range(len(compiled.layers))]
    weights = sum(p.inputs * p.outputs for p in compiled.placements)
    act_words = max(layer.span.address + layer.span.count for layer in image.layers)
    full_scale = (
        compiled.converters.adc_volts_span / compiled.converters.tia_ohms[compiled.tia_range]
    )
    counts = np.bincount(compiled.levels.reshape(-1), minlength=len(device.level_codes))
    return {
        "model": compiled.name,
        "device": {
            "name": device.name,
            "title": device.title,
            "levels": len(device.level_codes),
            "g_min_s": float(device.levels[0]),
            "g_max_s": float(device.levels[-1]),
            "v_read_v": device.v_read,
            "read_noise": device.read_noise,
        },
        "geometry": asdict(geometry),
        "options": compiled.options.model_dump(),
        "tia": {
            "range": compiled.tia_range,
            "full_scale_a": full_scale,
            "rows_at_once": min(compiled.row_limit, geometry.rows),
        },
        "layers": layers,
        "cycles": predict(compiled, front_end),
        "totals": {
            "planes": sum(layer["planes"] for layer in layers),
            "conversions": sum(layer["conversions"] for layer in layers),
            "weights": weights,
            "cells": int(compiled.levels.size),
            "cell_utilisation": 2 * weights / compiled.levels.size,
        },
        "use": {
            "tiles": [image.tiles, geometry.tiles],
            "program words": [len(image.code), geometry.program_depth],
            "parameter words": [len(image.params), geometry.param_depth],
            "activation words": [act_words, geometry.act_depth],
        },
        "level_histogram": counts.tolist(),
    }


def predict(compiled: Compiled, front_end: FrontEndCycles | None = None) -> dict[str, Any] | None:
    """Clock cycles of an inference by the cost model (:mod:`ohmloom.hw.cycles`).

    ``first`` is that of the first inference after the cells have been driven; the rest is
    about each of the following ones. None where no array card is for such a controller.
    """
    image, clk_hz = compiled.image, compiled.options.clk_hz
    try:
        front_end = front_end or front_end_cycles(image.geometry, clk_hz)
    except ValueError:
        return None
    cycles = inference(image, front_end)
    later = cycles.later
    layers = layer_cycles(image, later)
    return {
        "clk_hz": clk_hz,
        "first": cycles.first.cycles,
        "later": later.cycles,
        "seconds": later.cycles / clk_hz,
        "layers": [
            {"name": layer.name, "cycles": count, "seconds": count / clk_hz}
            for layer, count in zip(image.layers, layers, strict=True)
        ],
        "no_layer": later.cycles - sum(layers),
        "instructions": later.by_op(),
    }


def _layer(compiled: Compiled, number: int) -> dict[str, Any]:
    layer = compiled.layers[number]
    tiles = [p.tile for p in compiled.placements if p.layer == number]
    mvms = [instr for instr in _inference(compiled) if instr.op is Op.MVM]
    planes = [instr["planes"] for instr in mvms if instr["tile"] in tiles]
    return {
        "name": layer.name,
        "inputs": layer.inputs,
        "outputs": layer.outputs,
        "relu": layer.relu,
        "tiles": tiles,
        "mvms": len(planes),
        "planes_per_mvm": layer.input.planes,
        "planes": sum(planes),
        "conversions": sum(planes) * compiled.image.geometry.columns,
        "input_scale": asdict(layer.input),
        "output_scale": asdict(layer.output),
    }


def _inference(compiled: Compiled) -> tuple[Instruction, ...]:
    """Instructions of one inference."""
    return compiled.image.code[compiled.image.entries["infer"] :]
