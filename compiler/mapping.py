"""Weights to tiles: which cell holds which weight, and which rows are driven together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..hw.geometry import Geometry
from .errors import TargetError
from .graph import Dense
from .quantise import QuantisedLayer


@dataclass(frozen=True)
class Placement:
    """One tile: a block of a layer's weight matrix on lane 0.

    Input ``first_input + r`` drives row ``r``; output ``first_output + k`` is
    the pair of columns ``2k`` (G+) and ``2k + 1`` (G-).
    """

    tile: int
    layer: int
    first_input: int
    inputs: int
    first_output: int
    outputs: int


def tiles_needed(layer: Dense | QuantisedLayer, geometry: Geometry) -> int:
    """Tiles that a layer takes."""
    return -(-layer.inputs // geometry.rows) * -(-layer.outputs // geometry.pairs)


def place(layers: Sequence[Dense | QuantisedLayer], geometry: Geometry) -> tuple[Placement, ...]:
    """Tiles in the order in which an inference uses them: layer, outputs, inputs.

    Raises
    ------
    TargetError
        If the network needs more tiles than the controller has.
    """
    needed = sum(tiles_needed(layer, geometry) for layer in layers)
    if needed > geometry.tiles:
        raise TargetError(
            f"the network needs {needed} tiles of {geometry.rows} x {geometry.columns} cells, "
            f"the target has {geometry.tiles}"
        )
    blocks = (
        (number, first_input, layer.inputs, first_output, layer.outputs)
        for number, layer in enumerate(layers)
        for first_output in range(0, layer.outputs, geometry.pairs)
        for first_input in range(0, layer.inputs, geometry.rows)
    )
    return tuple(
        Placement(
            tile,
            number,
            first_input,
            min(geometry.rows, inputs - first_input),
            first_output,
            min(geometry.pairs, outputs - first_output),
        )
        for tile, (number, first_input, inputs, first_output, outputs) in enumerate(blocks)
    )


def cell_levels(
    layers: Sequence[QuantisedLayer], placements: Sequence[Placement], geometry: Geometry
) -> np.ndarray:
    """Level of every cell, uint16, shape (tiles, rows, columns); unused cells are on level 0."""
    levels = np.zeros((len(placements), geometry.rows, geometry.columns), np.uint16)
    for p in placements:
        weight = layers[p.layer].weight
        block = weight[
            p.first_output : p.first_output + p.outputs, p.first_input : p.first_input + p.inputs
        ].T
        levels[p.tile, : p.inputs, 0 : 2 * p.outputs : 2] = np.maximum(block, 0)
        levels[p.tile, : p.inputs, 1 : 2 * p.outputs : 2] = np.maximum(-block, 0)
    return levels


def row_groups(rows: int, limit: int) -> list[tuple[int, int]]:
    """``(first, count)`` of the fewest groups of at most ``limit`` rows, as even as can be."""
    groups = -(-rows // limit)
    edges = [rows * number // groups for number in range(groups + 1)]
    return [(first, end - first) for first, end in zip(edges, edges[1:], strict=False)]
