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

from amaranth.build import Attrs
from amaranth_boards.icebreaker import ICEBreakerPlatform

from ...hw.afe.chained_card import ChainedCard
from ...hw.geometry import Geometry
from ..board import Afe, Board, Header, Programmer, UsbId
from ..budget import ICE40_SHAPES, Budget
from ..carrier import Carrier
from ..tools import ICE40

CLK_HZ = 12_000_000

# PMOD 1A, 1B and 2, each its upper row and its lower one, as pins of the FPGA.
PMODS = (
    *("4", "2", "47", "45", "3", "48", "46", "44"),
    *("43", "38", "34", "31", "42", "36", "32", "28"),
    *("27", "25", "21", "19", "26", "23", "20", "18"),
)
HEADER = Header(
    title="PMOD 1A, 1B and 2",
    positions=PMODS,
    connector=None,
    outputs=Attrs(IO_STANDARD="SB_LVCMOS"),
    # The iCE40 can only pull up, so the card pulls its own outputs down: idle, interlock open.
    inputs=Attrs(IO_STANDARD="SB_LVCMOS"),
)

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
    title="iCEBreaker with Lattice iCE40UP5K",
    fpga="iCE40UP5K-SG48",
    oscillator_hz=CLK_HZ,
    clk_hz=CLK_HZ,
    baud=500_000,
    serial="second channel of its FT2232H",
    afes={"array_card": Afe(ChainedCard, STANDARD, STANDARD, HEADER)},
    # iCE40 UltraPlus Family Data Sheet (Lattice FPGA-DS-02008), Table 1.1; its four memories of
    # 256 Kbit take no part: each has one port.
    budget=Budget(5280, 5280, 30, ICE40_SHAPES, 8, table_bits=1024),
    platform=ICEBreakerPlatform,
    connect=Carrier,
    toolchain=ICE40,
    programmers=(
        Programmer("iceprog", ("-S", "{bitstream}"), ("{bitstream}",)),
        Programmer(
            "openFPGALoader",
            ("-b", "ice40_generic", "-f", "{bitstream}"),
            ("-b", "ice40_generic", "-f", "{bitstream}"),
        ),
    ),
    usb=UsbId(0x0403, 0x6010),
    suffix="bin",
    # An enable of only one or two flip-flops costs less as a multiplexer.
    synth_opts="-dsp -dffe_min_ce_use 3",
    techmap=Path(__file__).parents[1] / "ice40.v",
)

BOARDS = (ICEBREAKER,)
