"""A bundle's way onto a board: a serial port or a virtual board, and what is done over it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import numpy as np

from ...boards.board import Board
from ...boards.calibration import Calibration, calibration_for
from ...boards.catalogue import board as find_board
from ...boards.engine import BoardEngine, BoardTrace
from ...boards.identity import identify
from ...boards.link import LinkClient, LinkError, LinkTimeout, Transport
from ...boards.loader import is_loaded, is_mended, load
from ...boards.programmer import program_fpga
from ...boards.selftest import READ_NOISE, card_ohms
from ...boards.serial_port import PortError, SerialTransport
from ...boards.virtual.assemble import virtual_controller
from ...boards.virtual.board import Faults
from ...boards.virtual.thread import serving
from ...compiler.bundle import MANIFEST
from ...compiler.cells import check_faults
from ...compiler.compiled import Compiled
from ...compiler.host import Executor
from ...errors import OhmloomError
from ...hw.afe.kinds import FrontEndKind
from ...sim.array import SimulatedArray
from ...sim.array.store import restore, save, tiles_of
from ...sim.converters import Channels
from ...sim.cosim.resistors import Resistors
from ..output import Reporter
from .building import build
from .recording import conversation

START_S = 10.0
"""How long a board may take to answer after it has been programmed."""


class BoardingError(OhmloomError):
    """A command line that does not say which board, or cells that are not there."""


def bundle_hash(bundle: Path) -> str:
    """What a journal knows a bundle by: SHA-256 of its manifest, which has all others in it."""
    return hashlib.sha256((bundle / MANIFEST).read_bytes()).hexdigest()


def placed_at(bundle: Path, board: Board) -> Path:
    """Where a bundle goes that is placed around the stuck cells of a board's array."""
    return bundle.with_name(f"{_stem(bundle, board)}.{board.name}.ohm")


def journal_of(bundle: Path, board: Board) -> Path:
    """Where the journal of a board's array is, unless the user says.

    That of a bundle and of the one that is placed around stuck cells is the same.
    """
    return bundle.with_name(f"{_stem(bundle, board)}.{board.name}.journal")


def _stem(bundle: Path, board: Board) -> str:
    return bundle.stem.removesuffix(f".{board.name}")


def cells_of(
    compiled: Compiled, state: Path | None, faults: np.ndarray | None = None
) -> SimulatedArray | None:
    """The cells of a virtual board: as made, or as ``state`` has kept them; None: emulated ones.

    Parameters
    ----------
    faults:
        Conductances of stuck cells [S] and NaN of the others, shape (tiles, rows, columns);
        tiles that it has not have none.
    """
    geometry, options = compiled.image.geometry, compiled.options
    tiles = compiled.image.tiles
    if options.afe is FrontEndKind.EMULATED:
        if state is not None or faults is not None:
            raise BoardingError(
                "an emulated array has no stuck cells, and is gone with the supply of its FPGA"
            )
        return None
    old = state if state is not None and state.exists() else None
    if old is not None:
        tiles = max(tiles, tiles_of(old))
        if tiles > geometry.tiles:
            raise BoardingError(f"{old} has {tiles} tiles, the board drives {geometry.tiles}")
    array = SimulatedArray(
        compiled.device, tiles, geometry.rows, geometry.columns, options.seed,
        wires=options.wires, passive=geometry.passive,
    )  # fmt: skip
    if old is not None:
        restore(array, old)
    if faults is not None:
        stuck = check_faults(faults, min(tiles, len(faults)), geometry).reshape(-1)
        cells = np.flatnonzero(~np.isnan(stuck))
        array.stick(cells, stuck[cells])
    return array


def resistors_of(compiled: Compiled, seed: int) -> Resistors:
    """The card of known resistors for a virtual board, in place of cells.

    Raises
    ------
    BoardingError
        If its cells are emulated.
    """
    if compiled.options.afe is FrontEndKind.EMULATED:
        raise BoardingError("an emulated array has no card that resistors could be plugged into")
    geometry = compiled.image.geometry
    return Resistors(card_ohms(geometry.rows, geometry.columns), READ_NOISE, seed)


def channels_of(compiled: Compiled, tolerance: float, seed: int) -> Channels | None:
    """Errors of a virtual card's channels, in multiples of what its parts allow; None: it has none.

    Raises
    ------
    BoardingError
        If cells are emulated.
    """
    if not tolerance:
        return None
    if compiled.options.afe is FrontEndKind.EMULATED:
        raise BoardingError("an emulated array has no channels with errors")
    return Channels.drawn(compiled.image.geometry.columns, seed, tolerance)


def calibration_of(compiled: Compiled, path: Path | None) -> Calibration | None:
    """The calibration that the command line names, if a bundle's controller has a table for it.

    Raises
    ------
    CalibrationFileError
        If it has none, or the file is none or is for another card.
    """
    return None if path is None else calibration_for(path, compiled.image.geometry)


def begun_from(journal: Path) -> str:
    """What a deployment begins with, in words; its replay has to begin with the same.

    Raises
    ------
    BoardingError
        If the journal cannot be read.
    """
    if not journal.exists() or not journal.stat().st_size:
        return "no journal"
    try:
        with journal.open("rb") as file:
            return f"journal {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    except OSError as error:
        raise BoardingError(f"journal {journal}: {error.strerror}") from error


def journal_copy(journal: Path | None, folder: Path) -> Path:
    """A journal for a replay, which must not tell an array's own what never happened to it.

    Raises
    ------
    BoardingError
        If it cannot be read.
    """
    copy = folder / "journal"
    if journal is not None and journal.exists():
        try:
            shutil.copyfile(journal, copy)
        except OSError as error:
            raise BoardingError(f"journal {journal}: {error.strerror}") from error
    return copy


@contextmanager
def virtual_port(
    compiled: Compiled,
    board: Board,
    reporter: Reporter,
    state: Path | None = None,
    stuck: np.ndarray | None = None,
    faults: Faults | None = None,
) -> Iterator[Transport]:
    """The serial port of a virtual board that lives as long as the block.

    Its cells are written to ``state`` at the end, whatever has happened; ``stuck`` as ``faults``
    of :func:`cells_of`.
    """
    array = cells_of(compiled, state, stuck)
    controller = virtual_controller(
        compiled,
        board,
        array,
        progress=lambda stage, done, total: reporter.update(f"RTL: {stage}", done, total),
    )
    try:
        with (
            serving(controller, faults) as virtual,
            SerialTransport(virtual.terminal.port, board.baud) as transport,
        ):
            yield transport
    finally:
        if state is not None and array is not None:
            save(array, state)


def port_of(
    compiled: Compiled,
    board: Board,
    reporter: Reporter,
    port: str | None,
    state: Path | None,
    stuck: np.ndarray | None = None,
) -> AbstractContextManager[Transport]:
    """The serial port of a board, or that of a virtual one, as :func:`virtual_port` makes it."""
    if port is None:
        return virtual_port(compiled, board, reporter, state, stuck)
    return SerialTransport(port, board.baud)


def infer_on_board(
    compiled: Compiled,
    bundle: Path,
    board: str,
    drives: np.ndarray,
    reporter: Reporter,
    port: str | None,
    state: Path | None,
    record: Path | None = None,
    replay: Path | None = None,
    calibration: Calibration | None = None,
) -> BoardTrace:
    """Integer inputs (n, inputs) on a board that a bundle has been deployed to.

    A controller that has been reset since is loaded again; its cells are as they were.

    Parameters
    ----------
    port, state:
        The board's serial port, or the cells of a virtual one; one of them.
    record, replay:
        Where the conversation is kept, or one that takes the board's part.
    calibration:
        The one that the bundle has been deployed with.

    Raises
    ------
    BoardingError
        If it is none of them, or both, or there are no such cells, or the controller has a
        calibration and none is given.
    RecordAndReplay, RecordingError, ReplayError
        As of :func:`~.recording.conversation`.
    """
    if (port is None) == (state is None):
        raise BoardingError(
            "the engine board needs --port, or --state with the cells of a virtual board"
        )
    chosen = find_board(board)
    if state is not None and replay is None and not state.exists():
        raise BoardingError(f"{state} is not there: `ohmloom deploy --virtual --state` makes it")
    connect = partial(port_of, compiled, chosen, reporter, port, state)
    about = f"samples through bundle {bundle_hash(bundle)[:16]} on {chosen.name}"
    with conversation(connect, record, replay, about) as transport:
        client = LinkClient(transport)
        identify(client, compiled)
        if calibration is None and not is_mended(client, compiled.image, None):
            raise BoardingError(
                "the controller has a calibration: give it by --calibration, or deploy without one"
            )
        if is_loaded(client, compiled.image, calibration):
            client.run(compiled.image.entries["setup"], 0)  # whoever had it since
        else:
            load(client, compiled.image, calibration)
        engine = BoardEngine(client, compiled.image, Executor(compiled.host))
        return engine.infer(
            drives, told=lambda done, total: reporter.update("running on the board", done, total)
        )


def prepare(
    compiled: Compiled, board: Board, bundle: Path, port: str, force: bool, reporter: Reporter
) -> str | None:
    """Have the board at a port hold the bundle's controller; the tool that programmed it, if any.

    One that holds it already is left alone, unless ``force`` asks for it. The bitstream is built
    if the bundle has none.

    Raises
    ------
    BoardError, BuildError, ProgramError, ToolError
        If there is no bitstream for it, or no tool.
    LinkError
        If the board does not answer as that controller afterwards.
    """
    with SerialTransport(port, board.baud) as transport, suppress(LinkError):
        identify(LinkClient(transport, tries=2), compiled)
        if not force:
            return None
    built = build(compiled, board, bundle, reporter)
    if built.path is None:
        raise BoardingError(f"there is no bitstream for {board.name}")
    reporter.update(f"programming {board.name}")
    tool = program_fpga(board.programmers, built.path).tool
    end = monotonic() + START_S
    while True:
        try:
            with SerialTransport(port, board.baud) as transport:
                identify(LinkClient(transport, tries=2), compiled)
                return tool
        except (LinkTimeout, PortError):  # its serial port comes back when it is configured
            if monotonic() > end:
                raise
            sleep(0.2)
