"""Constant matrices, on the tiles: what ``Gemm``, ``MatMul``, ``Conv`` and the like come to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from ...hw.isa import LOOP_DEPTH, Op
from ..address import Addresses, cover
from .base import Bounded, Renumbering, Values
from .patches import Patches, compact, renumbered

if TYPE_CHECKING:
    from ..emitter import Emitter, Product


@dataclass(frozen=True, eq=False)
class Block:
    """One matrix and the positions at which it is applied.

    Attributes
    ----------
    source:
        Values that it takes at each position.
    weight:
        float32 or float64, shape (outputs, inputs).
    bias:
        float64, shape (outputs,).
    target:
        First of the values that it makes at each position, one after the other, shape
        (positions,).
    scale:
        Scales of a quantised model, float64 of shape (outputs,): each weight is a whole
        number of them. None: the compiler chooses.
    """

    source: Patches
    weight: np.ndarray
    bias: np.ndarray
    target: Values
    scale: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        source: Patches,
        weight: np.ndarray,
        bias: np.ndarray,
        target: Values,
        scale: np.ndarray | None = None,
    ) -> Self:
        """A block whose inputs are in the order of their numbers, those always 0 left out."""
        source, order = source.ordered()
        if not np.array_equal(order, np.arange(weight.shape[1])):
            weight = weight[:, order]
        return cls(source, np.ascontiguousarray(weight), bias, target, scale)

    @property
    def positions(self) -> int:
        return self.source.positions

    @property
    def inputs(self) -> int:
        return self.weight.shape[1]

    @property
    def outputs(self) -> int:
        return self.weight.shape[0]

    def made(self, positions: slice = slice(None)) -> Values:
        """The values that it makes at some positions, shape (positions, outputs)."""
        return np.add.outer(self.target[positions], np.arange(self.outputs))

    @property
    def integers(self) -> np.ndarray:
        """The whole numbers that weights of a quantised model are, int32."""
        assert self.scale is not None
        return np.rint(self.weight / self.scale[:, np.newaxis]).astype(np.int32)

    def scaled(self, factor: np.ndarray, offset: np.ndarray) -> Self | None:
        """The same with each output times a factor, plus an offset, shape (outputs,).

        None where a quantised model's own weights would be others.
        """
        weight = self.weight
        if (factor != 1).any():
            if self.scale is not None:
                return None
            weight = (weight * factor[:, np.newaxis]).astype(weight.dtype)
        return replace(self, weight=weight, bias=self.bias * factor + offset)


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
        return sum(block.positions * block.outputs for block in self.blocks)

    @property
    def reads(self) -> tuple[Values | range, ...]:
        shared = {id(block.source.values): block.source.values for block in self.blocks}
        return tuple(shared.values())

    @property
    def weights(self) -> int:
        """Numbers that its matrices have."""
        return sum(block.weight.size for block in self.blocks)

    def forward(self, memory: np.ndarray) -> np.ndarray:
        made = np.empty((len(memory), self.count), memory.dtype)
        for block in self.blocks:
            weight = block.weight.T.astype(memory.dtype, copy=False)
            bias = block.bias.astype(memory.dtype)
            for part in block.source.parts():
                source, target = block.source.at(part), block.made(part) - self.first
                for sample, into in zip(memory, made, strict=True):
                    into[target] = sample[source] @ weight + bias
        return np.clip(made, self.low, self.high, out=made)

    def renumbered(self, table: Renumbering) -> Self:
        numbers = {id(values): renumbered(values, table) for values in self.reads}
        blocks = tuple(
            replace(
                block,
                source=replace(block.source, values=numbers[id(block.source.values)]),
                target=table[block.target],
            )
            for block in self.blocks
        )
        return replace(self, first=int(table[self.first]), blocks=blocks)

    def without_weights(self) -> Self:
        """The same, but for the values of its matrices, which are 0 and take no memory."""
        blocks = tuple(
            replace(block, weight=np.broadcast_to(np.float32(0), block.weight.shape))
            for block in self.blocks
        )
        return replace(self, blocks=blocks)

    def emit(self, emitter: Emitter) -> None:
        emitter.clamp(self)
        addresses = {id(values): compact(emitter.addresses(values)) for values in self.reads}
        for block, product in zip(self.blocks, emitter.products(self), strict=True):
            emitter.convert_in(product)
            source = replace(block.source, values=addresses[id(block.source.values)])
            self._emit_block(emitter, block, source, product)

    @classmethod
    def _emit_block(cls, emitter: Emitter, block: Block, source: Patches, product: Product) -> None:
        """Its instructions; ``source`` has addresses in place of values."""
        target = emitter.addresses(block.target)
        for begin, end in source.alike():
            first = source.at(slice(begin, begin + 1))[0]
            acts = replace(source, offset=source.offset[:1]).at(slice(begin, end))[:, 0]
            with emitter.temporary():
                if first.min() < 0:
                    # Zeros between the values: all of them are laid out first.
                    here = source.at(slice(begin, end))
                    laid = emitter.scratch(here.size) + np.arange(here.size).reshape(here.shape)
                    emitter.copy(here, laid)
                    first, acts = laid[0], laid[:, 0]
                cls._emit_positions(emitter, first, acts, target[begin:end], product)

    @staticmethod
    def _emit_positions(
        emitter: Emitter, first: Addresses, acts: Addresses, target: Addresses, product: Product
    ) -> None:
        """Positions whose inputs lie alike: in loops, as one or with a copy at each.

        ``first`` has the inputs of the first position, ``acts`` the first input of every one.
        """
        depth = LOOP_DEPTH if emitter.geometry.has(Op.LOOP) else 0
        straight = (np.diff(first) == 1).all()
        places = np.arange(len(first))
        if not straight:
            places += emitter.scratch(len(places))
        table = np.stack([acts, target], axis=1)
        for nest in cover(table, depth, backwards=not emitter.geometry.banks):
            act, out = (int(address) for address in table[nest.first])
            with emitter.loops(nest) as moves:
                if straight:
                    product.emit(emitter, act, out, move_act=moves, move_out=moves)
                else:
                    emitter.copy(first + (act - first[0]), places, moves=moves)
                    product.emit(emitter, int(places[0]), out, move_out=moves)
