"""What differs between the samples of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..numerics import IntArray


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
    act: IntArray
    acc: IntArray
    saturations: int = 0
    conversions: int = 0
    host: list[IntArray] = field(default_factory=list)
    made: list[IntArray] = field(default_factory=list)
