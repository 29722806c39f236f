"""What drives a row, one conversion after the other: the digits of an activation."""

from __future__ import annotations

from dataclasses import dataclass

from ...hw.isa import Instruction, Scheme
from ..numerics import IntArray


@dataclass(frozen=True)
class Digit:
    """Some neighbouring bits of an activation.

    Attributes
    ----------
    plane, bits:
        The lowest of them, and how many.
    signed:
        Whether they are two's complement: a row is then driven with either polarity.
    share:
        The row is at ``V_read * digit / 2**share``.
    weight:
        What a code of it counts in the accumulators.
    """

    plane: int
    bits: int
    signed: bool
    share: int
    weight: int

    @property
    def mask(self) -> int:
        return (1 << self.bits) - 1

    @property
    def sign(self) -> int:
        """The bit that counts negatively; 0 if none does."""
        return 1 << self.bits - 1 if self.signed else 0

    @property
    def span(self) -> tuple[int, int]:
        """The lowest and the highest digit."""
        return -self.sign, self.mask - self.sign

    def of(self, x: IntArray) -> IntArray:
        """That of activations."""
        return ((x >> self.plane & self.mask) ^ self.sign) - self.sign


def digits_of(instr: Instruction, scheme: int, input_bits: int) -> tuple[Digit, ...]:
    """The digits of an ``MVM``, the lowest first.

    Parameters
    ----------
    scheme:
        A :class:`~ohmloom.hw.isa.Scheme`.
    input_bits:
        Of what drives the rows. 1: a switch to V_read; the top plane of a signed activation
        is subtracted. More: a DAC, which gives the top digit its sign.
    """
    planes, shift = instr["planes"], instr["shift"]
    sense = -1 if scheme == Scheme.SUBTRACTED else 1
    found = []
    for plane in range(0, planes, input_bits):
        top = bool(instr["signed"]) and plane + input_bits >= planes
        signed = top and input_bits > 1
        share = input_bits - signed if input_bits > 1 else 0
        weight = (-sense if top and not signed else sense) << plane + shift + share
        found.append(Digit(plane, min(input_bits, planes - plane), signed, share, weight))
    return tuple(found)
