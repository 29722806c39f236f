"""`ohmloom virtual-board`: the RTL and a simulated array behind a pseudo-terminal."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...errors import OhmloomError
from ..output import Json, Reporter, emit, key_table, working


class VirtualBoardUsage(OhmloomError):
    """A command line that plugs in two things."""


def virtual_board(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    board: Annotated[str, typer.Option(help="Board, a name or a file.")] = "ulx3s-85f",
    link: Annotated[
        Path | None, typer.Option(help="Symbolic link to the port, for a name known beforehand.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Cells come from here, if it is there, and go here at the end, .npz."),
    ] = None,
    stuck: Annotated[
        Path | None,
        typer.Option(help="Stuck cells, .npy (tiles, rows, columns) of siemens, else NaN."),
    ] = None,
    resistors: Annotated[
        bool, typer.Option("--resistors", help="The card of known resistors in place of cells.")
    ] = False,
    channel_errors: Annotated[
        float,
        typer.Option(
            min=0,
            help="Gain errors and offsets of the card's channels, as a multiple of what its "
            "parts allow; 1 is a sound card.",
        ),
    ] = 0.0,
    dropped: Annotated[
        float, typer.Option(min=0, max=1, help="Bytes that are lost on the line, of one.")
    ] = 0.0,
    doubled: Annotated[float, typer.Option(min=0, max=1, help="That come twice.")] = 0.0,
    flipped: Annotated[float, typer.Option(min=0, max=1, help="That have a wrong bit.")] = 0.0,
    brown_outs: Annotated[
        int, typer.Option(min=0, help="How often the supply of the controller fails.")
    ] = 0,
    every: Annotated[
        float, typer.Option(min=1e-6, help="Its seconds from one to the next, in the mean.")
    ] = 1.0,
    slow: Annotated[
        float,
        typer.Option(min=0, help="Its seconds that pass before it gets what a host sends."),
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is random in all that.")] = 0,
    as_json: Json = False,
) -> None:
    """Be a board: until Ctrl-C a host can use the port that is printed like a serial port.

    SIGUSR1 lets the controller's supply fail once.
    """
    with working(), Reporter() as reporter:
        from ...boards.catalogue import board as find_board
        from ...boards.virtual.assemble import virtual_controller
        from ...boards.virtual.board import Faults, VirtualBoard
        from ...boards.virtual.faults import LineFaults
        from ...boards.virtual.terminal import Terminal
        from ...compiler.bundle import load_bundle
        from ...sim.array.store import save
        from ..arrays import load_array
        from ..steps.boarding import cells_of, channels_of, resistors_of

        compiled, chosen = load_bundle(bundle), find_board(board)
        faults = Faults(LineFaults(dropped, doubled, flipped), brown_outs, every, slow, seed)
        if resistors and (state is not None or stuck is not None):
            raise VirtualBoardUsage("--state and --stuck are for cells, which --resistors replaces")
        given = None if stuck is None else load_array(stuck)
        array = None if resistors else cells_of(compiled, state, given)
        controller = virtual_controller(
            compiled,
            chosen,
            resistors_of(compiled, seed) if resistors else array,
            channels=channels_of(compiled, channel_errors, seed),
            progress=lambda stage, done, total: reporter.update(f"RTL: {stage}", done, total),
        )
    with Terminal(link) as terminal:
        virtual = VirtualBoard(controller, terminal, faults)
        signal.signal(signal.SIGUSR1, lambda *_: virtual.brown_out())
        for ends in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ends, lambda *_: virtual.stop())
        data = {"board": chosen.name, "port": terminal.port, "baud": chosen.baud}
        if link is not None:
            data["link"] = str(link)
        emit(as_json, data, key_table(f"Virtual board for {bundle.name}", data))
        Console(stderr=True).print("ready; Ctrl-C ends it", highlight=False)
        try:
            virtual.serve()
        finally:
            if state is not None and array is not None:
                save(array, state)
