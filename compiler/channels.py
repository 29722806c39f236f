"""Which values of a network can change places without another instruction.

The values of a tensor lie in rows of as many channels as it has. A matrix makes some of them,
one with each output; what is made of these value by value, and the inputs of the matrices that
read it, follow. Channels that layers treat alike may be put in any order: every layer reads
and makes the same addresses as before, its weights and constants alone are in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .graph import Network
from .layers import Block, Layer, Matrix, Values

STAYS = 0
"""The node of values that stay where they are."""
_NONE = -1
"""In place of a node, of ``ZERO``."""
_PART = 1 << 19
"""Numbers that are looked at together: bounds memory, changes nothing."""


class Channels:
    """The channels of a network's tensors, numbered: nodes.

    Attributes
    ----------
    groups:
        Of each the nodes, shape (members, nodes): members may be put in any order, each with
        all of its nodes.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._starts = np.array([tensor.start for tensor in network.tensors])
        self._widths = np.ones(len(self._starts), np.int64)
        self._begins = np.zeros(len(self._starts), np.int64)
        end = STAYS + 1
        for number, layer in enumerate(network.layers):
            if not self._stay(number):
                self._begins[number + 1] = end
                self._widths[number + 1] = self._width(layer)
                end += int(self._widths[number + 1])
        self._unit = self._units(end)
        self.groups = self._alike()
        self._index = self._indexed()
        broken = self._broken()
        self.groups = [group for number, group in enumerate(self.groups) if number not in broken]
        self._index = self._indexed()

    @property
    def count(self) -> int:
        """Nodes that there are."""
        return len(self._unit)

    # -- where values are ---------------------------------------------------------------

    def of(self, values: Values) -> Values:
        """Nodes of values, of their shape."""
        if not values.size:
            return values
        low, high = values.min(), values.max()
        first, last = np.searchsorted(self._starts, [low, high], side="right") - 1
        if first == last >= 0:  # no ZERO, and all of one tensor
            return self._begins[first] + (values - self._starts[first]) % self._widths[first]
        tensor = np.searchsorted(self._starts, values, side="right") - 1
        found = self._begins[tensor] + (values - self._starts[tensor]) % self._widths[tensor]
        return np.where(values < 0, _NONE, found)

    def moved(self, values: Values, to: np.ndarray) -> Values:
        """Where values are when node ``n`` has gone to node ``to[n]``."""
        return values + self._moves(self.of(values), to)

    def order(self, tensor: int, to: np.ndarray) -> np.ndarray:
        """Where each channel of one of the network's tensors has gone."""
        begin = self._begins[tensor]
        return to[begin : begin + self._widths[tensor]] - begin

    def outputs(self, block: Block, to: np.ndarray) -> np.ndarray:
        """Where each output of a matrix has gone."""
        return self.moved(block.made(slice(1))[0], to) - block.target[0]

    def inputs(self, block: Block, to: np.ndarray) -> np.ndarray:
        """Where each input of a matrix has gone."""
        first = block.source.at(slice(1))[0]
        if not _rises(first):
            return np.arange(len(first))  # its values stay
        return np.searchsorted(first, self.moved(first, to))

    def _indexed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of every node its group, or -1; which of its members it belongs to; and the node of
        the first member that is the same of that."""
        nodes = len(self._unit)
        group, member, same = np.full(nodes, -1), np.zeros(nodes, np.int64), np.arange(nodes)
        for number, each in enumerate(self.groups):
            group[each] = number
            member[each] = np.arange(len(each))[:, np.newaxis]
            same[each] = each[0]
        return group, member, same

    def tables(self, values: Values) -> Iterator[tuple[int, np.ndarray]]:
        """Groups that some values (n,) are of, and which of them each member has.

        The latter of shape (members, ...), in the same order for all members.
        """
        group_of, member, same = self._index
        nodes = self.of(values)
        groups = np.where(nodes == _NONE, _NONE, group_of[nodes])
        for group in np.unique(groups[groups >= 0]).tolist():
            here = np.flatnonzero(groups == group)
            first = values[here] + self._moves(nodes[here], same)
            order = np.lexsort([first, member[nodes[here]]])
            yield group, here[order].reshape(len(self.groups[group]), -1)

    def _moves(self, nodes: Values, to: np.ndarray) -> Values:
        return np.where(nodes == _NONE, 0, to[nodes] - nodes)

    # -- what goes together -------------------------------------------------------------

    def _stay(self, number: int) -> bool:
        """Whether what a layer makes stays where it is."""
        layer = self._network.layers[number]
        last = number == len(self._network.layers) - 1
        return last or bool(layer.alike) or not (isinstance(layer, Matrix) or _mapped(layer))

    def _width(self, layer: Layer) -> int:
        """Channels of what a layer makes; 1 if it has none."""
        origins = layer.origins
        if origins is None:
            assert isinstance(layer, Matrix)
            step = gcd(*(int(n) for block in layer.blocks for n in np.diff(block.target)))
            width = step or layer.count
            begins = [(int(b.target[0]) - layer.first) % width + b.outputs for b in layer.blocks]
            found = [width] if max(begins) <= width else []
        else:
            terms = origins.shape[1]
            some = (origins[:, which] for which in {0, terms // 2, terms - 1})
            found = [int((np.unique(self.of(each)) >= 0).sum()) for each in some]
        return max((n for n in found if n and layer.count % n == 0), default=1)

    def _units(self, nodes: int) -> np.ndarray:
        """For every node a number that those share which move together."""
        pairs = [pair for number in range(len(self._network.layers)) for pair in self._ties(number)]
        both = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *pairs]), axis=0)
        ones = np.ones(len(both), bool)
        ties = coo_matrix((ones, (both[:, 0], both[:, 1])), shape=(nodes, nodes))
        return connected_components(ties, directed=False)[1]

    def _ties(self, number: int) -> Iterator[np.ndarray]:
        """Nodes that a layer ties together, shape (n, 2)."""
        layer = self._network.layers[number]
        if isinstance(layer, Matrix) and not layer.alike:
            for block in layer.blocks:
                yield from self._rows(block)
        elif _mapped(layer) and not layer.alike:
            made = self.of(layer.made)[:, np.newaxis]
            for part in _parts(layer):
                yield _different(np.broadcast_to(made, part.shape), self.of(part))
        else:
            for values in layer.reads:
                nodes = self.of(np.asarray(values).reshape(-1))
                yield _different(np.full(len(nodes), STAYS), nodes)

    def _rows(self, block: Block) -> Iterator[np.ndarray]:
        """What one input of a matrix reads at different positions moves together."""
        values = block.source.at(slice(1))[0]
        # Where zeros or the same value twice are in it, it could not be told what goes where.
        first = self.of(values) if _rises(values) else np.full_like(values, STAYS)
        for part in block.source.parts():
            nodes = self.of(block.source.at(part))
            yield _different(np.broadcast_to(first, nodes.shape), nodes)

    def _alike(self) -> list[np.ndarray]:
        """Nodes that move together by what they are a part of: groups, if there are others."""
        marks = [np.stack([self._unit, self._tensors], axis=1)]
        kind = len(self._starts)
        for layer in self._network.layers:
            for block in layer.blocks if isinstance(layer, Matrix) else ():
                for values in (block.made(slice(1))[0], block.source.at(slice(1))[0]):
                    nodes = self.of(values)
                    unit = self._unit[nodes[nodes != _NONE]]
                    marks.append(np.stack([unit, np.full_like(unit, kind)], axis=1))
                    kind += 1
        table = np.concatenate(marks)
        table = table[np.lexsort(table.T[::-1])]
        units = np.split(table[:, 1], np.flatnonzero(np.diff(table[:, 0])) + 1)
        members: dict[bytes, list[int]] = {}
        for unit, parts in enumerate(units):
            if unit != self._unit[STAYS]:
                members.setdefault(parts.tobytes(), []).append(unit)
        by_unit = np.argsort(self._unit, kind="stable")
        ends = np.cumsum(np.bincount(self._unit))
        return [
            np.stack([by_unit[ends[n - 1] if n else 0 : ends[n]] for n in units])
            for units in members.values()
            if len(units) > 1
        ]

    @property
    def _tensors(self) -> np.ndarray:
        """Which of the network's tensors every node is of."""
        found = np.zeros(len(self._unit), np.int64)
        for tensor, (begin, width) in enumerate(zip(self._begins, self._widths, strict=True)):
            if begin > STAYS:
                found[begin : begin + width] = tensor
        return found

    # -- whether it can be so -----------------------------------------------------------

    def _broken(self) -> set[int]:
        """Groups whose members are not quite alike."""
        group, _, same = self._index
        found: set[int] = set()
        for number, layer in enumerate(self._network.layers):
            if isinstance(layer, Matrix) and not layer.alike:
                for block in layer.blocks:
                    for nodes in self._uneven(block, same):
                        found |= set(group[nodes].tolist())
            elif not self._stay(number):
                found |= set(group[self._unlike(layer, group, same)].tolist())
        return found

    def _uneven(self, block: Block, same: np.ndarray) -> Iterator[np.ndarray]:
        """Nodes of a matrix's rows and columns that have none like them."""
        made = block.made(slice(1))[0]
        moved = self.outputs(block, same)
        yield self.of(made[(moved < 0) | (moved >= block.outputs)])
        first = block.source.at(slice(1))[0]
        if not _rises(first):
            return
        rows = np.minimum(self.inputs(block, same), len(first) - 1)
        for part in block.source.parts():
            here = block.source.at(part)
            there = (self.moved(here, same) == here[:, rows]).all(axis=0)
            yield self.of(first[~there])

    def _unlike(self, layer: Layer, group: np.ndarray, same: np.ndarray) -> np.ndarray:
        """Nodes of values that a layer makes otherwise than those of the other members."""
        made = layer.made
        nodes = self.of(made)
        model = self.moved(made, same) - layer.first
        off = np.zeros(layer.count, bool)
        for part in _parts(layer):
            read = self.moved(part, same)
            off |= (read != read[model]).any(axis=1)
        sorts = layer.sorts
        if sorts is not None:
            # Constants are all the same, or of each member others: either way there are as
            # many instructions in any order.
            for which in set(group[nodes[sorts != sorts[model]]].tolist()):
                here = group[nodes] == which
                pairs = np.stack([model[here], sorts[here]], axis=1)
                if len(np.unique(pairs, axis=0)) < len(pairs):
                    off |= here
        return nodes[off]


def _mapped(layer: Layer) -> bool:
    return layer.origins is not None


def _parts(layer: Layer) -> Iterator[Values]:
    """What each value is made of, shape (count, n), so much at a time that it is not large."""
    origins = layer.origins
    assert origins is not None
    step = max(_PART // layer.count, 1)
    return (origins[:, n : n + step] for n in range(0, origins.shape[1], step))


def _rises(values: Values) -> bool:
    """Whether every value is there once, in the order of their numbers, and none is always 0."""
    return bool(values[0] >= 0 and (np.diff(values) > 0).all())


def _different(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pairs of nodes that are not the same one, each once, shape (n, 2)."""
    differ = (a != b) & (a != _NONE) & (b != _NONE)
    return np.unique(np.stack([a[differ], b[differ]], axis=1), axis=0)
