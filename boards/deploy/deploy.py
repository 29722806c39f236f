"""A deployment: everything between a bundle and a board whose cells hold it."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...compiler.compiled import Compiled
from ...compiler.host import Executor
from ...hw.isa import CellStatus, Dac, Op, Reg
from ...sim.engine.attempts import setup_registers
from ...sim.numerics import IntArray
from ..calibration import Calibration
from ..engine import BoardEngine
from ..identity import identify
from ..link import LinkClient
from .book import Windows, read_book
from .journal import Journal
from .records import Began
from .runs import runs_of
from .selftest import GoldenTest, golden_test
from .writer import Writer

ROUNDS = 3
"""Times that all cells are written and checked: a cell that a check finds off its level is
written again, in all but the last one."""
SIGMAS = 6.0
"""What the noise of two reads may make of a cell that write-verify has accepted."""

Told = Callable[[str, int, int], None]
"""Told the stage, how much of it is done, and how much there is."""


@dataclass(frozen=True, eq=False)
class Deployment:
    """What a deployment has come to.

    Attributes
    ----------
    cells:
        How many.
    status:
        The verdict on each (:class:`~ohmloom.hw.isa.CellStatus`), shape (tiles, cells).
    tries, wear:
        Attempts on each cell, and cycles in its whole life, likewise.
    codes:
        What the check has read, likewise.
    off:
        Whether the check has found a cell off its level that had been on it, likewise.
    resumed:
        Whether it has gone on with what an earlier one had begun.
    interruptions:
        How often the controller was lost and found again.
    golden:
        The self-test.
    """

    cells: int
    status: IntArray
    tries: IntArray
    wear: NDArray[np.uint32]
    codes: IntArray
    off: NDArray[np.bool_]
    resumed: bool
    interruptions: int
    golden: GoldenTest

    def count(self, status: CellStatus) -> int:
        """Cells with a verdict."""
        return int(np.count_nonzero(self.status == status))


def deploy(
    compiled: Compiled,
    bundle: str,
    board: str,
    client: LinkClient,
    journal: Path,
    told: Told = lambda stage, done, total: None,
    randbits: Callable[[int], int] = secrets.randbits,
    calibration: Calibration | None = None,
) -> Deployment:
    """Load, write, read back and test; go on where an earlier deployment has ended.

    Parameters
    ----------
    bundle:
        SHA-256 of the bundle's manifest, by which its journal knows it.
    board:
        Its name.
    journal:
        The file of the array's cells; made where there is none.
    randbits:
        Draws as many random bits as it is asked for.
    calibration:
        Of the card's channels, for a controller with a calibration table; without it the table
        changes nothing.

    Raises
    ------
    LinkError
        If the controller does not answer, is not for the bundle, or stops a pulse.
    DeployError, JournalError, BookError
        If it cannot go on.
    """
    runs, began = runs_of(compiled), began_of(compiled, bundle, board)
    with Journal(journal) as kept:
        windows = runs.windows()
        book, resumed = read_book(kept.records, began, windows, runs.endurance)
        if not resumed:
            kept.append(began)
        writer = Writer(client, runs, book, kept, randbits, calibration)
        told("looking at the board", 0, 1)
        identify(client, compiled)
        writer.open()
        accepted = accepted_when_read(compiled, windows)
        off = np.zeros(book.done.shape, bool)
        for left in reversed(range(ROUNDS)):
            writer.write(lambda done, total: told("writing cells", done, total))
            writer.check(lambda done, total: told("reading cells back", done, total))
            off = book.done & ((book.code < accepted.low) | (book.code > accepted.high))
            if not off.any() or not left:
                break
            writer.rewrite(off)
        writer.finish()
        told("self-test", 0, 1)
        engine = BoardEngine(client, compiled.image, Executor(compiled.host))
        return Deployment(
            cells=book.done.size,
            status=book.status(runs.registers[Reg.STUCK]),
            tries=book.tries.copy(),
            wear=book.wear[: len(book.done)].copy(),
            codes=book.code.copy(),
            off=off,
            resumed=resumed,
            golden=writer.use(lambda: golden_test(engine, compiled)),
            interruptions=writer.interruptions,
        )


def began_of(compiled: Compiled, bundle: str, board: str) -> Began:
    """How a deployment begins in a journal."""
    image, geometry = compiled.image, compiled.image.geometry
    return Began(
        bundle=bundle, board=board, tiles=image.tiles, rows=geometry.rows, columns=geometry.columns
    )


def accepted_when_read(compiled: Compiled, windows: Windows) -> Windows:
    """Windows of a second read, whose noise is not that of the one that found cells on a level."""
    device = compiled.device
    largest = int(device.var_codes(device.levels).max())
    sigma = math.sqrt(largest) * 0.5**device.var_exponent * read_gain(compiled)
    average = setup_registers(compiled.image)[Reg.AVERAGE]
    codes = math.ceil(SIGMAS * sigma / math.sqrt(1 << average))
    return Windows(windows.low - codes, windows.high + codes)


def read_gain(compiled: Compiled) -> float:
    """ADC codes of a cell's read for each of its conductance codes."""
    converters = compiled.converters
    volts = converters.dac_volts(_rail_a(compiled))
    return float(converters.gain(compiled.device.g_lsb, volts, compiled.verify_range))


def _rail_a(compiled: Compiled) -> int:
    """Code of the rail that cells are read with."""
    image = compiled.image
    for each in image.code[image.entries["setup"] :]:
        if each.op is Op.DAC and each["channel"] == Dac.RAIL_A:
            return each["code"]
    return 0x8000
