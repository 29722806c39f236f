"""`ohmloom deploy`: a bundle onto a board, cell by cell."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import OhmloomError
from ..output import Json, Reporter, emit, key_table, working

if TYPE_CHECKING:
    from ...boards.deploy.deploy import Deployment
    from ...boards.link import LinkClient


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
    as_json: Json = False,
) -> None:
    """Write a bundle's cells through a board and test it. The same command goes on where one ended.

    Exit code 1 if the self-test fails, or cells are off their level.
    """
    with working(), Reporter() as reporter:
        from tempfile import TemporaryDirectory

        from ...boards.catalogue import board as find_board
        from ...boards.deploy.deploy import deploy as deploy_bundle
        from ...compiler.bundle import load_bundle
        from ..steps.boarding import (
            bundle_hash,
            calibration_of,
            journal_of,
            port_link,
            prepare,
            virtual_link,
        )

        if virtual == (port is not None):
            raise DeployUsage("--port PORT or --virtual: one of them says where the board is")
        if state is not None and not virtual:
            raise DeployUsage("--state is for --virtual: a board keeps its own cells")
        compiled, chosen = load_bundle(bundle), find_board(board)
        mended = calibration_of(compiled, calibration)
        with TemporaryDirectory() as scratch:
            if journal is None:
                if state is not None:
                    journal = state.with_suffix(".journal")
                else:  # cells that end with this process need none that is kept
                    kept = journal_of(bundle, chosen)
                    journal = Path(scratch) / kept.name if virtual else kept
            link: AbstractContextManager[LinkClient]
            tool = None
            if port is None:
                link = virtual_link(compiled, chosen, reporter, state)
            else:
                tool = prepare(compiled, chosen, bundle, port, program, reporter)
                link = port_link(port, chosen)
            with link as client:
                done = deploy_bundle(
                    compiled, bundle_hash(bundle), chosen.name, client, journal, reporter.update,
                    mended,
                )  # fmt: skip
        data = {"bundle": str(bundle), "board": chosen.name}
        if tool is not None:
            data["programmed_by"] = tool
        if compiled.image.geometry.calibration:
            data["calibration"] = "none" if calibration is None else str(calibration)
        data |= summary(done)
        if not virtual or state is not None:
            data["journal"] = str(journal)
    emit(as_json, data, key_table(f"{bundle.name} on {chosen.name}", data))
    judge(done, agreement, exact=virtual and state is None and calibration is None)


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
