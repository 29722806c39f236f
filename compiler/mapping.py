"""Weights to tiles: which cell holds which weight, and which rows are driven together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from ..hw.geometry import Geometry
from .encoding import Encoding
from .errors import TargetError
from .graph import Network
from .layers import Matrix
from .options import Options

ROWS_TO_A_SPARE = 16
"""Rows of a matrix to each that may be left out for stuck cells."""


@dataclass(frozen=True)
class Placement:
    """A part of a matrix on a tile of lane 0, which may hold others in other rows.

    Slice ``slice`` of matrix ``block`` of layer ``layer``, all counted from 0. Input
    ``first_input + r`` drives row ``first_row + r``; in which columns output
    ``first_output + k`` is says the layer's :class:`~ohmloom.compiler.encoding.Encoding`.
    """

    tile: int
    layer: int
    block: int
    slice: int
    first_input: int
    inputs: int
    first_output: int
    outputs: int
    first_row: int = 0

    @property
    def rows(self) -> range:
        """Its rows of the tile."""
        return range(self.first_row, self.first_row + self.inputs)

    @property
    def weights(self) -> tuple[slice, slice]:
        """Its part of a matrix (inputs, outputs)."""
        return (
            slice(self.first_input, self.first_input + self.inputs),
            slice(self.first_output, self.first_output + self.outputs),
        )

    def cells(self, array: np.ndarray, encoding: Encoding) -> np.ndarray:
        """Those that hold it, of an array (tiles, rows, columns): (inputs, its columns)."""
        rows = slice(self.first_row, self.first_row + self.inputs)
        return array[self.tile, rows, : encoding.columns(self.outputs)]


def tiles_used(placements: Sequence[Placement]) -> int:
    """Tiles of an image: a card has one even if a network needs none."""
    return 1 + max((p.tile for p in placements), default=0)


def by_matrix(placements: Sequence[Placement]) -> dict[tuple[int, int], list[Placement]]:
    """The parts of every matrix, by its layer and which of the layer's it is, in order."""
    parts: dict[tuple[int, int], list[Placement]] = {}
    for p in placements:
        parts.setdefault((p.layer, p.block), []).append(p)
    return parts


def spare_rows(inputs: int) -> int:
    """Rows that a part of a matrix may leave out for stuck cells."""
    return -(-inputs // ROWS_TO_A_SPARE)


def place(
    network: Network,
    geometry: Geometry,
    encodings: Mapping[int, Encoding],
    *,
    spare: bool = False,
) -> tuple[Placement, ...]:
    """Parts in the order in which an inference uses them: layer, matrix, outputs, slice, inputs.

    Each is on the first tile that has rows left for it. An ``MVM`` drives these rows alone:
    all others are at 0 V like the columns, so that no current flows in their cells.

    Parameters
    ----------
    encodings:
        How weights lie in cells, by layer.
    spare:
        Whether rows are kept for :func:`spare_rows`, as far as a tile has them.

    Raises
    ------
    TargetError
        If the network needs more tiles than the controller has.
    """
    parts = (
        (number, which, piece, first_input, block.inputs, first_output, block.outputs)
        for number, layer in enumerate(network.layers)
        if isinstance(layer, Matrix) and network.holders[number] == number
        for which, block in enumerate(layer.blocks)
        for first_output in range(0, block.outputs, encodings[number].outputs(geometry.columns))
        for piece in range(encodings[number].slices)
        for first_input in range(0, block.inputs, geometry.rows)
    )
    left, placements = _Rows(geometry.rows), list[Placement]()
    for number, which, piece, first_input, inputs, first_output, outputs in parts:
        here = min(geometry.rows, inputs - first_input)
        tile, row = left.take(min(geometry.rows, here + spare * spare_rows(here)))
        some = min(encodings[number].outputs(geometry.columns), outputs - first_output)
        placements.append(
            Placement(tile, number, which, piece, first_input, here, first_output, some, row)
        )
    if left.tiles > geometry.tiles:
        raise TargetError(
            f"the network needs {left.tiles} tiles of {geometry.rows} x {geometry.columns} cells, "
            f"the target has {geometry.tiles}"
        )
    return tuple(placements)


class _Rows:
    """Rows that are left of tiles of so many; there is always another tile."""

    def __init__(self, rows: int) -> None:
        self.tiles = 0
        self._heaps: list[list[int]] = [[] for _ in range(rows + 1)]  # tiles by rows left

    def take(self, rows: int) -> tuple[int, int]:
        """The first tile that has so many left, and the first of these rows."""
        every = len(self._heaps) - 1
        found = [(heap[0], n) for n, heap in enumerate(self._heaps) if heap and n >= rows]
        tile, left = min(found, default=(self.tiles, every))
        if tile == self.tiles:
            self.tiles += 1
        else:
            heappop(self._heaps[left])
        heappush(self._heaps[left - rows], tile)
        return tile, every - left


def encodings_of(network: Network, options: Options, levels: int) -> dict[int, Encoding]:
    """How weights lie in cells of so many levels, by layer.

    Layers that share cells have the choices for the one that holds them.

    Raises
    ------
    TargetError
        If there are others for one of them.
    """
    names = [layer.name for layer in network.layers]
    every = options.encodings(levels, names)
    found = {number: every[holder] for number, holder in enumerate(network.holders)}
    for number, holder in enumerate(network.holders):
        own = options.layers.get(names[number])
        if own is None:
            continue
        held = found[number]
        if own.slices not in (None, held.slices) or own.scheme not in (None, held.scheme):
            raise TargetError(
                f"layer '{names[number]}' is on the cells of layer '{names[holder]}', which have "
                f"{held}"
            )
    return found


def check_encoding(encoding: Encoding, geometry: Geometry) -> None:
    """Refuse weights that the controller cannot add up.

    Raises
    ------
    TargetError
        Naming what it takes.
    """
    if encoding.single and geometry.compact:
        raise TargetError(
            f"{encoding.scheme} weights are in single columns, which the target's controller, a "
            "compact one, lacks"
        )
    if encoding.shift(encoding.slices - 1) > geometry.most_shift:
        raise TargetError(
            f"{encoding.slices} slices of {encoding.bits} bits are {encoding.bits} bits apart, the "
            f"target's controller adds up slices up to {geometry.most_shift} bits apart together"
        )


def row_groups(rows: int, limit: int) -> list[tuple[int, int]]:
    """``(first, count)`` of the fewest groups of at most ``limit`` rows, as even as can be."""
    groups = -(-rows // limit)
    edges = [rows * number // groups for number in range(groups + 1)]
    return [(first, end - first) for first, end in zip(edges, edges[1:], strict=False)]
