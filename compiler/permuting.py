"""Outputs of matrices in another order, so that less of the weights is lost in stuck cells.

Which output lies on which pair of columns is free, and with it which row the next matrices
have for it: :mod:`~ohmloom.compiler.channels` says which may change places without another
instruction. The order that loses least is a linear assignment for one group of channels while
all others stay; groups take turns, and so does the choice of spare rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..hw.geometry import Geometry
from .cells import Cells, assign
from .channels import Channels
from .encoding import Encoding
from .graph import Network
from .layers import Matrix
from .mapping import Placement, by_matrix
from .quantise import QuantisedBlock
from .seen import Seen, Which

log = logging.getLogger(__name__)

MOST = 4096
"""Members of a group that are permuted; larger ones are left as they are."""
ROUNDS = 4
"""Of all groups, at most."""
ENOUGH = 0.01
"""Of the error, that a round must gain for another one."""
_PART = 1 << 18
"""Weights that are tried at once: bounds memory, changes nothing."""


@dataclass(frozen=True)
class Order:
    """Another order of the channels of a network.

    Attributes
    ----------
    channels:
        Those that there are.
    to:
        Where each of them has gone.
    """

    network: Network
    channels: Channels
    to: np.ndarray

    @property
    def moves(self) -> Mapping[str, tuple[int, ...]]:
        """By the name of each layer whose channels have moved where each has gone."""
        found = {
            layer.name: self.channels.order(number + 1, self.to)
            for number, layer in enumerate(self.network.layers)
        }
        return {
            name: tuple(moved.tolist())
            for name, moved in found.items()
            if (np.diff(moved) != 1).any()
        }

    def sides(self, which: Which) -> tuple[np.ndarray, np.ndarray]:
        """Which output and which input of a matrix is now in each place."""
        layer = self.network.layers[which[0]]
        assert isinstance(layer, Matrix)
        block = layer.blocks[which[1]]
        outputs, inputs = (
            np.argsort(side(block, self.to))
            for side in (self.channels.outputs, self.channels.inputs)
        )
        return outputs, inputs

    def of_network(self) -> Network:
        """The network: it makes the same of the same, in this order."""
        layers = list(self.network.layers)
        for number, layer in enumerate(layers):
            if isinstance(layer, Matrix):
                blocks = list(layer.blocks)
                for which, block in enumerate(blocks):
                    outputs, inputs = self.sides((number, which))
                    blocks[which] = replace(
                        block,
                        weight=block.weight[outputs][:, inputs],
                        bias=block.bias[outputs],
                        scale=None if block.scale is None else block.scale[outputs],
                    )
                layers[number] = replace(layer, blocks=tuple(blocks))
            elif layer.sorts is not None:
                moved = self.channels.moved(layer.made, self.to) - layer.first
                layers[number] = layer.rearranged(np.argsort(moved))
        return replace(self.network, layers=tuple(layers))

    def of_blocks(self, blocks: Sequence[QuantisedBlock]) -> tuple[QuantisedBlock, ...]:
        """Its matrices in integers."""
        made = []
        for block in blocks:
            outputs, inputs = self.sides((block.layer, block.block))
            made.append(
                replace(
                    block,
                    weight=block.weight[outputs][:, inputs],
                    weight_scale=block.weight_scale[outputs],
                    bias=block.bias[outputs],
                )
            )
        return tuple(made)

    def of_seen(self, seen: Seen) -> Seen:
        """What its matrices see."""
        sides = {which: self.sides(which)[1] for which in seen.draws}
        draws = {which: draws[:, sides[which]] for which, draws in seen.draws.items()}
        means = {which: mean[sides[which]] for which, mean in seen.means.items()}
        return Seen(draws, means)


def find_order(
    network: Network,
    blocks: Sequence[QuantisedBlock],
    placements: Sequence[Placement],
    geometry: Geometry,
    encodings: Mapping[int, Encoding],
    stuck: np.ndarray,
    seen: Seen,
    steps: Callable[[Sequence[QuantisedBlock], Seen, Cells], int],
    *,
    spare: bool = True,
) -> Order:
    """The order in which least is lost: never more than in the order that there is.

    An error counts by the mean square of its input, and as a part of what its matrix makes.

    Parameters
    ----------
    blocks, placements, encodings, stuck, spare:
        As of :func:`~ohmloom.compiler.cells.assign`.
    seen:
        On calibration samples.
    steps:
        What matrices take, in the order that they are given in: never more either.
    """
    channels = Channels(network)
    best = order = Order(network, channels, np.arange(channels.count))
    places, lost, most = _places(network, channels), list[float](), 0
    for _ in range(ROUNDS + 1):
        own, looked = order.of_blocks(blocks), order.of_seen(seen)
        cells = assign(own, placements, geometry, encodings, stuck, spare=spare)
        parts = by_matrix(cells.placements)
        trials = {
            which: _Trial.of(
                block, parts[which], stuck, encodings[block.layer], looked.draws[which]
            )
            for block in own
            if (which := (block.layer, block.block)) in parts
        }
        error, taken = sum(trial.lost() for trial in trials.values()), steps(own, looked, cells)
        if not lost:
            most = taken
        elif error >= lost[-1] or taken > most:
            break
        best = order
        lost.append(error)
        if len(lost) > 1 and error > (1 - ENOUGH) * lost[-2]:
            break
        to = order.to
        for nodes, found in zip(channels.groups, places, strict=True):
            if len(nodes) <= MOST:
                to = _improved(to, nodes, [(trials[which], side, at) for which, side, at in found])
        if np.array_equal(to, order.to):
            break
        order = replace(order, to=to)
    log.info("channels in another order: an error of %.4g in place of %.4g", lost[-1], lost[0])
    return best


def _places(network: Network, channels: Channels) -> list[list[tuple[Which, int, np.ndarray]]]:
    """For each group the matrices that make it (side 0) or read it (side 1): which of their
    outputs or inputs each member is, shape (members, n)."""
    found: list[list[tuple[Which, int, np.ndarray]]] = [[] for _ in channels.groups]
    for number, layer in enumerate(network.layers):
        for which, block in enumerate(layer.blocks if isinstance(layer, Matrix) else ()):
            first = block.made(slice(1))[0], block.source.at(slice(1))[0]
            for side, values in enumerate(first):
                for group, places in channels.tables(values):
                    found[group].append(((number, which), side, places))
    return found


def _improved(
    to: np.ndarray, nodes: np.ndarray, found: Sequence[tuple[_Trial, int, np.ndarray]]
) -> np.ndarray:
    """Where nodes have gone when a group is in its best order too, all others as they are."""
    costs = np.zeros((len(nodes), len(nodes)))
    for trial, side, places in found:
        trial.add_costs(costs, side, places)
    _, chosen = linear_sum_assignment(costs)
    touched = {id(trial): trial for trial, _, _ in found}.values()
    before = sum(trial.lost() for trial in touched)
    for trial, side, places in found:
        trial.move(side, places[chosen], places)
    # Where a matrix both reads and makes a group, the costs are not all that there is.
    if sum(trial.lost() for trial in touched) >= before:
        for trial, side, places in found:
            trial.move(side, places, places[chosen])
        return to
    step = np.arange(len(to))
    step[nodes[chosen]] = nodes
    return step[to]


@dataclass
class _Trial:
    """A matrix in the order so far, and the pairs of cells that are not free.

    Attributes
    ----------
    weight:
        Integers, shape (outputs, inputs).
    factors:
        What the square of an error counts, one for each output and one for each input.
    at:
        Output and input of every pair with a stuck cell, in any slice; shape (2, pairs).
    kind, kinds:
        Which kind of pair each is, and the levels at which these are stuck, or NaN, of all
        slices: shape (kinds, slices, 2).
    squares:
        Of the error of every weight on each of the kinds, if that is not too much.
    """

    weight: np.ndarray
    factors: tuple[np.ndarray, np.ndarray]
    at: np.ndarray
    kind: np.ndarray
    kinds: np.ndarray
    encoding: Encoding
    squares: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        block: QuantisedBlock,
        parts: Sequence[Placement],
        stuck: np.ndarray,
        encoding: Encoding,
        draws: np.ndarray,
    ) -> _Trial:
        """That of a matrix on its parts of tiles."""
        windows: dict[tuple[int, int], list[Placement]] = {}
        for p in parts:
            windows.setdefault((p.first_output, p.first_input), []).append(p)
        at, levels = [], []
        for (output, first), own in windows.items():
            cells = np.stack(
                [
                    encoding.alone(p.cells(stuck, encoding))
                    for p in sorted(own, key=lambda p: p.slice)
                ],
                axis=2,
            )
            row, pair = np.nonzero(~np.isnan(cells).all(axis=(2, 3)))
            at.append(np.stack([output + pair, first + row]))
            levels.append(cells[row, pair])
        found = np.concatenate(levels).reshape(-1, 2 * encoding.slices)
        # NaN is not equal to itself.
        kinds, kind = np.unique(
            np.where(np.isnan(found), -np.inf, found), axis=0, return_inverse=True
        )
        kinds = np.where(np.isinf(kinds), np.nan, kinds).reshape(-1, encoding.slices, 2)
        square = np.square(draws).mean(axis=0, dtype=np.float64)
        factors = np.square(block.weight_scale), square + square.mean() / 16
        size = factors[0] @ np.square(block.weight, dtype=np.float64) @ factors[1]
        made = cls(
            block.weight.copy(),
            (factors[0] / (size or 1.0), factors[1]),
            np.concatenate(at, axis=1),
            kind.reshape(-1),
            kinds,
            encoding,
        )
        if len(kinds) * (2 * encoding.top + 1) <= _PART:
            weights = np.arange(-encoding.top, encoding.top + 1)
            made.squares = made._squares(
                np.broadcast_to(weights, (len(kinds), len(weights))), kinds
            )
        return made

    def lost(self) -> float:
        """What is lost as it is."""
        output, inner = self.at
        found = self._errors(self.weight[output, inner][:, np.newaxis], self.kind)[:, 0]
        return float((found * self.factors[0][output] * self.factors[1][inner]).sum())

    def move(self, side: int, source: np.ndarray, target: np.ndarray) -> None:
        """Put some outputs (side 0) or inputs (side 1) where others are."""
        for array in (self.weight if side == 0 else self.weight.T, self.factors[side]):
            array[target] = array[source]

    def add_costs(self, costs: np.ndarray, side: int, places: np.ndarray) -> None:
        """Add what is lost where each member of a group is, in its place (row) any (column).

        Parameters
        ----------
        side:
            0 if the members are outputs, 1 if they are inputs.
        places:
            Of every member, shape (members, places).
        """
        weight = self.weight if side == 0 else self.weight.T
        own, other = self.factors[side], self.factors[1 - side]
        member, number = np.full(len(own), -1), np.zeros(len(own), np.int64)
        member[places], number[places] = np.indices(places.shape)
        here = np.flatnonzero(member[self.at[side]] >= 0)
        here = here[np.lexsort([each[self.at[side, here]] for each in (member, number)])]
        ends = np.searchsorted(number[self.at[side, here]], np.arange(1, places.shape[1]))
        step = max(_PART // len(places), 1)
        for place, pairs_here in zip(places.T, np.split(here, ends), strict=True):
            weights = np.ascontiguousarray(weight[place].T)
            for some in (pairs_here[n : n + step] for n in range(0, len(pairs_here), step)):
                across = self.at[1 - side, some]
                found = self._errors(weights[across], self.kind[some])
                found *= other[across][:, np.newaxis]
                rows, begins = np.unique(member[self.at[side, some]], return_index=True)
                costs[rows] += np.add.reduceat(found, begins, axis=0) * own[place]

    def _errors(self, weights: np.ndarray, kind: np.ndarray) -> np.ndarray:
        """Squares of what each pair, of a kind, is off for weights (pairs, n)."""
        if self.squares is None:
            return self._squares(weights, self.kinds[kind])
        begin = kind * self.squares.shape[1] + self.encoding.top
        return self.squares.reshape(-1).take(weights + begin[:, np.newaxis])

    def _squares(self, weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
        left = weights.astype(np.float64)
        for number in reversed(range(self.encoding.slices)):
            _, real = self.encoding.around(left, levels[:, number], number)
            left -= self.encoding.unit(number) * real
        return np.square(left)
