"""A controller's netlist in the place of its RTL.

What has a pin on the FPGA is the netlist's alone. A twin in RTL, which sees the same pins, tells
the analog card what no pin shows: the time, and the names of the conversions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ...hw.top import Top

NAME = "controller"
"""Of the module that a netlist has."""
BOUNDARY = ("rx", "tx", "pins")
"""Members of a :class:`~ohmloom.hw.top.Top` that have pins on an FPGA."""


@dataclass(frozen=True)
class Netlist:
    """What synthesis has made of a controller, for simulation.

    Attributes
    ----------
    verilog :
        The module :data:`NAME` of an FPGA's cells, with the ports of :class:`Boundary`.
    rtlil :
        The same with the models of these cells in their places, flat, and a wire for each bit.
    """

    verilog: str
    rtlil: str


class Boundary(wiring.Component):
    """A controller as it is on a board: its serial line and the pins of its front end.

    There is no time jump, and what only a simulation looks at is left out.

    Parameters
    ----------
    top : Top
        The controller, not elaborated before.
    """

    def __init__(self, top: Top) -> None:
        self.top: Any = top
        members = top.signature.members
        super().__init__({name: members[name] for name in BOUNDARY})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.top = top = self.top
        ours: Any = self
        m.d.comb += [top.rx.eq(ours.rx), ours.tx.eq(top.tx)]
        wiring.connect(m, top.pins, wiring.flipped(ours.pins))
        return m


class Gates(wiring.Component):
    """A netlist behind the members of a :class:`~ohmloom.hw.top.Top`; ``jump`` does nothing.

    Parameters
    ----------
    twin : Top
        The controller that the netlist was made of, not elaborated before.
    """

    def __init__(self, twin: Top) -> None:
        self.twin: Any = twin
        super().__init__(twin.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.twin = twin = self.twin
        ours: Any = self
        ports: dict[str, Any] = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        others = {path: value for path, _, value in twin.signature.flatten(twin)}
        for path, member, value in self.signature.flatten(ours):
            outward = member.flow is Out
            if path[0] in BOUNDARY:
                ports[f"{'o' if outward else 'i'}_{'__'.join(map(str, path))}"] = value
            if outward and path[0] not in BOUNDARY:
                m.d.comb += value.eq(others[path])
            elif not outward and path[0] in BOUNDARY:
                m.d.comb += others[path].eq(value)
        m.submodules.netlist = Instance(NAME, **ports)
        return m
