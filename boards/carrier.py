# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""The controller on a board: between its clock, its serial port and its card's pins.

What boards have in common is here, so that a board's file says only what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import ResetSynchronizer

from .board import Header
from .ecp5_pll import Ecp5Pll, find_settings
from .header import connect_card, connect_uart

Part = Callable[[Module, Any], None]
"""Adds something of the board's own to a module on a platform."""


class Carrier(Elaboratable):
    """The controller with what a board puts around it.

    Parameters
    ----------
    top:
        The controller: members ``rx``, ``tx`` and ``pins`` (the card's signature).
    header:
        Where the card is plugged; None: the front end has no pins.
    clock:
        Makes ``sync``, such as :class:`Ecp5Clock`; None: it is the platform's default clock.
    uart:
        Lines of the board's ``uart 0``.
    parts:
        What else the board needs.
    """

    def __init__(
        self,
        top: wiring.Component,
        header: Header | None,
        *,
        clock: Part | None = None,
        uart: Sequence[str] = ("rx", "tx"),
        parts: Sequence[Part] = (),
    ) -> None:
        self.top: Any = top
        self.header, self.clock, self.uart, self.parts = header, clock, uart, parts

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.top = top = self.top
        if self.clock is not None:
            self.clock(m, platform)
        connect_uart(m, platform, top, self.uart)
        for part in self.parts:
            part(m, platform)
        if self.header is not None:
            connect_card(m, platform, top, self.header)
        return m


class Ecp5Clock:
    """Domain ``sync`` of an ECP5 from an oscillator through PLLs, in reset until they lock.

    Parameters
    ----------
    resource:
        The platform's resource of the oscillator.
    in_hz, out_hz:
        Its frequency, and the one that is made, exactly.
    """

    def __init__(self, resource: str, in_hz: int, out_hz: int) -> None:
        self.resource, self.out_hz = resource, out_hz
        self.settings = find_settings(in_hz, out_hz)

    def __call__(self, m: Module, platform: Any) -> None:
        port = platform.request(self.resource, 0, dir="-")
        m.submodules[self.resource] = oscillator = io.Buffer("i", port)
        clk, locked = oscillator.i, Const(1)
        for number, setting in enumerate(self.settings):
            m.submodules[f"pll{number}"] = pll = Ecp5Pll(setting)
            m.d.comb += [pll.clki.eq(clk), pll.reset.eq(~locked)]
            clk, locked = pll.clko, pll.locked
        sync = Signal()
        platform.add_clock_constraint(sync, self.out_hz)
        m.domains.sync = ClockDomain("sync")
        m.d.comb += [sync.eq(clk), ClockSignal().eq(sync)]
        m.submodules.reset = ResetSynchronizer(~locked)
