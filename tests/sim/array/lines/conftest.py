"""The network of a tile as one sparse matrix: what nested dissection has to agree with."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import linalg

from ohmloom.sim.array.lines import Solution, Wires


def whole_network(
    g: np.ndarray,
    wires: Wires,
    row_volts: np.ndarray,
    column_volts: np.ndarray,
    sources: np.ndarray | float = 0.0,
) -> Solution:
    """One setting, node by node: rows' nodes first, then those of the columns."""
    g = g / (1 + g * wires.series_ohms)
    count = g.size
    row = np.arange(count).reshape(g.shape)
    column = row + count
    elements: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    flow = np.zeros(2 * count)

    def between(a: np.ndarray, b: np.ndarray, siemens: np.ndarray | float) -> None:
        value = np.broadcast_to(siemens, a.shape).ravel()
        a, b = a.ravel(), b.ravel()
        elements.extend([(a, a, value), (b, b, value), (a, b, -value), (b, a, -value)])

    def end(nodes: np.ndarray, volts: np.ndarray, siemens: float) -> None:
        there = ~np.isnan(volts)
        nodes, volts = nodes[there], volts[there]
        elements.append((nodes, nodes, np.full(nodes.size, siemens)))
        np.add.at(flow, nodes, siemens * volts)

    between(row, column, g)
    between(row[:, :-1], row[:, 1:], 1 / wires.row_ohms)
    between(column[:-1], column[1:], 1 / wires.column_ohms)
    drive = 1 / (wires.row_ohms + wires.drive_ohms)
    sense = 1 / (wires.column_ohms + wires.sense_ohms)
    rows = [row[:, 0], *([row[:, -1]] if wires.drive_both else [])]
    columns = [column[-1], *([column[0]] if wires.sense_both else [])]
    for nodes in rows:
        end(nodes, row_volts, drive)
    for nodes in columns:
        end(nodes, column_volts, sense)
    beside = np.broadcast_to(sources, g.shape).ravel()
    flow[:count] -= beside
    flow[count:] += beside
    at, to, value = (np.concatenate(part) for part in zip(*elements, strict=True))
    matrix = sparse.coo_array((value, (at, to)), shape=(2 * count, 2 * count)).tocsc()
    volts = np.asarray(linalg.spsolve(matrix, flow))
    cells = volts[:count] - volts[count:]
    into = sum(np.nan_to_num(row_volts - volts[nodes]) * drive for nodes in rows)
    out = sum(np.nan_to_num(volts[nodes] - column_volts) * sense for nodes in columns)
    return Solution(cells.reshape(*g.shape, 1), np.asarray(into)[:, None], np.asarray(out)[:, None])


@pytest.fixture
def conductances() -> np.ndarray:
    """Of 70 x 41 cells [S]."""
    return np.random.default_rng(5).uniform(1e-6, 1e-3, (70, 41))
