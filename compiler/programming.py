"""What it takes to write the cells: pulses, time and energy, layer by layer.

Before anything is written they are estimated: some cells of every level that the network
uses are write-verified on the numpy engine, and what they took is dealt out to all cells of
their level. ``ohmloom run`` writes every cell of the array, so its figures are simulated.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hw.afe.power import Consumer
from ..hw.cycles import FrontEndCycles, program_cycles
from ..hw.isa import CellStatus, Op, Reg, unpack_result
from ..sim.array import MeteredArray
from ..sim.engine import NumpyEngine
from ..sim.numerics import FloatArray, IntArray
from .compiled import Compiled
from .lower import writing_op
from .runner import build_engine

SAMPLE_CELLS = 4096
"""Cells that an estimate writes, in whole tiles; at least one tile."""
LEVEL_CELLS = 8
"""Of each level that is used, at least, where there is room."""
COUNTED_CELLS = 1 << 18
"""Of a layer: of one that has more, so many stand for all."""
UNUSED = "no layer"


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
        Attempts: a pair of a RESET and a SET pulse, or as many as a host chooses.
    pulses:
        Pulses.
    seconds:
        Time in them [s].
    status:
        Verdicts, :class:`~ohmloom.hw.isa.CellStatus`.
    joules:
        Energy of the pulses, in the cells and their transistors [J].
    conversions:
        Averaged for the read of a try.
    tag:
        How they were come by.
    """

    tries: NDArray[np.uint8]
    pulses: NDArray[np.uint32]
    seconds: FloatArray
    status: NDArray[np.uint8]
    joules: FloatArray
    conversions: int
    tag: Tag

    def of_tiles(self, tiles: Sequence[int]) -> Written:
        """Those of some tiles."""
        here = list(tiles)
        return self._each(lambda array: array[here])

    def taken(self, cells: IntArray) -> Written:
        """Those of some cells by their numbers, of the numbers' shape."""
        return self._each(lambda array: array.reshape(-1)[cells])

    def reshaped(self, shape: tuple[int, ...]) -> Written:
        """The same in another shape."""
        return self._each(lambda array: array.reshape(shape))

    def _each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Written:
        return replace(
            self,
            tries=change(self.tries),
            pulses=change(self.pulses),
            seconds=change(self.seconds),
            status=change(self.status),
            joules=change(self.joules),
        )


def write(engine: NumpyEngine, levels: NDArray[np.integer]) -> Written:
    """Write-verify the first tiles of an engine that has been set up.

    Parameters
    ----------
    engine:
        On a fresh :class:`~ohmloom.sim.array.MeteredArray`.
    levels:
        Level of each cell, shape (tiles, rows, columns).
    """
    array = engine.array
    assert isinstance(array, MeteredArray)
    tries, status = np.empty(levels.shape, np.uint8), np.empty(levels.shape, np.uint8)
    for tile, wanted in enumerate(levels):
        results = [unpack_result(int(word)) for word in engine.program_tile(tile, wanted)]
        tries[tile] = np.reshape([had for _, had, _ in results], wanted.shape)
        status[tile] = np.reshape([found for _, _, found in results], wanted.shape)
    conversions = 1 << engine.registers[Reg.AVERAGE]
    first = slice(len(levels))
    return Written(
        tries,
        array.pulses[first].copy(),
        array.pulse_seconds[first].copy(),
        status,
        array.pulse_joules[first].copy(),
        conversions,
        Tag.SIMULATED,
    )


@dataclass(frozen=True, eq=False)
class Estimate:
    """What writing a network's cells will take, from writing some of them.

    A sampled cell stands for those of its level, whose places make no difference to it, or in
    lines with resistance are as mixed as the sample's; no cell is stuck.

    Attributes
    ----------
    levels:
        Of the network's cells, shape (tiles, rows, columns).
    sample:
        Levels of the sampled ones, ascending, shape (cells,).
    found:
        What these have taken, shape (1, 1, cells).
    """

    levels: NDArray[np.integer]
    sample: IntArray
    found: Written

    @classmethod
    def of(cls, compiled: Compiled) -> Estimate:
        """Write sampled cells on the numpy engine."""
        geometry = compiled.image.geometry
        tiles = min(compiled.image.tiles, max(1, SAMPLE_CELLS // geometry.cells))
        counts = np.zeros(len(compiled.device.level_codes), np.int64)
        for tile in compiled.levels:
            counts += np.bincount(tile.reshape(-1), minlength=len(counts))
        sample = _sample(counts, tiles * geometry.cells)
        few = replace(compiled, image=replace(compiled.image, tiles=tiles))
        engine = build_engine(few, program=False, array_type=MeteredArray)
        with _unsaid():
            places = np.arange(sample.size)
            if compiled.options.wires:
                places = np.random.default_rng(0).permutation(places)
            levels = np.empty_like(sample)
            levels[places] = sample
            found = write(engine, levels.reshape(tiles, geometry.rows, geometry.columns))
        return cls(compiled.levels, sample, found.taken(places).reshaped((1, 1, sample.size)))

    def of_tiles(self, tiles: Sequence[int]) -> Written:
        """What some tiles will take."""
        levels = self.levels[list(tiles)]
        dealt = _deal(self.sample, levels.reshape(-1))
        return replace(self.found.taken(dealt).reshaped(levels.shape), tag=self.tag)

    @property
    def tag(self) -> Tag:
        """How this was come by."""
        return Tag.ESTIMATED


@contextmanager
def _unsaid() -> Iterator[None]:
    """Without the engine's warnings, which would name tiles that are none of the network's."""
    log = logging.getLogger(NumpyEngine.__module__)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


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
    written: Written | Estimate,
    front_end: FrontEndCycles | None,
    consumers: Sequence[Consumer],
) -> dict[str, Any]:
    """Figures of every layer that has tiles and of all together, as plain JSON values.

    Layers that share a tile are told together.

    Parameters
    ----------
    written:
        What writing took, or will take.
    front_end:
        What the time is for; None: it is not known.
    consumers:
        What takes power meanwhile.
    """
    layers: dict[int, dict[str, None]] = {tile: {} for tile in range(compiled.image.tiles)}
    for p in compiled.placements:
        layers[p.tile][compiled.layers[p.layer].name] = None
    owners: dict[str, list[int]] = {}
    for tile, names in layers.items():  # a network without a matrix has a tile all the same
        owners.setdefault(", ".join(names) or UNUSED, []).append(tile)
    watts = sum(each.watts for each in consumers)
    found = {name: _figures(compiled, written, tiles, front_end) for name, tiles in owners.items()}
    total = {key: sum(each[key] for each in found.values()) for key in next(iter(found.values()))}
    return {
        "tag": written.tag.value,
        "layers": [{"name": name, **_rounded(each, watts)} for name, each in found.items()],
        "total": _rounded(total, watts),
    }


def _figures(
    compiled: Compiled,
    written: Written | Estimate,
    tiles: Sequence[int],
    front_end: FrontEndCycles | None,
) -> dict[str, float]:
    """Sums over some tiles; of many, over as many of them as are counted, evenly spaced."""
    most = max(1, COUNTED_CELLS // compiled.image.geometry.cells)
    counted = [tiles[n * len(tiles) // most] for n in range(most)] if len(tiles) > most else tiles
    here = written.of_tiles(counted)
    each = len(tiles) / len(counted)
    tries = int(here.tries.sum(dtype=np.int64))
    return {
        "cells": len(tiles) * compiled.image.geometry.cells,
        "tries": each * tries,
        "pulses": each * int(here.pulses.sum(dtype=np.int64)),
        "conversions": each * tries * here.conversions,
        "not_converged": each * int((here.status != CellStatus.DONE).sum()),
        "seconds": each * _seconds(compiled, here, front_end),
        "pulse_j": each * float(here.joules.sum()),
    }


def _seconds(compiled: Compiled, here: Written, front_end: FrontEndCycles | None) -> float:
    """Time that writing takes [s]; NaN where it is not known.

    That of the controller, which writes by itself; of cells that a host writes one after the
    other, pulses and as long a pause after each train: what the link takes comes on top.
    """
    op = writing_op(compiled.device, compiled.image.geometry)
    if op is not Op.PROGRAM:
        return (1 if op is None else 2) * float(here.seconds.sum())
    if front_end is None:
        return math.nan
    cycles = program_cycles(compiled.image, front_end, here.tries, here.status)
    return cycles / compiled.options.clk_hz


def _rounded(figures: dict[str, float], watts: float) -> dict[str, Any]:
    """As the report has them."""
    timed = math.isfinite(figures["seconds"])
    return {
        "cells": int(figures["cells"]),
        "tries_per_cell": figures["tries"] / figures["cells"],
        "pulses": round(figures["pulses"]),
        "conversions": round(figures["conversions"]),
        "not_converged": round(figures["not_converged"]),
        "seconds": figures["seconds"] if timed else None,
        "pulse_j": figures["pulse_j"],
        # What conversions and pulses take besides is nothing next to it.
        "supplies_j": watts * figures["seconds"] if timed else None,
    }
