"""`ohmloom deploy`: a bundle onto a board, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import OhmloomError
from ..output import Json, Reporter, emit, key_table, working
from ..steps.recording import Record, Replay, conversation

if TYPE_CHECKING:
    from ...boards.deploy.deploy import Deployment
    from ...boards.link import Transport
    from ...compiler.compiled import Compiled


class NotDeployed(OhmloomError):
    """A deployment at whose end the board does not do what the bundle says."""

    exit_code = 1


class DeployUsage(OhmloomError):
    """A command line that names no board, or two."""


def deploy(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    board: Annotated[str, typer.Option(help="Board, a name or a file.")] = "ulx3s-85f",
    port: Annotated[
        str | None, typer.Option(help="Serial port, or that of a virtual board.")
    ] = None,
    virtual: Annotated[
        bool, typer.Option("--virtual", help="On a virtual board of this process.")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(help="With --virtual: cells come from here and go here, .npz."),
    ] = None,
    stuck: Annotated[
        Path | None,
        typer.Option(
            help="With --virtual: stuck cells, .npy (tiles, rows, columns) of siemens, else NaN."
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(help="Journal of the array [beside the bundle; with --state, beside that]."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Calibration of the card, of `ohmloom selftest --calibrate`.", metavar="FILE"
        ),
    ] = None,
    march: Annotated[
        bool,
        typer.Option(
            "--march", help="Test the array first: every cell to its largest and lowest level."
        ),
    ] = False,
    fault_map: Annotated[
        Path | None,
        typer.Option(
            "--faults",
            help="Where the test keeps its map of stuck cells; one that is there counts as the "
            "test [beside the journal].",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="ONNX file of the bundle: test if cells are not on their level, place the "
            "network around stuck ones."
        ),
    ] = None,
    calib: Annotated[
        Path | None, typer.Option(help="With --model: its calibration samples, .npy.")
    ] = None,
    program: Annotated[
        bool,
        typer.Option(
            "--program",
            help="Program the FPGA even if it holds the bundle's controller; else if it does not.",
        ),
    ] = False,
    agreement: Annotated[
        float,
        typer.Option(min=0, max=1, help="Golden samples whose largest output has to be the same."),
    ] = 0.5,
    record: Record = None,
    replay: Replay = None,
    as_json: Json = False,
) -> None:
    """Write a bundle's cells through a board and test it. The same command goes on where one ended.

    Exit code 1 if the self-test fails, or cells are off their level. A replay is the same command
    with --replay in place of --record; it opens no port and leaves the journal as it is.
    """
    with working(), Reporter() as reporter:
        from tempfile import TemporaryDirectory

        from ...boards.catalogue import board as find_board
        from ...compiler.bundle import load_bundle
        from ...hw.afe.kinds import FrontEndKind
        from ..arrays import load_array
        from ..steps.boarding import (
            begun_from,
            bundle_hash,
            calibration_of,
            journal_copy,
            journal_of,
            port_of,
            prepare,
        )
        from ..steps.deploying import Source, place

        if virtual == (port is not None):
            raise DeployUsage("--port PORT or --virtual: one of them says where the board is")
        for option, given in {"--state": state, "--stuck": stuck}.items():
            if given is not None and not virtual:
                raise DeployUsage(f"{option} is for --virtual: a board has its own cells")
        if (model is None) != (calib is None):
            raise DeployUsage("--model and --calib: a network is placed again from both of them")
        if (record or replay) and (march or model):
            raise DeployUsage(
                "--record and --replay are of one conversation: --march and --model take others"
            )
        source = None if model is None or calib is None else Source(model, calib)
        compiled, chosen = load_bundle(bundle), find_board(board)
        mended = calibration_of(compiled, calibration)
        faults = None if stuck is None else load_array(stuck)
        fresh = virtual and not (state is not None and state.exists()) and stuck is None
        tools = list[str]()
        with TemporaryDirectory() as folder:
            # Cells that end with this process need neither a journal nor a map that are kept.
            scratch = Path(folder) if virtual and state is None else None
            cells = state
            if scratch is not None and compiled.options.afe is not FrontEndKind.EMULATED:
                cells = scratch / "cells.npz"
            given = journal
            if journal is None and scratch is not None:
                journal = scratch / "cells.journal"
            elif journal is None:
                at = journal_of(bundle, chosen)
                journal = at if state is None else state.with_suffix(".journal")
            if fault_map is None:
                fault_map = journal.with_suffix(".faults.npy")
            if replay is not None:
                journal = journal_copy(given, Path(folder))

            @contextmanager
            def connect(network: Compiled, where: Path) -> Iterator[Transport]:
                if port is not None and replay is None:
                    tool = prepare(network, chosen, where, port, program and not tools, reporter)
                    tools.extend([] if tool is None else [tool])
                hashed = bundle_hash(where)
                about = f"bundle {hashed[:16]} onto {chosen.name} from {begun_from(journal)}"
                opened = partial(port_of, network, chosen, reporter, port, cells, faults)
                with conversation(opened, record, replay, about, seeded=True) as transport:
                    yield transport

            placed = place(
                bundle, compiled, chosen, journal, fault_map, connect, reporter,
                source=source, test=march, calibration=mended,
            )  # fmt: skip
        data: dict[str, Any] = {"bundle": str(placed.bundle), "board": chosen.name}
        if tools:
            data["programmed_by"] = tools[-1]
        if compiled.image.geometry.calibration:
            data["calibration"] = "none" if calibration is None else str(calibration)
        data |= summary(placed.done)
        if placed.stuck is not None:
            data["stuck_cells_known"] = placed.stuck
        if scratch is None and replay is None:
            data["journal"] = str(journal)
            if placed.stuck is not None:
                data["fault_map"] = str(fault_map)
    emit(as_json, data, key_table(f"{placed.bundle.name} on {chosen.name}", data))
    judge(placed.done, agreement, exact=fresh and placed.stuck is None and mended is None)


def summary(done: Deployment) -> dict[str, Any]:
    """A deployment in figures."""
    from ...hw.isa import CellStatus

    golden = done.golden
    verdicts = (CellStatus.DONE, CellStatus.NOT_CONVERGED, CellStatus.STUCK, CellStatus.WORN)
    return {
        "cells": done.cells,
        "verdicts": {
            each.name.lower().replace("_", " "): done.count(each)
            for each in verdicts
            if done.count(each)
        },
        "off_when_read_back": int(done.off.sum()),
        "attempts_per_cell": float(done.tries.mean()),
        "largest_wear": int(done.wear.max()),
        "went_on": done.resumed,
        "interruptions": done.interruptions,
        "self_test": {
            "samples": golden.samples,
            "values": golden.values,
            "different": golden.different,
            "largest_difference": golden.worst,
            "agreement": golden.agreed,
        },
    }


def judge(done: Deployment, agreement: float, exact: bool = False) -> None:
    """Refuse a deployment that has not come to its end.

    Parameters
    ----------
    agreement:
        Part of the golden samples whose largest output has to be the same.
    exact:
        The cells are as made with the bundle's seed: every integer has to be the golden one.

    Raises
    ------
    NotDeployed
        If cells are off their level, or the self-test compared nothing or agrees too little.
    """
    if done.off.any():
        raise NotDeployed(f"{int(done.off.sum())} cells were off their level when read back")
    golden = done.golden
    if not golden.values:
        raise NotDeployed("the bundle has no golden vectors: nothing was tested")
    if golden.agreed < agreement:
        raise NotDeployed(
            f"the board agrees with {golden.agreed:.0%} of the golden samples, "
            f"accepted is {agreement:.0%}"
        )
    if exact and not golden.exact:
        raise NotDeployed(
            f"{golden.different} of {golden.values} golden integers differ on a virtual board"
        )
