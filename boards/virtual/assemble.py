"""A virtual board for a compiled network: the board's controller with the network's cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...compiler.compiled import Compiled
from ...hw.afe.cards import FRONT_ENDS
from ...hw.afe.kinds import FrontEndKind
from ...sim.array import SimulatedArray
from ...sim.converters import Channels
from ...sim.cosim.afe import EmulatedBench
from ...sim.cosim.bench import Bench, lags
from ...sim.cosim.card import AnalogCard
from ...sim.cosim.comparison import Progress
from ...sim.cosim.fast.build import library, ports
from ...sim.cosim.fast.engine import Engine
from ...sim.cosim.fast.plugged import SerialLine
from ...sim.cosim.pins import CardPins
from ...sim.cosim.resistors import Resistors
from ..board import Board
from .controller import VirtualController

BIT_CYCLES = 8
"""Clock cycles of a bit on the line: no cable limits it here."""


def virtual_controller(
    compiled: Compiled,
    board: Board,
    array: SimulatedArray | Resistors | None,
    *,
    channels: Channels | None = None,
    bit_cycles: int = BIT_CYCLES,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> VirtualController:
    """The controller that a board's bitstream for ``compiled`` has, with ``array`` at its card.

    Parameters
    ----------
    array:
        The cells, or the card of resistors in their place; None where cells are emulated.
    channels:
        Gain errors and offsets of the card's channels; None: it has none.
    bit_cycles:
        Clock cycles of a bit on the line, at least four.
    progress:
        Told (stage, done, total) while it is compiled.
    cache:
        Where compiled benches are kept; by default the user's cache.

    Raises
    ------
    BoardError
        If the network is for another clock or front end, or does not fit the board.
    """
    geometry, clk_hz = compiled.image.geometry, compiled.options.clk_hz
    board.require_clock(clk_hz)
    board.check(geometry, board.afe_of(compiled.options.afe))
    baud = clk_hz // bit_cycles
    kind = compiled.options.afe
    if kind is FrontEndKind.EMULATED:
        bench = EmulatedBench(geometry, clk_hz, baud, compiled.tables)
    else:
        bench = Bench(geometry, clk_hz, baud, FRONT_ENDS[kind])
    path = library(bench, progress or (lambda stage, done, total: None), cache)
    names = ports(bench)

    def pins() -> CardPins | None:
        if array is None:
            return None
        cells: Any = array  # resistors have what a read asks of them
        card = AnalogCard(cells, compiled.converters, geometry, clk_hz, lags(clk_hz), channels)
        return CardPins(geometry, card)

    return VirtualController(
        lambda: Engine(path, names, bit_cycles), pins, SerialLine(bit_cycles, clk_hz)
    )
