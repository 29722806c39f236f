"""Codes of a half-selected pulse: how its voltage is shared between row and columns."""

from __future__ import annotations

from dataclasses import dataclass

from ..array.lines import Bias
from .card import DAC_BITS, ConverterError, Converters


@dataclass(frozen=True)
class HalfSelected:
    """Codes of RAIL_B, GATE_PROGRAM and GATE_ON; ``others``: the latter is used."""

    rail: int
    program: int
    on: int
    others: bool


def half_select(converters: Converters, volts: float, bias: Bias) -> HalfSelected:
    """The codes with which the selected cell gets ``volts``, as the DAC of one rail would.

    The voltages between lines are those of :func:`~ohmloom.sim.array.lines.line_volts`; the rows
    that are not selected are at 0 V.

    Raises
    ------
    ConverterError
        If no rail reaches that far, or the bias is neither V/2 nor V/3.
    """
    if bias not in (Bias.HALF, Bias.THIRD):
        raise ConverterError(f"lines that are {bias.value}, a card's rails make V/2 and V/3")
    zero = 1 << DAC_BITS - 1
    code = converters.dac_code(volts) - zero
    if bias is Bias.HALF:
        part, others = abs(code) // 2, 0
    else:
        part = others = (abs(code) + 1) // 3
    sign = 1 if code >= 0 else -1
    return HalfSelected(
        rail=zero + code - sign * part,
        program=zero - sign * part,
        on=zero + sign * others,
        others=bias is Bias.THIRD,
    )
