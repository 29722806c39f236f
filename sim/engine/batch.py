"""What differs between the samples of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..numerics import IntArray

ACT = np.int16
"""What an activation is kept as: it has 16 bits at most."""


@dataclass
class Batch:
    """The samples of a run.

    Attributes
    ----------
    epochs:
        Inference numbers, shape (batch,).
    act, acc:
        Activations, shape (batch, act_depth), and accumulators, shape
        (batch, accumulators).
    saturations, conversions:
        As of :class:`~ohmloom.sim.engine.Trace`.
    host, made:
        What each call of the host has read and written, shape (batch, words).
    """

    epochs: IntArray
    act: NDArray[ACT]
    acc: IntArray
    saturations: int = 0
    conversions: int = 0
    host: list[IntArray] = field(default_factory=list)
    made: list[IntArray] = field(default_factory=list)


class Layers(Mapping[str, IntArray]):
    """Integers of layers, shape (samples, n), gathered from batches when they are asked for.

    Parameters
    ----------
    words:
        Where the activations of each layer are.
    batches:
        The samples, one batch after the other; not changed any more.
    """

    def __init__(self, words: Mapping[str, slice], batches: Sequence[Batch]) -> None:
        self._words = words
        self._batches = batches
        self._made: dict[str, IntArray] = {}

    def __getitem__(self, name: str) -> IntArray:
        if name not in self._made:
            words = self._words[name]
            parts = [batch.act[:, words] for batch in self._batches]
            self._made[name] = np.concatenate(parts, dtype=np.int64)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)
