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
        list[str],
        typer.Option(
            help="Name of the board, or a Python file with one; several are built one after the "
            "other."
        ),
    ] = ["ulx3s-85f"],  # noqa: B006 (typer copies it)
    afe: Annotated[
        str | None,
        typer.Option(
            help="Front end: array_card, pmod or emulated [the bundle's, or the board's first]."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--out", help="Folder of the bitstreams where there is no bundle.")
    ] = Path("build/bitstreams"),
    plan: Annotated[
        Path | None,
        typer.Option(
            help="Build nothing: write sources and scripts into this folder, one for each board, "
            "to build elsewhere."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the bitstream that a bundle needs, into the bundle; or a board's standard one."""
    with working(), Reporter() as reporter:
        from ...boards.catalogue import board as find_board
        from ..steps import building

        boards = [find_board(name) for name in board]
        for each in boards:
            each.afe(afe)
        compiled = None
        if bundle is not None:
            from ...compiler.bundle import load_bundle  # takes most of a second

            compiled = load_bundle(bundle)
            compiled.converters.require_card()
        built: dict[str, dict[str, object]] = {}
        for each in boards:
            if plan is not None:
                needed = (
                    each.afe(afe).standard
                    if bundle is None or compiled is None
                    else building.geometry_of(compiled, each, bundle)
                )
                folder = plan / each.name if len(boards) > 1 else plan
                own = (each, afe) if compiled is None else building.with_cells(compiled, each, afe)
                script = building.plan(needed, own[0], folder, reporter, own[1])
                tools = ", ".join(each.toolchain)
                built[each.name] = {"board": each.name, "script": str(script), "tools": tools}
                continue
            if bundle is None or compiled is None:
                report = building.build_standard(each, output, reporter, afe)
            else:
                report = building.build(compiled, each, bundle, reporter, afe)
            built[each.name] = report.as_dict()
            if compiled is not None and compiled.host:
                names = ", ".join(call.name for call in compiled.image.host)
                built[each.name]["host"] = (
                    f"an inference needs the host, which runs {names} between the runs of the board"
                )
    what = "Bitstream" if plan is None else "Build plan"
    tables = [key_table(f"{what} for {name}", _shown(data)) for name, data in built.items()]
    data = next(iter(built.values())) if len(built) == 1 else {"bitstreams": built}
    emit(as_json, data, Group(*tables))


def _shown(data: dict[str, object]) -> dict[str, object]:
    """For people, without the steps of the critical path."""
    path = data.get("critical_path")
    if not isinstance(path, dict):
        return data
    return {**data, "critical_path": {key: path[key] for key in path if key != "steps"}}
