# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""The registers that ``SET`` writes, each with the bits that make a difference."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .bounds import register_bits
from .geometry import Geometry
from .isa import LAYOUTS, Op, Reg
from .profile import ARM_KEY

SIGNED = (Reg.CLAMP_LO, Reg.CLAMP_HI)
TILE, TO = LAYOUTS[Op.MODE]


def registers_of(geometry: Geometry) -> tuple[Reg, ...]:
    """The registers of a controller."""
    return tuple(reg for reg in Reg if geometry.knows(reg))


class Registers(wiring.Component):
    """Registers of 32 bits, of which a geometry needs fewer (:func:`~.bounds.register_bits`).

    Of a value that does not fit, only those are kept, and that it did not. Of a key in
    ``ARM`` the tile and the mode are kept, and that it is one; what is none reads as 0.

    Members
    -------
    write, reg, value : In
        Strobe, number and new value.
    disarm : In(1)
        Strobe: ``ARM`` is 0 again.
    known : Out(1)
        There is a register ``reg``.
    values : Out
        One member per register of the controller, lower case.
    beyond : Out, likewise
        What was written did not fit.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        names = [reg.name.lower() for reg in registers_of(geometry)]
        super().__init__(
            {
                "write": In(1),
                "reg": In(LAYOUTS[Op.SET][0].width),
                "value": In(signed(32)),
                "disarm": In(1),
                "known": Out(1),
                "values": Out(wiring.Signature({name: Out(signed(32)) for name in names})),
                "beyond": Out(wiring.Signature({name: Out(1) for name in names})),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value, registers = self.value, registers_of(self.geometry)
        with m.Switch(self.reg):
            for reg in registers:
                with m.Case(reg):
                    m.d.comb += self.known.eq(1)
        for reg in registers:
            name = reg.name.lower()
            written = self.write & (self.reg == reg)
            if reg is Reg.ARM:
                m.d.comb += getattr(self.values, name).eq(self._key(m, written))
                continue
            bits = register_bits(reg, self.geometry)
            stored = Signal(Shape(bits, signed=reg in SIGNED), name=name)
            beyond = Signal(name=f"{name}_beyond")
            kept = value[:bits].as_signed() if reg in SIGNED else value[:bits]
            with m.If(written):
                m.d.sync += [stored.eq(kept), beyond.eq(value != kept)]
            m.d.comb += [
                getattr(self.values, name).eq(stored),
                getattr(self.beyond, name).eq(beyond),
            ]
        return m

    def _key(self, m: Module, written: Value) -> Value:
        """``ARM``; the key of a tile that there is not is none."""
        bits = (self.geometry.tiles - 1).bit_length()
        armed, to, tile = Signal(), Signal(TO.width), Signal(bits)

        def key(to: Value, tile: Value) -> Value:
            """:func:`~ohmloom.hw.profile.arm_key`."""
            spare = Const(0, TILE.width - bits)
            return Value.cast(Cat(to, Const(0, 1), tile, spare, Const(ARM_KEY, 16)))

        value = self.value.as_unsigned()
        wanted = value[: TO.width], value[TO.width + 1 :][:bits]
        with m.If(written):
            m.d.sync += [Cat(to, tile).eq(Cat(*wanted)), armed.eq(value == key(*wanted))]
        with m.If(self.disarm):
            m.d.sync += armed.eq(0)
        return Mux(armed, key(to, tile), 0).as_signed()
