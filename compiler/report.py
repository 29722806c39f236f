"""The numbers of a compilation: what ``report.json`` holds and ``report.html`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ..hw.afe import ad7606c
from ..hw.afe.adc_part import AdcPart
from ..hw.afe.array_card import consumers
from ..hw.afe.cards import front_end_cycles
from ..hw.afe.power import Consumer
from ..hw.banks import Banks
from ..hw.cycles import FrontEndCycles, inference, layer_cycles
from ..hw.isa import POOL_WORDS, Instruction, Op, unpack_pool
from ..hw.power import controller
from .compiled import Compiled
from .energy import CellEnergy, inference_energy, sampled_cell_energy
from .host_report import host_calls
from .programming import Estimate, Written, programming
from .where import places

if TYPE_CHECKING:
    from .budget import LayerBudget
    from .sensitivity import Sensitivity
    from .trial import Outcome


def summarise(
    compiled: Compiled,
    adc: AdcPart = ad7606c.PART,
    budget: Sequence[LayerBudget] = (),
    search: Outcome | None = None,
    baud: int | None = None,
    needs: Sensitivity | None = None,
) -> dict[str, Any]:
    """The report as plain JSON values.

    Parameters
    ----------
    compiled:
        The network.
    adc:
        The converters of the array card that time and energy are predicted for, at the
        network's clock.
    budget:
        Where the error of its layers comes from, if that was asked for.
    search:
        How its knobs were found, if they were.
    baud:
        Rate of the board's link, if there is a board.
    needs:
        Which of its layers needs what, if that was asked for.
    """
    image, device, geometry = compiled.image, compiled.device, compiled.image.geometry
    mvms = _mvms(compiled)
    layers = [_layer(compiled, number, own) for number, own in enumerate(mvms)]
    used = sum(
        p.inputs * compiled.encodings[p.layer].columns(p.outputs) for p in compiled.placements
    )
    act_words = _words_used(compiled)
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
            "input_bits": compiled.converters.input_bits,
            "sensing": compiled.converters.sensing,
            "verify_full_scale_a": _full_scale(compiled, compiled.verify_range),
        },
        "layers": layers,
        "where": [asdict(place) for place in places(compiled, list(_inference(compiled)))],
        "cycles": predict(compiled, adc),
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
        "level_histogram": _counts(compiled, compiled.levels),
        "programming": programming_report(compiled, Estimate.of(compiled), adc),
        "energy": energy_report(compiled, adc),
        "budget": [asdict(layer) for layer in budget],
        "search": search.as_dict() if search else None,
        "sensitivity": needs.as_dict() if needs else None,
        "host": host_calls(compiled, baud),
    }


def predict(compiled: Compiled, adc: AdcPart = ad7606c.PART) -> dict[str, Any] | None:
    """Clock cycles of an inference by the cost model (:mod:`ohmloom.hw.cycles`).

    ``first`` is that of the first inference after the cells have been driven; the rest is
    about each of the following ones. None where no array card is for such a controller.
    """
    image, clk_hz = compiled.image, compiled.options.clk_hz
    front_end = front_end_of(compiled, adc)
    if front_end is None:
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


def front_end_of(compiled: Compiled, adc: AdcPart = ad7606c.PART) -> FrontEndCycles | None:
    """The card's cycles; None where no such card is for the network's controller."""
    try:
        compiled.converters.require_card()
        options = compiled.options
        return front_end_cycles(options.afe, compiled.image.geometry, options.clk_hz, adc)
    except ValueError:
        return None


def programming_report(
    compiled: Compiled, written: Written | Estimate, adc: AdcPart = ad7606c.PART
) -> dict[str, Any]:
    """What writing the cells takes, as :func:`~ohmloom.compiler.programming.programming`."""
    return programming(compiled, written, front_end_of(compiled, adc), _consumers(compiled, adc))


def energy_report(
    compiled: Compiled, adc: AdcPart = ad7606c.PART, cells: CellEnergy | None = None
) -> dict[str, Any] | None:
    """Energy of an inference, as :func:`~ohmloom.compiler.energy.inference_energy`.

    None where no array card is for the controller. Without ``cells`` the golden inputs say
    what the cells take.
    """
    cycles, front_end = predict(compiled, adc), front_end_of(compiled, adc)
    if cycles is None or front_end is None:
        return None
    if cells is None:
        cells = sampled_cell_energy(compiled, front_end)
    return inference_energy(compiled, front_end, cells, _consumers(compiled, adc), cycles)


def _consumers(compiled: Compiled, adc: AdcPart) -> tuple[Consumer, ...]:
    card = consumers(compiled.image.geometry, adc)
    return (*card, controller(compiled.options.clk_hz))


def _layer(
    compiled: Compiled, number: int, own_mvms: list[tuple[int, Instruction]]
) -> dict[str, Any]:
    layer = compiled.layers[number]
    own = [p for p in compiled.placements if p.layer == number]
    encoding = compiled.encodings[number]
    tiles = {p.tile for p in own}
    ranges = compiled.matrix_ranges
    which = sorted({(p.layer, p.block) for p in own})
    runs = [(n, instr["planes"]) for n, instr in own_mvms]
    planes = sum(times * each for times, each in runs)
    columns, pairs = compiled.image.geometry.columns, not encoding.single
    conversions = sum(
        times * compiled.converters.conversions(each, columns, pairs=pairs) for times, each in runs
    )
    return {
        "name": layer.name,
        "kind": layer.kind,
        "outputs": layer.outputs,
        "weights": layer.weights,
        "tiles": sorted(tiles),
        "slices": encoding.slices if own else None,
        "scheme": encoding.scheme if own else None,
        "mvms": sum(times for times, _ in runs),
        "rows_at_once": max((instr["rows"] for _, instr in own_mvms), default=0),
        "tia_full_scale_a": sorted({_full_scale(compiled, ranges[w]) for w in which}),
        "planes_per_mvm": max((each for _, each in runs), default=0),
        "planes": planes,
        "conversions": conversions,
        "output_scale": asdict(layer.output),
        "level_histogram": _counts(compiled, [p.cells(compiled.levels, encoding) for p in own]),
    }


def _counts(compiled: Compiled, parts: Sequence[np.ndarray] | np.ndarray) -> list[int]:
    """Cells on each level, of some parts of tiles; nothing where there are none."""
    if not len(parts):
        return []
    counts = np.zeros(len(compiled.device.level_codes), np.int64)
    for part in parts:
        counts += np.bincount(part.reshape(-1), minlength=len(counts))
    return counts.tolist()


def _mvms(compiled: Compiled) -> list[list[tuple[int, Instruction]]]:
    """For each layer the ``MVM`` of its rows in one inference, and how often each is executed."""
    found: list[list[tuple[int, Instruction]]] = [[] for _ in compiled.layers]
    for times, instr in _executed(compiled):
        if instr.op is Op.MVM:
            place = compiled.placement_at(instr["tile"], instr["first"])
            found[compiled.placements[place].layer].append((times, instr))
    return found


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
