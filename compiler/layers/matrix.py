"""Constant matrices, on the tiles: what ``Gemm``, ``MatMul``, ``Conv`` and the like come to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from ...hw.isa import LOOP_DEPTH, Op
from ..address import Addresses, cover
from .base import ZERO, Bounded, Values

if TYPE_CHECKING:
    from ..emitter import Emitter, Product


@dataclass(frozen=True, eq=False)
class Block:
    """One matrix and the positions at which it is applied.

    Attributes
    ----------
    source:
        Values that it takes at each position, shape (positions, inputs).
    weight:
        float64, shape (outputs, inputs).
    bias:
        float64, shape (outputs,).
    target:
        Values that it makes at each position, shape (positions, outputs), one after the
        other at a position.
    scale:
        Scales of a quantised model, float64 of shape (outputs,): each weight is a whole
        number of them. None: the compiler chooses.
    """

    source: Values
    weight: np.ndarray
    bias: np.ndarray
    target: Values
    scale: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        source: Values,
        weight: np.ndarray,
        bias: np.ndarray,
        target: Values,
        scale: np.ndarray | None = None,
    ) -> Self:
        """A block whose inputs are in the order of their numbers, those always 0 left out."""
        used = np.flatnonzero((source != ZERO).any(axis=0))
        if not used.size:
            used = np.arange(1)
        order = used[np.argsort(source[0, used], kind="stable")]
        weight = np.ascontiguousarray(weight[:, order])
        return cls(np.ascontiguousarray(source[:, order]), weight, bias, target, scale)

    @property
    def positions(self) -> int:
        return len(self.source)

    @property
    def inputs(self) -> int:
        return self.weight.shape[1]

    @property
    def outputs(self) -> int:
        return self.weight.shape[0]

    @property
    def integers(self) -> np.ndarray:
        """The whole numbers that weights of a quantised model are, int32."""
        assert self.scale is not None
        return np.rint(self.weight / self.scale[:, np.newaxis]).astype(np.int32)

    def scaled(self, factor: np.ndarray, offset: np.ndarray) -> Self | None:
        """The same with each output times a factor, plus an offset, shape (outputs,).

        None where a quantised model's own weights would be others.
        """
        if self.scale is not None and (factor != 1).any():
            return None
        return replace(
            self, weight=self.weight * factor[:, np.newaxis], bias=self.bias * factor + offset
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix(Bounded):
    """``weight @ inputs + bias`` of one or more blocks, between bounds.

    Attributes
    ----------
    blocks:
        Together they make every value of the layer once.
    """

    blocks: tuple[Block, ...]
    kind = "matrix"

    @property
    def count(self) -> int:
        return sum(block.target.size for block in self.blocks)

    @property
    def reads(self) -> tuple[Values, ...]:
        return tuple(block.source for block in self.blocks)

    @property
    def weights(self) -> int:
        """Numbers that its matrices have."""
        return sum(block.weight.size for block in self.blocks)

    def forward(self, memory: np.ndarray) -> np.ndarray:
        made = np.empty((len(memory), self.count), memory.dtype)
        for block in self.blocks:
            weight = block.weight.T.astype(memory.dtype)
            bias = block.bias.astype(memory.dtype)
            for sample, into in zip(memory, made, strict=True):
                into[block.target - self.first] = sample[block.source] @ weight + bias
        return np.clip(made, self.low, self.high)

    def renumbered(self, table: Values) -> Self:
        blocks = tuple(
            replace(block, source=table[block.source], target=table[block.target])
            for block in self.blocks
        )
        return replace(self, first=int(table[self.first]), blocks=blocks)

    def emit(self, emitter: Emitter) -> None:
        emitter.clamp(self)
        for block, product in zip(self.blocks, emitter.products(self), strict=True):
            emitter.convert_in(product)
            self._emit_block(emitter, block, product)

    def _emit_block(self, emitter: Emitter, block: Block, product: Product) -> None:
        source, target = emitter.addresses(block.source), emitter.addresses(block.target)
        for begin, end in _alike(source):
            here = source[begin:end]
            with emitter.temporary():
                if here[0].min() < 0:
                    # Zeros between the values: all of them are laid out first.
                    laid = emitter.scratch(here.size) + np.arange(here.size).reshape(here.shape)
                    emitter.copy(here, laid)
                    here = laid
                self._emit_positions(emitter, here, target[begin:end], product)

    @staticmethod
    def _emit_positions(
        emitter: Emitter, source: Addresses, target: Addresses, product: Product
    ) -> None:
        """Positions whose inputs lie alike: in loops, as one or with a copy at each."""
        depth = LOOP_DEPTH if emitter.geometry.has(Op.LOOP) else 0
        straight = (np.diff(source[0]) == 1).all()
        places = np.arange(source.shape[1])
        if not straight:
            places += emitter.scratch(len(places))
        table = np.stack([source[:, 0], target[:, 0]], axis=1)
        for nest in cover(table, depth, backwards=True):
            act, out = (int(address) for address in table[nest.first])
            with emitter.loops(nest) as moves:
                if straight:
                    product.emit(emitter, act, out, move_act=moves, move_out=moves)
                else:
                    emitter.copy(source[nest.first], places, moves=moves)
                    product.emit(emitter, int(places[0]), out, move_out=moves)


def _alike(source: Addresses) -> list[tuple[int, int]]:
    """Runs of positions whose inputs have the same distances, as begins and ends."""
    if len(source) == 1:
        return [(0, 1)]
    known = source >= 0
    shape = np.where(known, source - source[:, :1], np.iinfo(np.int64).min)
    shape[~known[:, 0]] = -2  # a first input that is 0 has no distances
    changes = np.flatnonzero((shape[1:] != shape[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(source)]
    return list(zip(edges, edges[1:], strict=False))
