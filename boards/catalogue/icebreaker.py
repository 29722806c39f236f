# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""iCEBreaker with an iCE40UP5K: a small controller at 12 MHz, the array card on the PMODs.

Pins as in ``amaranth_boards.icebreaker``. The three PMODs have 24 pins, of which a card
of 16 x 16 lines needs every one, with its slow lines in a chain
(:mod:`ohmloom.hw.afe.chained_card`); without the chain it would need 44. The controller
leaves out what a host can do instead: post-processing other than ``REQUANT`` and
``ARGMAX``, and write-verify on its own.
"""

from __future__ import annotations

from typing import Any

from amaranth.build import Attrs
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io, wiring
from amaranth_boards.icebreaker import ICEBreakerPlatform

from ...hw.afe.chained_card import ChainedCard
from ...hw.geometry import Geometry
from ..board import Board
from ..header import card_resource

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
        uart = platform.request("uart", 0, dir={"rx": "-", "tx": "-"})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [top.rx.eq(rx.i), tx.o.eq(top.tx)]

        signature = top.pins.signature
        platform.add_resources(
            [card_resource(signature, PMODS, connector=None, outputs=OUTPUTS, inputs=INPUTS)]
        )
        members = list(signature.flatten(top.pins))
        names = {"_".join(map(str, path)): value for path, _member, value in members}
        card = platform.request("card", 0, dir=dict.fromkeys(names, "-"))
        for path, member, value in members:
            name = "_".join(map(str, path))
            driven = member.flow is wiring.Out
            buffer = io.Buffer("o" if driven else "i", getattr(card, name))
            m.submodules[f"card_{name}"] = buffer
            m.d.comb += buffer.o.eq(value) if driven else value.eq(buffer.i)
        return m


STANDARD = Geometry(
    rows=16,
    columns=16,
    tiles=1,
    act_width=12,
    acc_width=32,
    program_depth=256,
    param_depth=256,
    act_depth=512,
    lut=False,
    pool=False,
    residual=False,
    verify=False,
    line=False,
    wear=False,
    power=False,
    window=1,
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
    synth_opts="-dsp",
)

BOARDS = (ICEBREAKER,)
