"""CRC-32 (ISO-HDLC, the one of Ethernet and zlib), a byte at a time."""

from __future__ import annotations

from functools import reduce
from operator import xor

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

POLYNOMIAL = 0xEDB88320
START = 0xFFFFFFFF
RESIDUE = 0xDEBB20E3
"""The register after a message and its CRC."""


class Crc32(wiring.Component):
    """The register.

    Members
    -------
    byte, step : In
        The next byte, and its strobe.
    shift : In(1)
        With ``step``: shifts the register by a byte, without feedback.
    restart : In(1)
        Strobe: a new message. Goes before ``step``.
    value : Out(32)
        The register, complement of the CRC.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "byte": In(8),
                "step": In(1),
                "shift": In(1),
                "restart": In(1),
                "value": Out(32, init=START),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        feedback = Signal(8)
        m.d.comb += feedback.eq(Mux(self.shift, 0, self.value[:8] ^ self.byte))
        with m.If(self.restart):
            m.d.sync += self.value.eq(START)
        with m.Elif(self.step):
            m.d.sync += self.value.eq(_after(self.value, feedback))
        return m


def _after(register: Signal, feedback: Signal) -> Value:
    """The register shifted, with the polynomial for each bit that falls out."""
    columns = []
    for bit in range(len(feedback)):
        column = 1 << bit
        for _ in range(len(feedback)):
            column = column >> 1 ^ (POLYNOMIAL if column & 1 else 0)
        columns.append(column)
    shifted = register[len(feedback) :]
    bits = []
    for place in range(32):
        terms = [feedback[i] for i, column in enumerate(columns) if column >> place & 1]
        if place < len(shifted):
            terms.append(shifted[place])
        bits.append(reduce(xor, terms))
    return Value.cast(Cat(*bits))
