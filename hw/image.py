"""What a controller is loaded with: the one artefact that every engine executes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Geometry
from .isa import Instruction


@dataclass(frozen=True)
class Span:
    """``count`` activation words from ``address`` upwards."""

    address: int
    count: int

    @property
    def words(self) -> slice:
        """The span as an index into activation memory."""
        return slice(self.address, self.address + self.count)


@dataclass(frozen=True)
class LayerSpan:
    """Where a layer leaves its integers: what engines are compared on."""

    name: str
    span: Span


@dataclass(frozen=True)
class Image:
    """Program, parameters and memory map of a compiled network.

    Attributes
    ----------
    geometry:
        The controller it was compiled for.
    code:
        The instructions, from program address 0. The run that starts at an
        entry ends at the next ``HALT``.
    entries:
        ``"setup"`` (device profile, registers and rails, run once after power-up),
        ``"program/T"`` (write-verify of tile ``T``, levels in cell memory) or, where a
        host writes the cells by pulses, ``"read/T"`` (a read of them all), and
        ``"infer"`` (one inference: input span to output span).
    params:
        Parameter memory from address 0, shape (n,), uint64.
    tiles:
        Tiles used, ``0 .. tiles-1``.
    input, layers:
        Spans of the input and of each layer's output, in execution order; the
        last layer's is the network's output.
    profile:
        Words of the device profile (:mod:`~ohmloom.hw.profile`) that ``ADOPT`` takes;
        without them nothing can be pulsed.
    """

    geometry: Geometry
    code: tuple[Instruction, ...]
    entries: dict[str, int]
    params: np.ndarray
    tiles: int
    input: Span
    layers: tuple[LayerSpan, ...]
    profile: tuple[int, ...] = ()

    @property
    def output(self) -> Span:
        return self.layers[-1].span
