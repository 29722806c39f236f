"""Codes of a half-selected pulse: how its voltage is shared between row and columns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .card import DAC_BITS, Converters


class Scheme(Enum):
    """Highest voltage of a cell that is not selected."""

    HALF = "V/2"
    """Cells of the selected row and column; the others get nothing."""
    THIRD = "V/3"
    """Every other cell."""


@dataclass(frozen=True)
class HalfSelected:
    """Codes of RAIL_B, GATE_PROGRAM and GATE_ON; ``others``: the latter is used."""

    rail: int
    program: int
    on: int
    others: bool


def half_select(converters: Converters, volts: float, scheme: Scheme) -> HalfSelected:
    """The codes with which the selected cell gets ``volts``, as the DAC of one rail would.

    Raises
    ------
    ConverterError
        If no rail reaches that far.
    """
    zero = 1 << DAC_BITS - 1
    code = converters.dac_code(volts) - zero
    if scheme is Scheme.HALF:
        part, others = abs(code) // 2, 0
    else:
        part = others = (abs(code) + 1) // 3
    sign = 1 if code >= 0 else -1
    return HalfSelected(
        rail=zero + code - sign * part,
        program=zero - sign * part,
        on=zero + sign * others,
        others=scheme is Scheme.THIRD,
    )
