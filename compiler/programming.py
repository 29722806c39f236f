"""What it takes to write the cells: pulses, time and energy, layer by layer.

Before anything is written they are estimated: some cells of every level that the network
uses are write-verified on the numpy engine, and what they took is dealt out to all cells of
their level. ``ohmloom run`` writes every cell of the array, so its figures are simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hw.afe.power import Consumer
from ..hw.cycles import FrontEndCycles, program_cycles
from ..hw.isa import CellStatus, Reg, unpack_result
from ..sim.array import MeteredArray
from ..sim.engine import NumpyEngine
from ..sim.numerics import FloatArray, IntArray
from .compiled import Compiled
from .runner import build_engine

SAMPLE_CELLS = 4096
"""Cells that an estimate writes, in whole tiles; at least one tile."""
LEVEL_CELLS = 8
"""Of each level that is used, at least, where there is room."""


class Tag(StrEnum):
    """How a figure was come by."""

    ESTIMATED = "estimated"
    SIMULATED = "simulated"
    MEASURED = "measured"


@dataclass(frozen=True, eq=False)
class Written:
    """What writing has taken, cell by cell; all of shape (tiles, rows, columns).

    Attributes
    ----------
    tries:
        Pairs of a RESET and a SET pulse.
    status:
        Verdicts, :class:`~ohmloom.hw.isa.CellStatus`.
    joules:
        Energy of the pulses, in the cells and their transistors [J].
    conversions:
        Averaged for the read of a try.
    tag:
        How they were come by.
    """

    tries: IntArray
    status: IntArray
    joules: FloatArray
    conversions: int
    tag: Tag

    def of_tiles(self, tiles: Sequence[int]) -> Written:
        """Those of some tiles."""
        here = list(tiles)
        return replace(
            self, tries=self.tries[here], status=self.status[here], joules=self.joules[here]
        )


def write(engine: NumpyEngine, array: MeteredArray, levels: NDArray[np.integer]) -> Written:
    """Write-verify the first tiles of an engine that has been set up.

    Parameters
    ----------
    engine, array:
        The engine, and the array that it was made with.
    levels:
        Level of each cell, shape (tiles, rows, columns).
    """
    words = np.stack([engine.program_tile(tile, each) for tile, each in enumerate(levels)])
    results = [unpack_result(int(word)) for word in words.reshape(-1)]
    tries, status = (np.array([found[n] for found in results], np.int64) for n in (1, 2))
    return Written(
        tries.reshape(levels.shape),
        status.reshape(levels.shape),
        array.pulse_joules[: len(levels)].copy(),
        1 << engine.registers[Reg.AVERAGE],
        Tag.SIMULATED,
    )


def estimate(compiled: Compiled) -> Written:
    """What writing a network's cells will take, from writing some of them.

    A cell stands for those of its level, whose places make no difference to it; no cell is
    stuck.
    """
    geometry, image = compiled.image.geometry, compiled.image
    tiles = min(image.tiles, max(1, SAMPLE_CELLS // geometry.cells))
    counts = np.bincount(compiled.levels.reshape(-1), minlength=len(compiled.device.level_codes))
    sample = _sample(counts, tiles * geometry.cells)
    engine = build_engine(compiled, program=False, array_type=MeteredArray)
    assert isinstance(engine.array, MeteredArray)
    shape = (tiles, geometry.rows, geometry.columns)
    found = write(engine, engine.array, sample.reshape(shape))
    dealt = _deal(sample, compiled.levels.reshape(-1))
    full = compiled.levels.shape
    return Written(
        found.tries.reshape(-1)[dealt].reshape(full),
        found.status.reshape(-1)[dealt].reshape(full),
        found.joules.reshape(-1)[dealt].reshape(full),
        found.conversions,
        Tag.ESTIMATED,
    )


def _sample(counts: IntArray, cells: int) -> IntArray:
    """Levels of sampled cells, shape (cells,): some of each one that is used, then by use."""
    used = np.flatnonzero(counts)
    least = min(LEVEL_CELLS, cells // len(used))
    share = counts[used] * ((cells - least * len(used)) / counts.sum())
    number = least + share.astype(np.int64)
    number[np.argmax(counts[used])] += cells - number.sum()
    return np.repeat(used, number)


def _deal(sample: IntArray, levels: NDArray[np.integer]) -> IntArray:
    """For each cell one of the sample's that is on its level, in turn, shape of ``levels``.

    Levels that are not in the sample, where there are more than cells, take the nearest one's.
    """
    known, begin, number = np.unique(sample, return_index=True, return_counts=True)
    every = np.arange(int(levels.max()) + 1)
    which = np.abs(every[:, np.newaxis] - known).argmin(axis=1)[levels]
    order = np.argsort(which, kind="stable")
    first = np.searchsorted(which[order], np.arange(len(known)))
    turn = np.empty(len(levels), np.int64)
    turn[order] = np.arange(len(levels)) - first[which[order]]
    return begin[which] + turn % number[which]


def programming(
    compiled: Compiled,
    written: Written,
    front_end: FrontEndCycles | None,
    consumers: Sequence[Consumer],
) -> dict[str, Any]:
    """Figures of every layer that has tiles and of all together, as plain JSON values.

    Parameters
    ----------
    written:
        What writing took, or will take.
    front_end:
        What the time is for; None: it is not known.
    consumers:
        What takes power meanwhile.
    """
    owners: dict[str, list[int]] = {}
    for p in compiled.placements:
        owners.setdefault(compiled.layers[p.layer].name, []).append(p.tile)
    return {
        "tag": written.tag.value,
        "conversions_per_read": written.conversions,
        "layers": [
            {"name": name, **_figures(compiled, written.of_tiles(tiles), front_end, consumers)}
            for name, tiles in owners.items()
        ],
        "total": _figures(compiled, written, front_end, consumers),
    }


def _figures(
    compiled: Compiled,
    written: Written,
    front_end: FrontEndCycles | None,
    consumers: Sequence[Consumer],
) -> dict[str, Any]:
    tries, cells = int(written.tries.sum()), written.tries.size
    seconds = supplies = None
    if front_end:
        cycles = program_cycles(compiled.image, front_end, written.tries, written.status)
        seconds = cycles / compiled.options.clk_hz
        # What conversions and pulses take besides is nothing next to it.
        supplies = sum(each.watts for each in consumers) * seconds
    return {
        "cells": cells,
        "tries_per_cell": tries / cells,
        "reset_pulses": tries,
        "set_pulses": tries,
        "conversions": tries * written.conversions,
        "not_converged": int((written.status != CellStatus.DONE).sum()),
        "seconds": seconds,
        "pulse_j": float(written.joules.sum()),
        "supplies_j": supplies,
    }
