"""The array card's front ends by kind: with all its pins, or its slow lines in a chain."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..cycles import FrontEndCycles
from ..geometry import Geometry
from . import ad7606c, array_card, chained_card
from .adc_part import AdcPart
from .array_card import ArrayCard
from .chained_card import ChainedCard
from .interface import PlaneStep
from .kinds import FrontEndKind

FRONT_ENDS: Mapping[FrontEndKind, type[ArrayCard] | type[ChainedCard]] = MappingProxyType(
    {FrontEndKind.ARRAY_CARD: ArrayCard, FrontEndKind.CHAINED_CARD: ChainedCard}
)
"""``FRONT_ENDS[kind](geometry, clk_hz, adc=adc)`` makes the provider of the card's pins."""
_MODULES = {FrontEndKind.ARRAY_CARD: array_card, FrontEndKind.CHAINED_CARD: chained_card}


def front_end_cycles(
    kind: FrontEndKind, geometry: Geometry, clk_hz: int, adc: AdcPart = ad7606c.PART
) -> FrontEndCycles:
    """What the card's handshakes and settling take, for the cost model (:mod:`ohmloom.hw.cycles`).

    Raises
    ------
    ValueError
        If the card is not for such a geometry, or not at such a clock.
    """
    return _MODULES[kind].front_end_cycles(geometry, clk_hz, adc)


def plane_period_cycles(
    kind: FrontEndKind, geometry: Geometry, clk_hz: int, tia_range: int, adc: AdcPart = ad7606c.PART
) -> dict[PlaneStep, int]:
    """Cycles of each step of a plane in a TIA range, by the parts' data sheets."""
    return _MODULES[kind].plane_period_cycles(geometry, clk_hz, tia_range, adc)
