# pyright: reportArgumentType=false
"""Tang Nano 9K with a Gowin GW1NR-9C: a small controller at 27 MHz, the oscillator.

Pins as in ``amaranth_boards.tang_nano_9k``, and those of its two headers as in
``litex_boards`` (sipeed_tang_nano_9k.py). The GW1NR-9 has no room for all of the controller:
as on the iCEBreaker, the host does the rest.
"""

from __future__ import annotations

from dataclasses import replace

from amaranth.build import Attrs
from amaranth_boards.tang_nano_9k import TangNano9kPlatform

from ...hw.afe.array_card import ArrayCard
from ...hw.afe.kinds import EMULATED_STEP
from ...hw.geometry import MOST_LINES, Geometry
from ..board import Afe, Board, Header, Programmer, UsbId
from ..carrier import Carrier
from ..emulated import emulated_afe
from ..gowin import GW1NR_9, ApiculaPlatform
from ..tools import GOWIN

CLK_HZ = 27_000_000


class Platform(ApiculaPlatform, TangNano9kPlatform):
    """The board, built with the open tools."""


PINS = (
    "25 26 27 28 29 30 33 34 40 35 41 42 51 53 54 55 56 57 68 69 "
    "70 71 72 73 74 75 76 77 32 31 49 48 36 37 38 39"
)
# The rest of the headers is in a bank of 1.8 V (79 to 86) or goes elsewhere on the board too.
HEADER = Header(
    title="headers J6 and J7, pins of 3.3 V",
    positions=tuple(PINS.split()),
    connector=None,
    outputs=Attrs(IO_TYPE="LVCMOS33", DRIVE="8"),
    # A card that is not plugged in reads as idle.
    inputs=Attrs(IO_TYPE="LVCMOS33", PULL_MODE="DOWN"),
)
STANDARD = Geometry(
    rows=16,
    columns=16,
    tiles=1,
    act_width=12,
    acc_width=32,
    program_depth=512,
    param_depth=512,
    act_depth=512,
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
    # As many entries as a memory in tables has words: more would take the room of a block.
    log_depth=16,
    compact=True,
)

LARGEST = replace(STANDARD, program_depth=1024, param_depth=1024, act_depth=1024, calibration=True)
# The digits take 30 tiles, which leave little room for memories, and the array little for a log.
EMULATED = replace(
    STANDARD, tiles=30, program_depth=256, param_depth=256, act_depth=256, log_depth=0,
    step=EMULATED_STEP,
)  # fmt: skip
LARGEST_EMULATED = replace(
    EMULATED, rows=MOST_LINES // 2 * 2, columns=MOST_LINES // 2 * 2, tiles=4096,
    program_depth=512, param_depth=512, act_depth=512,
)  # fmt: skip

TANG_NANO_9K = Board(
    name="tang-nano-9k",
    title="Tang Nano 9K with Gowin GW1NR-9",
    fpga="GW1NR-LV9QN88PC6/I5",
    oscillator_hz=CLK_HZ,
    clk_hz=CLK_HZ,
    baud=1_000_000,
    serial="BL702 on its USB port",
    afes={
        "emulated": emulated_afe(EMULATED, LARGEST_EMULATED),
        "array_card": Afe(ArrayCard, STANDARD, LARGEST, HEADER),
    },
    budget=GW1NR_9,
    platform=Platform,
    connect=Carrier,
    toolchain=GOWIN,
    programmers=(
        Programmer(
            "openFPGALoader",
            ("-b", "tangnano9k", "{bitstream}"),
            ("-b", "tangnano9k", "-f", "{bitstream}"),
        ),
    ),
    usb=UsbId(0x0403, 0x6010),
    suffix="fs",
)

BOARDS = (TANG_NANO_9K,)
