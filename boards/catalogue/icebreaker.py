# Amaranth makes the members of a component at run time.
# pyright: reportArgumentType=false
"""iCEBreaker with an iCE40UP5K: a small controller at 12 MHz, the array card on the PMODs.

Pins as in ``amaranth_boards.icebreaker``. The three PMODs have 24 pins, of which a card
of 16 x 16 lines needs every one, with its slow lines in a chain
(:mod:`ohmloom.hw.afe.chained_card`); without the chain it would need 44. The controller
leaves out what a host can do instead: post-processing other than ``REQUANT`` and
``ARGMAX``, loops, bit slices, write-verify on its own, and the event log.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amaranth.build import Attrs
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring
from amaranth_boards.icebreaker import ICEBreakerPlatform

from ...hw.afe.chained_card import ChainedCard
from ...hw.geometry import Geometry
from ..board import Board
from ..header import connect_card, connect_uart

CLK_HZ = 12_000_000

# PMOD 1A, 1B and 2, each its upper row and its lower one, as pins of the FPGA.
PMODS = (
    *("4", "2", "47", "45", "3", "48", "46", "44"),
    *("43", "38", "34", "31", "42", "36", "32", "28"),
    *("27", "25", "21", "19", "26", "23", "20", "18"),
)
OUTPUTS = Attrs(IO_STANDARD="SB_LVCMOS")
# The iCE40 can only pull up, so the card pulls its own outputs down: idle, interlock open.
INPUTS = Attrs(IO_STANDARD="SB_LVCMOS")


class Icebreaker(Elaboratable):
    """The controller between the board's clock, its FTDI serial port and its PMODs.

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
        connect_uart(m, platform, top)
        connect_card(m, platform, top, PMODS, connector=None, outputs=OUTPUTS, inputs=INPUTS)
        return m


STANDARD = Geometry(
    rows=16,
    columns=16,
    tiles=32,
    act_width=12,
    acc_width=32,
    program_depth=256,
    param_depth=256,
    act_depth=256,
    lut=False,
    pool=False,
    residual=False,
    loop=False,
    slices=False,
    verify=False,
    line=False,
    wear=False,
    power=False,
    window=1,
    log_depth=0,
    compact=True,
)

ICEBREAKER = Board(
    name="icebreaker",
    title="iCEBreaker with Lattice iCE40UP5K, array card on its PMODs",
    clk_hz=CLK_HZ,
    baud=500_000,
    standard=STANDARD,
    largest=STANDARD,
    front_end=ChainedCard,
    platform=ICEBreakerPlatform,
    connect=Icebreaker,
    suffix="bin",
    # An enable of only one or two flip-flops costs less as a multiplexer.
    synth_opts="-dsp -dffe_min_ce_use 3",
    techmap=Path(__file__).parents[1] / "ice40.v",
)

BOARDS = (ICEBREAKER,)
