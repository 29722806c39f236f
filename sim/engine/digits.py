"""What drives a row, one conversion after the other: the digits of an activation."""

from __future__ import annotations

from dataclasses import dataclass

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

    @property
    def largest(self) -> int:
        """The largest magnitude."""
        return max(self.sign, self.mask - self.sign)

    def of(self, x: IntArray) -> IntArray:
        """That of activations."""
        return ((x >> self.plane & self.mask) ^ self.sign) - self.sign


def digits_of(planes: int, signed: bool, input_bits: int, unit: int = 1) -> tuple[Digit, ...]:
    """The digits of an activation, the lowest first.

    Parameters
    ----------
    planes, signed:
        Its bits, and whether they are two's complement.
    input_bits:
        Of what drives the rows. 1: a switch to V_read; the top plane of a signed activation
        is subtracted. More: a DAC, which gives the top digit its sign.
    unit:
        What a code at V_read counts in the accumulators.
    """
    found = []
    for plane in range(0, planes, input_bits):
        top = signed and plane + input_bits >= planes
        bipolar = top and input_bits > 1
        share = input_bits - bipolar if input_bits > 1 else 0
        weight = (-unit if top and not bipolar else unit) << plane + share
        found.append(Digit(plane, min(input_bits, planes - plane), bipolar, share, weight))
    return tuple(found)
