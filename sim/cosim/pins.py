"""The analog card as a simulator sees it: changes of the bench's outputs in, codes out."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import numpy as np

from ...hw.geometry import Geometry
from .bench import Watched, watched
from .card import AnalogCard, ConversionTag

SAMPLE = "sample"
"""Output that toggles when a conversion holds its inputs."""
CODES = "codes"
"""Input that takes the conversion's codes."""
TAG = ("tag_inference", "tag_epoch", "tag_index")
"""Outputs that name the conversion, in the order of :class:`ConversionTag`."""


class CardPins:
    """Carries what the chips do to the analog card, and its codes back.

    Parameters
    ----------
    geometry : Geometry
        Dimensions of the bench.
    card : AnalogCard
        What lies behind the pins.
    corrupt : callable or None
        Applied to the codes of every conversion: the place to plant an ADC fault.

    Attributes
    ----------
    seconds : float
        Processor time of the card and the device so far [s].
    """

    def __init__(
        self,
        geometry: Geometry,
        card: AnalogCard,
        corrupt: Callable[[int, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.card = card
        self.watched: tuple[Watched, ...] = watched(geometry)
        self._corrupt = corrupt
        self.seconds = 0.0

    def moved(self, output: Watched, now: int, value: int) -> None:
        """``output`` has changed to ``value`` at cycle ``now``."""
        begun = process_time()
        output.tell(self.card, now, value)
        self.seconds += process_time() - begun

    def convert(self, now: int, inference: int, epoch: int, index: int) -> int:
        """What ``codes`` has to carry for the conversion sampled at cycle ``now``."""
        begun = process_time()
        codes = self.card.convert(now, ConversionTag(bool(inference), epoch, index))
        self.seconds += process_time() - begun
        if self._corrupt is not None:
            codes = self._corrupt(self.card.conversions, codes)
        return int.from_bytes(codes.astype("<i2").tobytes(), "little")
