"""Integer weights to levels of cells, around those that are stuck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..hw.geometry import Geometry
from ..sim.devices import Device
from .encoding import Encoding
from .errors import TargetError
from .mapping import Placement, spare_rows, tiles_used
from .quantise import QuantisedBlock


def check_faults(
    faults: np.ndarray, tiles: int, geometry: Geometry, what: str = "the fault map"
) -> np.ndarray:
    """A fault map as float64, shape (tiles, rows, columns).

    Parameters
    ----------
    faults:
        Conductance of stuck cells [S], NaN where a cell can be written; of as many tiles
        as the network takes, or more.
    what:
        What it is called when it is refused.

    Raises
    ------
    TargetError
        If it is no such array.
    """
    shape = (tiles, geometry.rows, geometry.columns)
    if faults.ndim != 3 or faults.shape[1:] != shape[1:] or len(faults) < tiles:
        raise TargetError(f"{what}: shape {faults.shape}, {shape} is accepted, or more tiles")
    if faults.dtype.kind != "f":
        raise TargetError(f"{what}: type {faults.dtype}, floats are accepted: siemens")
    known = faults[~np.isnan(faults)]
    if not (np.isfinite(known).all() and (known >= 0).all()):
        raise TargetError(f"{what}: conductances that are not finite or below 0")
    return faults[:tiles].astype(np.float64)


@dataclass(frozen=True)
class Cells:
    """What the cells are programmed to, and what they make of the weights.

    Attributes
    ----------
    levels:
        Level of every cell, of :func:`level_type`, shape (tiles, rows, columns); unused
        cells are on level 0.
    placements:
        Where the weights are, rows chosen around stuck cells.
    weights:
        Integer weights as the cells hold them (outputs, inputs), by layer and which of the
        layer's matrices it is; floats where cells are stuck.
    stuck:
        Stuck cells as of :func:`assign`.
    """

    levels: np.ndarray
    placements: tuple[Placement, ...]
    weights: Mapping[tuple[int, int], np.ndarray]
    stuck: np.ndarray | None = None


def assign(
    blocks: Sequence[QuantisedBlock],
    placements: Sequence[Placement],
    geometry: Geometry,
    encodings: Mapping[int, Encoding],
    stuck: np.ndarray | None = None,
    *,
    spare: bool = True,
) -> Cells:
    """Levels of all cells.

    Parameters
    ----------
    encodings:
        How weights lie in cells, by layer.
    stuck:
        Where cells are stuck, in steps of a level above level 0, and NaN elsewhere, shape
        (tiles, rows, columns). Of two cells with one such the other one gives the
        difference that is wanted, what is missing then is left to the slices below, and
        of the rows that a matrix has to spare those are left out with which most is missing.
    spare:
        Whether there are rows to spare.
    """
    shape = (tiles_used(placements), geometry.rows, geometry.columns)
    levels = np.zeros(shape, level_type(encodings[0].levels))
    if stuck is None:
        weights = {(b.layer, b.block): b.weight for b in blocks}
        for p in placements:
            part = weights[p.layer, p.block].T[p.weights]
            p.cells(levels, encodings[p.layer])[:] = encodings[p.layer].cells(part, p.slice)
        return Cells(levels, tuple(placements), weights)
    wanted = {(b.layer, b.block): b.weight.T.astype(np.float64) for b in blocks}
    held = {which: weight.copy() for which, weight in wanted.items()}
    placed = list(placements)
    ends = _ends(placements, geometry)
    # Slice after slice, the one that counts most first.
    for number in sorted(range(len(placed)), key=lambda number: -placements[number].slice):
        p, encoding = placements[number], encodings[placements[number].layer]
        left = wanted[p.layer, p.block][p.weights]
        unit = encoding.unit(p.slice)
        rows_left = min(ends[number] - p.rows.stop, spare_rows(p.inputs)) if spare else 0
        tries = []
        for first in range(p.first_row, p.first_row + rows_left + 1):
            moved = replace(p, first_row=first)
            tries.append((moved, *encoding.around(left, moved.cells(stuck, encoding), p.slice)))
        placed[number], found, real = min(
            tries, key=lambda found: float(np.square(left - found[2] * unit).sum())
        )
        placed[number].cells(levels, encoding)[:] = found
        wanted[p.layer, p.block][p.weights] = left - real * unit
    weights = {which: (held[which] - missing).T for which, missing in wanted.items()}
    return Cells(levels, tuple(placed), weights, stuck)


def _ends(placements: Sequence[Placement], geometry: Geometry) -> list[int]:
    """For each part the row of its tile where the next one begins, or the tile ends."""
    ends = [geometry.rows] * len(placements)
    order = sorted(range(len(ends)), key=lambda n: (placements[n].tile, placements[n].first_row))
    for number, following in pairwise(order):
        if placements[number].tile == placements[following].tile:
            ends[number] = placements[following].first_row
    return ends


def level_type(levels: int) -> np.dtype:
    """The type of the levels of cells that have so many."""
    return np.min_scalar_type(levels - 1)


def in_levels(faults: np.ndarray, device: Device) -> np.ndarray:
    """Conductances [S] in steps of a level above level 0."""
    return (faults / device.g_lsb - float(device.level_codes[0])) / device.level_step
