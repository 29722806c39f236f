"""`ohmloom bitstream`: the controller for one board or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group

from ..output import Json, Reporter, emit, key_table, working


def bitstream(
    bundle: Annotated[
        Path | None,
        typer.Argument(help="Bundle directory; without it, each board's standard controller."),
    ] = None,
    board: Annotated[
        list[str], typer.Option(help="Name of the board; several are built one after the other.")
    ] = ["ulx3s-85f"],  # noqa: B006 (typer copies it)
    afe: Annotated[
        str | None,
        typer.Option(help="Front end: array_card, pmod or emulated [the board's first]."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--out", help="Folder of the bitstreams where there is no bundle.")
    ] = Path("build/bitstreams"),
    as_json: Json = False,
) -> None:
    """Build the bitstream that a bundle needs, into the bundle; or a board's standard one."""
    with working(), Reporter() as reporter:
        from ...boards.catalogue import board as find_board
        from ...compiler.bundle import load_bundle
        from ..steps.building import build, build_standard

        boards = [find_board(name) for name in board]
        for each in boards:
            each.afe(afe)
        compiled = None if bundle is None else load_bundle(bundle)
        if compiled is not None:
            compiled.converters.require_card()
        built: dict[str, dict[str, object]] = {}
        for each in boards:
            if bundle is None or compiled is None:
                report = build_standard(each, output, reporter, afe)
            else:
                report = build(compiled, each, bundle, reporter, afe)
            built[each.name] = report.as_dict()
            if compiled is not None and compiled.host:
                names = ", ".join(call.name for call in compiled.image.host)
                built[each.name]["host"] = (
                    f"an inference needs the host, which runs {names} between the runs of the board"
                )
    tables = [key_table(f"Bitstream for {name}", data) for name, data in built.items()]
    data = next(iter(built.values())) if len(built) == 1 else {"bitstreams": built}
    emit(as_json, data, Group(*tables))
