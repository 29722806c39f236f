# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""ULX3S with an ECP5: the controller at 48 MHz, a card on both headers.

Pins as in ``amaranth_boards.ulx3s``. The oscillator has 25 MHz, from which one PLL
cannot make 48 MHz exactly within the data sheet's ranges: two in series do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from amaranth.build import Attrs
from amaranth.hdl import Module
from amaranth.lib import io
from amaranth.vendor import LatticeECP5Platform
from amaranth_boards.ulx3s import (
    ULX3S_12F_Platform,
    ULX3S_25F_Platform,
    ULX3S_45F_Platform,
    ULX3S_85F_Platform,
)

from ...hw.afe.array_card import ArrayCard
from ...hw.afe.kinds import EMULATED_STEP
from ...hw.afe.pmod import MAX_LINES, STEP, PmodCard
from ...hw.geometry import MOST_LINES, Geometry
from ..board import Afe, Board, Header, Programmer, UsbId
from ..carrier import Carrier, Ecp5Clock
from ..ecp5 import BUDGETS
from ..emulated import emulated_afe
from ..tools import ECP5

OSCILLATOR_HZ = 25_000_000
CLK_HZ = 48_000_000

ESP32_PINS = ("en", "tx", "rx", "gpio0", "gpio5", "gpio16", "gpio17")
HEADER = Header(
    title="headers J1 and J2, GP and GN 0 to 27",
    positions=tuple(f"{number}{sign}" for number in range(28) for sign in "+-"),
    connector=("gpio", 0),
    outputs=Attrs(IO_TYPE="LVCMOS33", DRIVE="8", SLEWRATE="SLOW"),
    # A card that is not plugged in reads as idle.
    inputs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="DOWN"),
)


def hold_esp32(m: Module, platform: Any) -> None:
    """The ESP32 shares header pins around GP/GN 11: held in reset, it leaves them alone."""
    esp32 = platform.request("esp32", 0, dir=dict.fromkeys(ESP32_PINS, "-"))
    m.submodules.esp32 = esp32_enable = io.Buffer("o", esp32.en)
    m.d.comb += esp32_enable.o.eq(0)


PMOD = Geometry(rows=MAX_LINES, columns=MAX_LINES, tiles=1, step=STEP)
LARGEST_PMOD = replace(
    PMOD, single=True, passive=True, acc_width=64, program_depth=4096, param_depth=4096
)


def ulx3s(
    size: str,
    platform: Callable[[], LatticeECP5Platform],
    standard: Geometry,
    largest: Geometry,
    **others: Afe,
) -> Board:
    """The ULX3S with one of the FPGAs that it is sold with, and what else that has room for."""
    return Board(
        name=f"ulx3s-{size.lower()}",
        title=f"ULX3S with Lattice ECP5-{size}",
        fpga=f"LFE5U-{size}-6BG381C",
        oscillator_hz=OSCILLATOR_HZ,
        clk_hz=CLK_HZ,
        baud=1_000_000,
        serial="FT231X on USB port US1",
        afes={
            "array_card": Afe(ArrayCard, standard, largest, HEADER),
            "pmod": Afe(PmodCard, PMOD, LARGEST_PMOD, HEADER),
            **others,
        },
        budget=BUDGETS[size],
        platform=platform,
        connect=partial(
            Carrier,
            clock=Ecp5Clock("clk25", OSCILLATOR_HZ, CLK_HZ),
            uart=("rx", "tx", "rts", "dtr"),
            parts=(hold_esp32,),
        ),
        toolchain=ECP5,
        programmers=(
            Programmer(
                "openFPGALoader",
                ("-b", "ulx3s", "{bitstream}"),
                ("-b", "ulx3s", "-f", "{bitstream}"),
            ),
            Programmer("fujprog", ("{bitstream}",), ("-j", "FLASH", "{bitstream}")),
        ),
        usb=UsbId(0x0403, 0x6015),
    )


STANDARD = Geometry(rows=32, columns=32, tiles=256)
# 56 header pins bound the tile, 208 block RAMs of 18 Kib the memories.
LARGEST = Geometry(
    rows=40,
    columns=32,
    tiles=4096,
    acc_width=64,
    program_depth=16384,
    param_depth=16384,
    act_depth=32768,
    single=True,
    calibration=True,
    passive=True,
    compact=True,
)
MIDDLE = replace(LARGEST, program_depth=8192, param_depth=8192, act_depth=16384)

SMALL = replace(LARGEST, program_depth=2048, param_depth=2048, act_depth=4096)
# The whole controller has more tables than the data sheet promises of a 12F.
COMPACT = Geometry(rows=16, columns=16, tiles=64, compact=True)

# The cells of a perceptron 784-100-10, 159,040, in 156 of the block RAMs.
EMULATED = Geometry(rows=112, columns=20, tiles=72, step=EMULATED_STEP)
# No pins bound the lines; whether all of it fits together is for the block RAMs to say.
LARGEST_EMULATED = replace(
    LARGEST, rows=MOST_LINES // 2 * 2, columns=MOST_LINES // 2 * 2, step=EMULATED_STEP,
    calibration=False, passive=False,
)  # fmt: skip

ULX3S_85F = ulx3s(
    "85F", ULX3S_85F_Platform, STANDARD, LARGEST, emulated=emulated_afe(EMULATED, LARGEST_EMULATED)
)
ULX3S_45F = ulx3s("45F", ULX3S_45F_Platform, STANDARD, MIDDLE)
ULX3S_25F = ulx3s("25F", ULX3S_25F_Platform, STANDARD, MIDDLE)
ULX3S_12F = ulx3s("12F", ULX3S_12F_Platform, COMPACT, SMALL)

BOARDS = (ULX3S_85F, ULX3S_45F, ULX3S_25F, ULX3S_12F)
