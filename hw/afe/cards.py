"""The array card's front ends by name: with all its pins, or its slow lines in a chain."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from ..cycles import FrontEndCycles
from ..geometry import Geometry
from . import ad7606c, array_card, chained_card
from .adc_part import AdcPart
from .array_card import ArrayCard
from .chained_card import ChainedCard
from .interface import PlaneStep


class Card(StrEnum):
    """Names of the front ends, as the controller says them (``Info.front_end``)."""

    ARRAY = ArrayCard.__name__
    CHAINED = ChainedCard.__name__


FRONT_ENDS: Mapping[Card, type[ArrayCard] | type[ChainedCard]] = MappingProxyType(
    {Card.ARRAY: ArrayCard, Card.CHAINED: ChainedCard}
)
"""``FRONT_ENDS[card](geometry, clk_hz, adc=adc)`` makes the provider of the card's pins."""
_MODULES = {Card.ARRAY: array_card, Card.CHAINED: chained_card}


def front_end_cycles(
    card: Card, geometry: Geometry, clk_hz: int, adc: AdcPart = ad7606c.PART
) -> FrontEndCycles:
    """What the card's handshakes and settling take, for the cost model (:mod:`ohmloom.hw.cycles`).

    Raises
    ------
    ValueError
        If the card is not for such a geometry, or not at such a clock.
    """
    return _MODULES[card].front_end_cycles(geometry, clk_hz, adc)


def plane_period_cycles(
    card: Card, geometry: Geometry, clk_hz: int, tia_range: int, adc: AdcPart = ad7606c.PART
) -> dict[PlaneStep, int]:
    """Cycles of each step of a plane in a TIA range, by the parts' data sheets."""
    return _MODULES[card].plane_period_cycles(geometry, clk_hz, tia_range, adc)
