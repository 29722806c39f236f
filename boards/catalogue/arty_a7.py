# Amaranth makes the members of a component at run time.
# pyright: reportArgumentType=false
"""Arty A7 with an Artix-7: the controller at 48 MHz from 100 MHz, by Vivado.

Pins as in ``amaranth_boards.arty_a7``. No open flow for it is on PyPI, so only the build plan is
made here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from amaranth.build import Attrs
from amaranth.vendor import XilinxPlatform
from amaranth_boards.arty_a7 import ArtyA7_35Platform, ArtyA7_100Platform

from ...hw.afe.array_card import ArrayCard
from ...hw.afe.pmod import MAX_LINES, STEP, PmodCard
from ...hw.geometry import Geometry
from ..artix7 import Artix7Clock
from ..board import Afe, Board, Header, Programmer, UsbId
from ..budget import XILINX_SHAPES, Budget
from ..carrier import Carrier
from ..tools import XILINX

OSCILLATOR_HZ = 100_000_000
CLK_HZ = 48_000_000

PINS = (
    "V15 U16 P14 T11 R12 T14 T15 T16 N15 M16 V17 U18 R17 P17 "  # IO0 to IO13
    "U11 V16 M13 R10 R11 R13 R15 P15 R16 N16 N14 U17 T18 R18 P18 N17 "  # IO26 to IO41
    "E15 E16 D15 C15 J17 J18 K15 J15 U12 V12 V10 V11 U14 V14 T13 U13 "  # JB, JC
    "G13 B11 A11 D12 D13 B18 A18 K16 D4 D3 F4 F3 E2 D2 H2 G2"  # JA, JD
)
HEADER = Header(
    title="ChipKit IO0 to IO13 and IO26 to IO41, PMODs JB, JC, JA, JD",
    positions=tuple(PINS.split()),
    connector=None,
    outputs=Attrs(IOSTANDARD="LVCMOS33", DRIVE="8", SLEW="SLOW"),
    # A card that is not plugged in reads as idle.
    inputs=Attrs(IOSTANDARD="LVCMOS33", PULLDOWN="TRUE"),
)
STANDARD = Geometry(rows=32, columns=32, tiles=256)
LARGEST = replace(
    STANDARD,
    rows=40,
    tiles=4096,
    acc_width=64,
    program_depth=8192,
    param_depth=8192,
    act_depth=16384,
    single=True,
    calibration=True,
    passive=True,
    compact=True,
)
PMOD = Geometry(rows=MAX_LINES, columns=MAX_LINES, tiles=1, step=STEP)


def arty_a7(size: int, platform: Callable[[], XilinxPlatform], budget: Budget) -> Board:
    """The Arty A7 with one of the FPGAs that it is sold with."""
    loader = ("-b", f"arty_a7_{size}t")
    return Board(
        name=f"arty-a7-{size}",
        title=f"Digilent Arty A7-{size}T with AMD Artix-7",
        fpga=f"XC7A{size}TICSG324-1L",
        oscillator_hz=OSCILLATOR_HZ,
        clk_hz=CLK_HZ,
        baud=1_000_000,
        serial="second channel of its FT2232H",
        afes={
            "array_card": Afe(ArrayCard, STANDARD, LARGEST, HEADER),
            "pmod": Afe(PmodCard, PMOD, PMOD, HEADER),
        },
        budget=budget,
        platform=platform,
        connect=partial(Carrier, clock=Artix7Clock("clk100", OSCILLATOR_HZ, CLK_HZ)),
        toolchain=XILINX,
        programmers=(
            Programmer("openFPGALoader", (*loader, "{bitstream}"), (*loader, "-f", "{bitstream}")),
        ),
        usb=UsbId(0x0403, 0x6010),
        plan_only=True,
    )


# 7 Series FPGAs Data Sheet: Overview (AMD DS180), Table 4; block RAMs counted in halves of 18 Kbit.
ARTY_A7_35 = arty_a7(
    35, ArtyA7_35Platform, Budget(20_800, 41_600, 100, XILINX_SHAPES, multipliers=90)
)
ARTY_A7_100 = arty_a7(
    100, ArtyA7_100Platform, Budget(63_400, 126_800, 270, XILINX_SHAPES, multipliers=240)
)

BOARDS = (ARTY_A7_35, ARTY_A7_100)
