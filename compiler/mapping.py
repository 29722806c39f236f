"""Weights to tiles: which cell holds which weight, and which rows are driven together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..hw.geometry import Geometry
from .errors import TargetError
from .graph import Network
from .layers import Block, Matrix
from .quantise import QuantisedBlock
from .slicing import Slicing


@dataclass(frozen=True)
class Placement:
    """One tile: a part of a matrix on lane 0.

    Slice ``slice`` of matrix ``block`` of layer ``layer``, all counted from 0. Input
    ``first_input + r`` drives row ``first_row + r``; output ``first_output + k`` is the
    pair of columns ``2k`` (G+) and ``2k + 1`` (G-).
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

    def cells(self, levels: np.ndarray) -> np.ndarray:
        """Those that hold it, of an array (tiles, rows, columns): (inputs, 2 * outputs)."""
        rows = slice(self.first_row, self.first_row + self.inputs)
        return levels[self.tile, rows, : 2 * self.outputs]


def tiles_needed(block: Block | QuantisedBlock, geometry: Geometry) -> int:
    """Tiles that a matrix takes."""
    return -(-block.inputs // geometry.rows) * -(-block.outputs // geometry.pairs)


def tiles_used(placements: Sequence[Placement]) -> int:
    """Tiles of an image: a card has one even if a network needs none."""
    return max(len(placements), 1)


def place(network: Network, geometry: Geometry, slices: int = 1) -> tuple[Placement, ...]:
    """Tiles in the order in which an inference uses them: layer, matrix, outputs, slice, inputs.

    Raises
    ------
    TargetError
        If the network needs more tiles than the controller has.
    """
    blocks = [
        (number, which, block)
        for number, layer in enumerate(network.layers)
        if isinstance(layer, Matrix) and network.holders[number] == number
        for which, block in enumerate(layer.blocks)
    ]
    needed = sum(tiles_needed(block, geometry) for *_, block in blocks) * slices
    if needed > geometry.tiles:
        raise TargetError(
            f"the network needs {needed} tiles of {geometry.rows} x {geometry.columns} cells, "
            f"the target has {geometry.tiles}"
        )
    parts = (
        (number, which, piece, first_input, block.inputs, first_output, block.outputs)
        for number, which, block in blocks
        for first_output in range(0, block.outputs, geometry.pairs)
        for piece in range(slices)
        for first_input in range(0, block.inputs, geometry.rows)
    )
    return tuple(
        Placement(
            tile,
            number,
            which,
            piece,
            first_input,
            min(geometry.rows, inputs - first_input),
            first_output,
            min(geometry.pairs, outputs - first_output),
        )
        for tile, (number, which, piece, first_input, inputs, first_output, outputs) in enumerate(
            parts
        )
    )


def check_slices(slicing: Slicing, geometry: Geometry) -> None:
    """Refuse slices that the controller cannot add up.

    Raises
    ------
    TargetError
        Naming what it takes.
    """
    if slicing.shift(slicing.count - 1) > geometry.most_shift:
        raise TargetError(
            f"{slicing.count} slices of {slicing.bits} bits are {slicing.bits} bits apart, the "
            f"target's controller adds up slices up to {geometry.most_shift} bits apart together"
        )


def row_groups(rows: int, limit: int) -> list[tuple[int, int]]:
    """``(first, count)`` of the fewest groups of at most ``limit`` rows, as even as can be."""
    groups = -(-rows // limit)
    edges = [rows * number // groups for number in range(groups + 1)]
    return [(first, end - first) for first, end in zip(edges, edges[1:], strict=False)]
