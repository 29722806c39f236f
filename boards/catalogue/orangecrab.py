# pyright: reportArgumentType=false
"""OrangeCrab R0.2 with an ECP5: the controller at 48 MHz, the oscillator.

Pins as in ``amaranth_boards.orangecrab_r0_2``, and A5 as in ``litex_boards`` (gsd_orangecrab.py,
by the board's author). It has no USB bridge: the command link is on the header, pins 0 (RX) and
1 (TX), for a 3.3 V adapter. What is left of the header is 18 pins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from amaranth.build import Attrs, Connector
from amaranth.vendor import LatticeECP5Platform
from amaranth_boards.orangecrab_r0_2 import (
    OrangeCrabR0_2_25FPlatform,
    OrangeCrabR0_2_85FPlatform,
    OrangeCrabR0_2Platform,
)
from amaranth_boards.resources import UARTResource

from ...hw.afe.kinds import EMULATED_STEP
from ...hw.afe.pmod import STEP, PmodCard
from ...hw.geometry import MOST_LINES, Geometry
from ..board import Afe, Board, Header, Programmer, UsbId
from ..carrier import Carrier
from ..dfu import with_suffix
from ..ecp5 import BUDGETS
from ..emulated import emulated_afe
from ..tools import ECP5

CLK_HZ = 48_000_000
BOOTLOADER = UsbId(0x1209, 0x5AF0)


class _Platform(OrangeCrabR0_2Platform):
    """With the command link, and without a tool that only programming needs."""

    resources = [
        *OrangeCrabR0_2Platform.resources,
        UARTResource(
            0,
            rx="0",
            tx="1",
            conn=("io", 0),
            attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP"),
        ),
    ]
    connectors = [Connector("io", 0, {**OrangeCrabR0_2Platform.connectors[0].mapping, "a5": "T17"})]

    @property
    def required_tools(self) -> list[str]:
        return [name for name in super().required_tools if name != "dfu-suffix"]

    @property
    def command_templates(self) -> list[str]:
        return [text for text in super().command_templates if "dfu-suffix" not in text]


class Platform25(_Platform, OrangeCrabR0_2_25FPlatform):
    """With the ECP5-25F."""

    device = "LFE5U-25F"


class Platform85(_Platform, OrangeCrabR0_2_85FPlatform):
    """With the ECP5-85F."""

    device = "LFE5U-85F"


PINS = "5 6 9 10 11 12 13 scl sda cipo sck copi a0 a1 a2 a3 a4 a5"
HEADER = Header(
    title="Feather header, all but pins 0 and 1",
    positions=tuple(PINS.split()),
    connector=("io", 0),
    outputs=Attrs(IO_TYPE="LVCMOS33", DRIVE="8", SLEWRATE="SLOW"),
    # A card that is not plugged in reads as idle.
    inputs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="DOWN"),
)
# 18 pins are those of the smallest breadboard; the array card needs more, with its chain too.
PMOD = Geometry(rows=2, columns=2, tiles=1, step=STEP)

# The digits take eight of its tiles; the block RAMs of the 25F have room for twice as many.
EMULATED = Geometry(rows=32, columns=32, tiles=16, step=EMULATED_STEP)
LARGEST = replace(
    EMULATED, rows=MOST_LINES // 2 * 2, columns=MOST_LINES // 2 * 2, tiles=4096, acc_width=64,
    program_depth=16384, param_depth=16384, act_depth=32768, single=True, compact=True,
)  # fmt: skip


def orangecrab(size: str, platform: Callable[[], LatticeECP5Platform]) -> Board:
    """The OrangeCrab with one of the FPGAs that it is sold with."""
    return Board(
        name=f"orangecrab-{size.lower()}",
        title=f"OrangeCrab R0.2 with Lattice ECP5-{size}",
        fpga=f"LFE5U-{size}-8MG285C",
        oscillator_hz=CLK_HZ,
        clk_hz=CLK_HZ,
        baud=1_000_000,
        serial="header pins 0 (RX) and 1 (TX), 3.3 V: a USB adapter has to be connected",
        afes={
            "emulated": emulated_afe(EMULATED, LARGEST),
            "pmod": Afe(PmodCard, PMOD, PMOD, HEADER),
        },
        budget=BUDGETS[size],
        platform=platform,
        connect=Carrier,
        toolchain=ECP5,
        programmers=(
            Programmer(
                "dfu-util", ("-a", "0", "-D", "{bitstream}"), ("-a", "0", "-D", "{bitstream}")
            ),
            Programmer("openFPGALoader", ("-b", "orangeCrab", "{bitstream}")),
        ),
        finish=partial(with_suffix, device=BOOTLOADER),
    )


ORANGECRAB_25F = orangecrab("25F", Platform25)
ORANGECRAB_85F = orangecrab("85F", Platform85)

BOARDS = (ORANGECRAB_25F, ORANGECRAB_85F)
