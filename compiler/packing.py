"""Small matrices that are applied together become one: they share a tile and its products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..hw.geometry import Geometry
from .encoding import Encoding
from .graph import Network
from .layers import Block, Matrix, Patches, compact
from .scales import Scale


def packed(
    network: Network,
    scales: Sequence[Scale],
    geometry: Geometry,
    encodings: Mapping[int, Encoding],
    most: int,
) -> Network:
    """The same network, its small matrices joined as far as one tile holds them.

    Those of one layer that follow each other, are applied at the same positions, read values
    of one scale and make outputs one after the other become one matrix. Each of them has
    rows and columns of its own, with zeros beside them; what several of them read has one row.
    That takes neither more rows of tiles nor more products; but cells that hold a zero are
    not exactly equal, so that each row that is driven beside an output's own adds to its error.

    Parameters
    ----------
    scales:
        Of the input and of every layer's values.
    encodings:
        How weights lie in cells, by layer.
    most:
        Matrices that are joined to one.
    """
    # Layers that share their cells are left alone: what is joined must be so in all of them.
    layers = list(network.layers)
    for number, layer in enumerate(layers):
        if not isinstance(layer, Matrix) or layer.alike:
            continue
        runs: list[list[Block]] = []
        before: Scale | None = None
        for block in layer.blocks:
            scale = scales[network.tensor_of(block.source.largest)]
            joins = scale == before and len(runs[-1]) < most and _together(runs[-1], block)
            if not (joins and _fit([*runs[-1], block], geometry, encodings[number])):
                runs.append([])
            runs[-1].append(block)
            before = scale
        layers[number] = replace(layer, blocks=tuple(map(_joined, runs)))
    return replace(network, layers=tuple(layers))


def _together(run: Sequence[Block], block: Block) -> bool:
    """Whether a matrix is applied where others are, and its outputs follow theirs."""
    first, last = run[0], run[-1]
    if block.positions != first.positions or (block.scale is None) != (first.scale is None):
        return False
    apart = block.source.begin - first.source.begin
    follow = np.array_equal(block.target, last.target + last.outputs)
    return follow and bool((apart == apart[0]).all())


def _fit(blocks: Sequence[Block], geometry: Geometry, encoding: Encoding) -> bool:
    """Whether one tile holds all of them."""
    if sum(block.outputs for block in blocks) > encoding.outputs(geometry.columns):
        return False
    return len(np.unique(np.concatenate(_inputs(blocks)))) <= geometry.rows


def _inputs(blocks: Sequence[Block]) -> list[np.ndarray]:
    """What each matrix reads at its first position: places in the values of all of them.

    Those are the different :attr:`Patches.values`, one after the other.
    """
    begins: dict[int, int] = {}
    count = 0
    for source in (block.source for block in blocks):
        if id(source.values) not in begins:
            begins[id(source.values)] = count
            count += len(source.values)
    sources = [block.source for block in blocks]
    return [begins[id(each.values)] + each.begin[0] + each.offset for each in sources]


def _joined(blocks: Sequence[Block]) -> Block:
    """One matrix in place of several."""
    first = blocks[0]
    if len(blocks) == 1:
        return first
    offset, rows = np.unique(np.concatenate(_inputs(blocks)), return_inverse=True)
    shape = sum(block.outputs for block in blocks), len(offset)
    weight = np.zeros(shape, np.result_type(*(block.weight for block in blocks)))
    row = column = 0
    for block in blocks:
        here = rows[row : row + block.inputs]
        weight[column : column + block.outputs, here] = block.weight
        row, column = row + block.inputs, column + block.outputs
    shared = {id(block.source.values): block.source.values for block in blocks}
    values = first.source.values
    if len(shared) > 1:
        values = compact(np.concatenate([np.asarray(each) for each in shared.values()]))
    known = [block.scale for block in blocks if block.scale is not None]
    return Block.of(
        Patches(values, first.source.begin - first.source.begin[0], offset),
        weight,
        np.concatenate([block.bias for block in blocks]),
        first.target,
        np.concatenate(known) if known else None,
    )
