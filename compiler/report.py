"""The numbers of a compilation: what ``report.json`` holds and ``report.html`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..hw.afe.array_card import front_end_cycles
from ..hw.banks import Banks
from ..hw.cycles import FrontEndCycles, inference, layer_cycles
from ..hw.isa import POOL_WORDS, Instruction, Op, unpack_pool
from .budget import LayerBudget
from .compiled import Compiled
from .host_report import host_calls


def summarise(
    compiled: Compiled,
    front_end: FrontEndCycles | None = None,
    budget: Sequence[LayerBudget] = (),
    baud: int | None = None,
) -> dict[str, Any]:
    """The report as plain JSON values.

    Parameters
    ----------
    compiled:
        The network.
    front_end:
        What its cycles are predicted for; by default the array card at the network's clock.
    budget:
        Where the error of its layers comes from, if that was asked for.
    baud:
        Rate of the board's link, if there is a board.
    """
    image, device, geometry = compiled.image, compiled.device, compiled.image.geometry
    executed = [(n, each) for n, each in _executed(compiled) if each.op is Op.MVM]
    layers = [_layer(compiled, number, executed) for number in range(len(compiled.layers))]
    used = sum(2 * p.inputs * p.outputs for p in compiled.placements)
    act_words = _words_used(compiled)
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
        "converters": {
            "adc_bits": compiled.converters.adc_bits,
            "verify_full_scale_a": _full_scale(compiled, compiled.verify_range),
        },
        "layers": layers,
        "cycles": predict(compiled, front_end),
        "totals": {
            "planes": sum(layer["planes"] for layer in layers),
            "conversions": sum(layer["conversions"] for layer in layers),
            "weights": sum(layer["weights"] for layer in layers),
            "cells": int(compiled.levels.size),
            "cell_utilisation": used / compiled.levels.size,
        },
        "use": {
            "tiles": [image.tiles, geometry.tiles],
            "program words": [len(image.code), geometry.program_depth],
            "parameter words": [len(image.params), geometry.param_depth],
            "activation words": [act_words, geometry.act_depth],
        },
        "level_histogram": counts.tolist(),
        "budget": [asdict(layer) for layer in budget],
        "host": host_calls(compiled, baud),
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


def _layer(
    compiled: Compiled, number: int, executed: list[tuple[int, Instruction]]
) -> dict[str, Any]:
    layer = compiled.layers[number]
    own = [p for p in compiled.placements if p.layer == number]
    tiles = {p.tile for p in own}
    ranges = matrix_ranges(compiled)
    which = sorted({(p.layer, p.block) for p in own})
    own_mvms = [(n, instr) for n, instr in executed if instr["tile"] in tiles]
    runs = [(n, instr["planes"]) for n, instr in own_mvms]
    planes = sum(times * each for times, each in runs)
    return {
        "name": layer.name,
        "kind": layer.kind,
        "outputs": layer.outputs,
        "weights": layer.weights,
        "tiles": sorted(tiles),
        "mvms": sum(times for times, _ in runs),
        "rows_at_once": max((instr["rows"] for _, instr in own_mvms), default=0),
        "tia_full_scale_a": sorted({_full_scale(compiled, ranges[w]) for w in which}),
        "planes_per_mvm": max((each for _, each in runs), default=0),
        "planes": planes,
        "conversions": planes * compiled.image.geometry.columns,
        "output_scale": asdict(layer.output),
    }


def matrix_ranges(compiled: Compiled) -> dict[tuple[int, int], int]:
    """TIA range of every matrix, by its layer and which of the layer's it is."""
    which = sorted({(p.layer, p.block) for p in compiled.placements})
    return dict(zip(which, compiled.ranges, strict=True))


def _full_scale(compiled: Compiled, tia_range: int) -> float:
    """Largest current [A] of a TIA range."""
    return compiled.converters.adc_volts_span / compiled.converters.tia_ohms[tia_range]


def _executed(compiled: Compiled) -> Iterator[tuple[int, Instruction]]:
    """Instructions of one inference, and how often each is executed."""
    open_loops = [1]
    for instr in _inference(compiled):
        if instr.op is Op.LOOP:
            open_loops.append(open_loops[-1] * instr["count"])
        elif instr.op is Op.END:
            open_loops.pop()
        yield open_loops[-1], instr


def _words_used(compiled: Compiled) -> int:
    """Activation words up to the last one that is written."""
    image, last = compiled.image, compiled.image.input.address + compiled.image.input.count
    moved = [0]
    for instr in _inference(compiled):
        if instr.op is Op.LOOP:
            step = instr["out_step"]
            ahead = image.geometry.banks or step < 1 << 15
            reach = (instr["count"] - 1) * step if ahead else 0
            moved.append(moved[-1] + reach)
        elif instr.op is Op.END:
            moved.pop()
        elif instr.op is Op.POOL:
            grid = unpack_pool([int(w) for w in image.params[instr["param"] :][:POOL_WORDS]])
            reach = sum((loop.count - 1) * loop.out_step for loop in grid.loops)
            last = max(last, instr["out"] + reach + 1 + moved[-1] * instr["move_out"])
        elif instr.op is Op.ARGMAX:
            last = max(last, instr["out"] + 1)
        elif "out" in instr.operands:
            moves = instr.operands.get("move_out", 0)
            last = max(last, instr["out"] + instr["count"] + moved[-1] * moves)
    return last


def _inference(compiled: Compiled) -> Iterator[Instruction]:
    """Instructions of one inference, with the addresses that are meant."""
    image, banks = compiled.image, Banks()
    for instr in image.code[image.entries["infer"] :]:
        yield banks.moved(instr) if image.geometry.banks else instr
        banks = banks.after(instr)
