# pyright: reportArgumentType=false
"""Colorlight i5 and i9 on Muselab's extension board: the controller at 48 MHz from 25 MHz.

Receiver cards for LED walls whose FPGA is open on a SODIMM edge. Pins of the modules, of the
extension board's PMODs and of the oscillator: wuxx/Colorlight-FPGA-Projects (README.md,
colorlight_i9_v7.2.md, src/amaranth_boards/colorlight_i9_r7_2.py); those of the command link, which
goes to the extension board's DAPLink: litex_boards (colorlight_i5.py). Used are the PMODs of P2
(lower) to P6 whose pins are nowhere else on the boards, seven of them with eight pins each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import LatticeECP5Platform
from amaranth_boards.resources import UARTResource

from ...hw.afe.array_card import ArrayCard
from ...hw.afe.pmod import MAX_LINES, STEP, PmodCard
from ...hw.geometry import Geometry
from ..board import Afe, Board, Header, Programmer, UsbId
from ..carrier import Carrier, Ecp5Clock
from ..ecp5 import BUDGETS
from ..tools import ECP5

OSCILLATOR_HZ = 25_000_000
CLK_HZ = 48_000_000


class _Platform(LatticeECP5Platform):  # pyright: ignore[reportGeneralTypeIssues]
    package = "BG381"
    speed = "6"
    default_clk = "clk25"
    resources = [
        Resource("clk25", 0, Pins("P3", dir="i"), Clock(OSCILLATOR_HZ), Attrs(IO_TYPE="LVCMOS33")),
        UARTResource(0, rx="H18", tx="J17", attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")),
    ]
    connectors = []


class I5Platform(_Platform):
    """Colorlight i5, version 7.0."""

    device = "LFE5U-25F"


class I9Platform(_Platform):
    """Colorlight i9, version 7.2."""

    device = "LFE5U-45F"


PMODS = (
    "C17 B18 B20 F20 A18 A19 B19 D20  D1 C1 C2 E3 E2 D2 B1 A3 "  # P3
    "H4 G3 F1 F2 H3 F3 E4 E1 "  # P4
    "D18 G5 F5 E5 D17 D16 E6 F4 "  # P5
    "R3 M4 L5 J16 N4 L4 P16 J18  R1 U1 W1 M1 T1 Y2 V1 N2 "  # P6
    "J20 L18 M18 N17 G20 K20 L20 N18"  # P2
)
HEADER = Header(
    title="PMODs P3, P4 upper, P5 upper, P6, P2 lower of the extension board",
    positions=tuple(PMODS.split()),
    connector=None,
    outputs=Attrs(IO_TYPE="LVCMOS33", DRIVE="8", SLEWRATE="SLOW"),
    # A card that is not plugged in reads as idle.
    inputs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="DOWN"),
)
STANDARD = Geometry(rows=32, columns=32, tiles=256)
LARGEST = replace(
    STANDARD,
    rows=40,
    tiles=4096,
    acc_width=64,
    program_depth=4096,
    param_depth=4096,
    act_depth=16384,
    single=True,
    calibration=True,
    passive=True,
    compact=True,
)
PMOD = Geometry(rows=MAX_LINES, columns=MAX_LINES, tiles=1, step=STEP)


def colorlight(name: str, size: str, platform: Callable[[], LatticeECP5Platform]) -> Board:
    """A module on the extension board."""
    return Board(
        name=f"colorlight-{name}",
        title=f"Colorlight {name} with Lattice ECP5-{size}, on Muselab's extension board",
        fpga=f"LFE5U-{size}-6BG381C",
        oscillator_hz=OSCILLATOR_HZ,
        clk_hz=CLK_HZ,
        # Of the DAPLink's bridge; more is not said of it.
        baud=115_200,
        serial="DAPLink of the extension board",
        afes={
            "array_card": Afe(ArrayCard, STANDARD, LARGEST, HEADER),
            "pmod": Afe(PmodCard, PMOD, PMOD, HEADER),
        },
        budget=BUDGETS[size],
        platform=platform,
        connect=partial(Carrier, clock=Ecp5Clock("clk25", OSCILLATOR_HZ, CLK_HZ)),
        toolchain=ECP5,
        programmers=(
            Programmer(
                "openFPGALoader",
                ("-b", f"colorlight-{name}", "{bitstream}"),
                ("-b", f"colorlight-{name}", "-f", "{bitstream}"),
            ),
            Programmer("ecpdap", ("program", "{bitstream}"), ("flash", "write", "{bitstream}")),
        ),
        usb=UsbId(0x0D28, 0x0204),
    )


COLORLIGHT_I5 = colorlight("i5", "25F", I5Platform)
COLORLIGHT_I9 = colorlight("i9", "45F", I9Platform)

BOARDS = (COLORLIGHT_I5, COLORLIGHT_I9)
