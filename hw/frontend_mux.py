"""One front end, several engines: the sequencer says whose turn it is."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import FrontEndSignature
from .geometry import Geometry


class FrontEndMux(wiring.Component):
    """Gives the front end to user ``select``; the others see it busy.

    Members
    -------
    users : array of In(FrontEndSignature)
        The engines (directions as they see the front end).
    select : In
        The user whose requests pass.
    range : In(3)
        TIA range, the same for all users.
    fe : Out(FrontEndSignature)
        The front end.
    """

    def __init__(self, geometry: Geometry, users: int) -> None:
        self.count = users
        super().__init__(
            {
                "users": In(FrontEndSignature(geometry)).array(users),
                "select": In(range(users)),
                "range": In(3),
                "fe": Out(FrontEndSignature(geometry)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fe = self.fe
        m.d.comb += fe.range.eq(self.range)
        for i in range(self.count):
            user = self.users[i]
            m.d.comb += [
                user.ready.eq(fe.ready),
                user.active.eq(fe.active),
                user.samples.payload.eq(fe.samples.payload),
            ]
            with m.If(self.select == i):
                m.d.comb += [
                    fe.switch.valid.eq(user.switch.valid),
                    fe.switch.payload.eq(user.switch.payload),
                    user.switch.ready.eq(fe.switch.ready),
                    user.loaded.eq(fe.loaded),
                    fe.latch.eq(user.latch),
                    fe.dac.valid.eq(user.dac.valid),
                    fe.dac.payload.eq(user.dac.payload),
                    user.dac.ready.eq(fe.dac.ready),
                    user.dac_idle.eq(fe.dac_idle),
                    fe.convert.eq(user.convert),
                    fe.tag.eq(user.tag),
                    user.adc_idle.eq(fe.adc_idle),
                    user.samples.valid.eq(fe.samples.valid),
                    fe.gate_a.eq(user.gate_a),
                    fe.gate_b.eq(user.gate_b),
                    fe.tile.eq(user.tile),
                    fe.source.eq(user.source),
                    fe.source_range.eq(user.source_range),
                    fe.safe.eq(user.safe),
                    user.interlock.eq(fe.interlock),
                ]
        return m
