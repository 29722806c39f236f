"""A virtual board for the bench: the controller in the compiled engine, with cells behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...compiler.options import Options
from ...compiler.tour import TOUR_LINES, TOUR_PARAMS, TOUR_PROGRAM, TOUR_TILES
from ...hw.geometry import Geometry
from ...sim.array import SimulatedArray
from ...sim.converters import Channels, Converters
from ...sim.cosim.fast.plugged import Wire, plug, plugged
from ...sim.cosim.metered import MeteredCells
from ...sim.cosim.resistors import Resistors
from ...sim.cosim.session import BEAT_CYCLES
from ...sim.devices import Device
from ..selftest import READ_NOISE, card_ohms
from ..serial_port import SerialTransport
from ..virtual.controller import VirtualController
from ..virtual.thread import serving

GEOMETRY = Geometry(
    rows=TOUR_LINES,
    columns=TOUR_LINES,
    tiles=TOUR_TILES,
    program_depth=TOUR_PROGRAM,
    param_depth=TOUR_PARAMS,
    act_depth=64,
)
"""The controller of `ohmloom modes`: compiled once for both."""
CLK_HZ = Options().clk_hz
BIT_CYCLES = 4
BEAT_S = BEAT_CYCLES / CLK_HZ
"""``beat_s`` of an array behind it: its time jumps, without regard to the host's, and a charge
lasts longer than the guard waits for the host."""


def simulated_cells(device: Device, seed: int) -> SimulatedArray:
    """As-made cells for a virtual board."""
    return SimulatedArray(device, GEOMETRY.tiles, GEOMETRY.rows, GEOMETRY.columns, seed)


@contextmanager
def virtual_board(
    cells: SimulatedArray | Resistors,
    progress: Any = None,
    *,
    channels: Channels | None = None,
    cache: Path | None = None,
) -> Iterator[Wire]:
    """The serial line of a controller that has just been configured.

    Parameters
    ----------
    cells:
        What is plugged in: of :func:`simulated_cells`, or :func:`resistor_card`.
    progress:
        Called with (stage, done, total) while the engine is compiled, once in a lifetime.
    channels:
        Gain errors and offsets of the card's channels; None: it has none.
    cache:
        Where compiled engines are kept; by default the user's cache.
    """
    array = MeteredCells(cells) if isinstance(cells, SimulatedArray) else cells
    with plugged(
        GEOMETRY, CLK_HZ, BIT_CYCLES, array, Converters(), channels=channels,
        progress=progress, cache=cache,
    ) as wire:  # fmt: skip
        yield wire


@contextmanager
def virtual_terminal(
    cells: SimulatedArray | Resistors, progress: Any = None, *, cache: Path | None = None
) -> Iterator[SerialTransport]:
    """The same behind a pseudo-terminal: a virtual board as a serial port of this machine.

    Its time is bound to the host's: a long charge goes on with the host's looks at the status.
    """
    array = MeteredCells(cells) if isinstance(cells, SimulatedArray) else cells
    made = plug(GEOMETRY, CLK_HZ, BIT_CYCLES, array, Converters(), progress=progress, cache=cache)
    controller = VirtualController(made.engine, made.pins, made.line)
    with (
        serving(controller) as board,
        SerialTransport(board.terminal.port, CLK_HZ // BIT_CYCLES) as transport,
    ):
        yield transport


def resistor_card(seed: int = 1, siemens: dict[tuple[int, int], float] | None = None) -> Resistors:
    """The card of known resistors; ``siemens`` are other ones, by row and column."""
    ohms = card_ohms(GEOMETRY.rows, GEOMETRY.columns)
    for (row, column), value in (siemens or {}).items():
        ohms[row][column] = 1 / value
    return Resistors(ohms, READ_NOISE, seed)
