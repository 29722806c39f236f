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
class HostCall:
    """What the host does between two runs of an inference.

    Attributes
    ----------
    name:
        Of the host segment.
    reads:
        Words that it takes, in its order.
    writes:
        Words that it makes; none where what it makes is the network's result.
    entry:
        Entry that is run afterwards; empty where nothing is left to run before the next call.
    """

    name: str
    reads: tuple[Span, ...]
    writes: tuple[Span, ...]
    entry: str = ""

    @property
    def words_in(self) -> int:
        """Words that come from the controller."""
        return sum(span.count for span in self.reads)

    @property
    def words_out(self) -> int:
        """Words that go to it."""
        return sum(span.count for span in self.writes)


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
        host writes the cells by trains of pulses, ``"read/T"`` (a read of them all; neither
        where the controller has no ``PROGRAM`` and a host does without), and
        ``"infer"`` (one inference: input span to output spans). Where a host takes part in it
        (``host``), ``"infer"`` is its first part, and ``"infer/N"`` those behind its calls.
    params:
        Parameter memory from address 0, shape (n,), uint64.
    tiles:
        Tiles used, ``0 .. tiles-1``.
    input, layers:
        Spans of the input and of each layer's output, in execution order.
    profile:
        Words of the device profile (:mod:`~ohmloom.hw.profile`) that ``ADOPT`` takes;
        without them nothing can be pulsed.
    host:
        Calls of the host, in order.
    """

    geometry: Geometry
    code: tuple[Instruction, ...]
    entries: dict[str, int]
    params: np.ndarray
    tiles: int
    input: Span
    layers: tuple[LayerSpan, ...]
    profile: tuple[int, ...] = ()
    host: tuple[HostCall, ...] = ()

    @property
    def runs(self) -> tuple[str, ...]:
        """Entries of an inference, in order."""
        return ("infer", *(call.entry for call in self.host if call.entry))

    @property
    def host_makes_result(self) -> bool:
        """Whether the network's result is what the last call makes, in no words."""
        return bool(self.host) and not self.host[-1].writes

    @property
    def outputs(self) -> tuple[Span, ...]:
        """The network's output: the last layer's, or what the last call makes its result of."""
        if self.host_makes_result:
            return self.host[-1].reads
        return tuple(layer.span for layer in self.layers[-1:])
