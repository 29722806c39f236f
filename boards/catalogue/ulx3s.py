# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""ULX3S with an ECP5-85F: the controller at 48 MHz, the array card on both headers.

Pins as in ``amaranth_boards.ulx3s``. The oscillator has 25 MHz, from which one PLL
cannot make 48 MHz exactly within the data sheet's ranges: two in series do.
"""

from __future__ import annotations

from typing import Any

from amaranth.build import Attrs
from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from ...hw.afe.array_card import ArrayCard
from ...hw.geometry import Geometry
from ..board import Board
from ..ecp5_pll import Ecp5Pll, find_settings
from ..header import connect_card, connect_uart

OSCILLATOR_HZ = 25_000_000
CLK_HZ = 48_000_000

ESP32_PINS = ("en", "tx", "rx", "gpio0", "gpio5", "gpio16", "gpio17")
# Headers J1 and J2, GP/GN 0 to 27.
HEADER = tuple(f"{number}{sign}" for number in range(28) for sign in "+-")
OUTPUTS = Attrs(IO_TYPE="LVCMOS33", DRIVE="8", SLEWRATE="SLOW")
# A card that is not plugged in reads as idle.
INPUTS = Attrs(IO_TYPE="LVCMOS33", PULLMODE="DOWN")


class Ulx3s(Elaboratable):
    """The controller between the board's clock, its FTDI serial port and its headers.

    Parameters
    ----------
    top:
        The controller: members ``rx``, ``tx`` and ``pins`` (the card's signature).
    """

    def __init__(self, top: wiring.Component) -> None:
        self.top: Any = top

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.top = top = self.top
        self._clock(m, platform)

        connect_uart(m, platform, top, ("rx", "tx", "rts", "dtr"))

        # The ESP32 shares header pins around GP/GN 11: held in reset, it leaves them alone.
        esp32 = platform.request("esp32", 0, dir=dict.fromkeys(ESP32_PINS, "-"))
        m.submodules.esp32 = esp32_enable = io.Buffer("o", esp32.en)
        m.d.comb += esp32_enable.o.eq(0)

        header = ("gpio", 0)
        connect_card(m, platform, top, HEADER, connector=header, outputs=OUTPUTS, inputs=INPUTS)
        return m

    def _clock(self, m: Module, platform: Any) -> None:
        """Domain ``sync`` from the oscillator through the PLLs, in reset until they have locked."""
        m.submodules.clk25 = clk25 = io.Buffer("i", platform.request("clk25", 0, dir="-"))
        clk, locked = clk25.i, Const(1)
        for number, setting in enumerate(find_settings(OSCILLATOR_HZ, CLK_HZ)):
            m.submodules[f"pll{number}"] = pll = Ecp5Pll(setting)
            m.d.comb += [pll.clki.eq(clk), pll.reset.eq(~locked)]
            clk, locked = pll.clko, pll.locked
        sync = Signal()
        platform.add_clock_constraint(sync, CLK_HZ)
        m.domains.sync = ClockDomain("sync")
        m.d.comb += [sync.eq(clk), ClockSignal().eq(sync)]
        m.submodules.reset = ResetSynchronizer(~locked)


ULX3S_85F = Board(
    name="ulx3s-85f",
    title="ULX3S with Lattice ECP5-85F, array card on headers J1 and J2",
    clk_hz=CLK_HZ,
    baud=1_000_000,
    standard=Geometry(rows=32, columns=32, tiles=256),
    # 56 header pins bound the tile, 208 block RAMs of 18 Kib the memories.
    largest=Geometry(
        rows=40,
        columns=32,
        tiles=4096,
        acc_width=64,
        program_depth=16384,
        param_depth=16384,
        act_depth=32768,
        single=True,
        passive=True,
        compact=True,
    ),
    front_end=ArrayCard,
    platform=ULX3S_85F_Platform,
    connect=Ulx3s,
)

BOARDS = (ULX3S_85F,)
