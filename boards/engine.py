"""The engine `board`: a bundle's inferences on a controller that is reached over its link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import OhmloomError
from ..hw.image import Image, LayerSpan, Span
from ..hw.link.protocol import Space
from ..sim.engine.protocol import Host
from ..sim.numerics import IntArray
from .link import LinkClient


class BoardEngineError(OhmloomError):
    """An inference that a board cannot do."""


@dataclass(frozen=True)
class BoardTrace:
    """What a board has made of a batch.

    Attributes
    ----------
    output:
        The network's output integers, int64, shape (n, outputs).
    layers:
        Integers of the layers that were asked for, int64, shape (n, values), by name.
    saturations:
        ADC codes at a rail.
    cycles:
        Clock cycles of each inference, shape (n,).
    """

    output: IntArray
    layers: dict[str, IntArray]
    saturations: int
    cycles: IntArray


class BoardEngine:
    """Runs an image on a controller that has it, and whose cells are written.

    Parameters
    ----------
    client, image:
        The link, and what the controller is loaded with.
    host:
        What takes part in inferences; needed where the image has calls that write.
    """

    def __init__(self, client: LinkClient, image: Image, host: Host | None = None) -> None:
        self.client = client
        self.image = image
        self.host = host
        self._mask = (1 << image.geometry.act_width) - 1

    def infer(
        self,
        x: IntArray,
        epoch0: int = 0,
        layers: bool = False,
        told: Callable[[int, int], None] = lambda done, total: None,
    ) -> BoardTrace:
        """Run the network on integer inputs, shape (n, inputs).

        Parameters
        ----------
        epoch0:
            Inference number of the first sample; the others follow.
        layers:
            Whether the integers of every layer are read, too.
        told:
            Told how many samples are done, and how many there are.
        """
        image = self.image
        wanted: tuple[LayerSpan, ...] = image.layers if layers else ()
        found: dict[str, list[IntArray]] = {layer.name: [] for layer in wanted}
        outputs, cycles, saturations = list[IntArray](), list[int](), 0
        for number, sample in enumerate(x):
            told(number, len(x))
            self._write(image.input, sample)
            spent, saturated, result = self._run(epoch0 + number)
            for layer in wanted:
                found[layer.name].append(self._read(layer.span))
            outputs.append(result)
            cycles.append(spent)
            saturations += saturated
        told(len(x), len(x))
        return BoardTrace(
            np.array(outputs, np.int64).reshape(len(x), -1),
            {name: np.array(values, np.int64) for name, values in found.items()},
            saturations,
            np.array(cycles, np.int64),
        )

    def _run(self, epoch: int) -> tuple[int, int, IntArray]:
        """One inference: its cycles, its saturations, and its result."""
        image = self.image
        done = self.client.run(image.entries["infer"], epoch)
        cycles, saturations = done.cycles, done.saturations
        for number, call in enumerate(image.host):
            words = np.concatenate([self._read(span) for span in call.reads])
            if call.writes:
                if self.host is None:
                    raise BoardEngineError(f"'{call.name}' runs on the host, and there is none")
                (made,) = self.host(number, words[np.newaxis])
                ends = np.cumsum([span.count for span in call.writes])[:-1]
                for span, part in zip(call.writes, np.split(made, ends), strict=True):
                    self._write(span, part)
            if call.entry:
                done = self.client.run(image.entries[call.entry], epoch)
                cycles, saturations = cycles + done.cycles, saturations + done.saturations
        result = np.concatenate([self._read(span) for span in image.outputs])
        return cycles, saturations, result

    def _write(self, span: Span, words: IntArray) -> None:
        packed = (np.asarray(words, np.int64) & self._mask).tolist()
        self.client.write_words(Space.ACT, span.address, packed)

    def _read(self, span: Span) -> IntArray:
        """Activation words with their sign, shape (count,)."""
        words = np.array(self.client.read_words(Space.ACT, span.address, span.count), np.int64)
        width = self.image.geometry.act_width
        return words - ((words >> (width - 1)) << width)
