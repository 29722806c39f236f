"""`ohmloom devices`: the catalogue."""

from __future__ import annotations

from typing import Annotated

import typer

from ..output import Json, emit, help_without_command, plain_table, working

COLUMNS = ("name", "levels", "window", "endurance", "title")

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def devices(context: typer.Context) -> None:
    """The device catalogue."""
    help_without_command(context)


@app.command("list")
def list_devices(as_json: Json = False) -> None:
    """List the devices that networks can be compiled for."""
    with working():
        from ...sim.devices import catalogue, load

        rows = [load(name).summary for name in catalogue()]
        table = plain_table("Devices", *COLUMNS)
        for row in rows:
            table.add_row(*(str(row[column]) for column in COLUMNS))
    emit(as_json, {"devices": rows}, table)


@app.command("show")
def show_device(
    device: Annotated[str, typer.Argument(help="Catalogue name, NAME:LEVELS, or a .toml file.")],
    as_json: Json = False,
) -> None:
    """Show every number of a device, its unit and where it is from."""
    with working():
        from ...sim.devices import load

        found = load(device)
        table = plain_table(f"{found.name}: {found.title}", "parameter", "value", "unit", "origin")
        for parameter in found.parameters:
            origin = parameter.source or f"assumed: {parameter.assumed}"
            if parameter.note:
                origin = f"{origin} ({parameter.note})"
            table.add_row(parameter.name, f"{parameter.value:g}", parameter.unit, origin)
        data = {
            **found.summary,
            "stack": found.stack,
            "parameters": {
                parameter.name: {
                    "value": parameter.value,
                    "unit": parameter.unit,
                    "source": parameter.source,
                    "assumed": parameter.assumed,
                    "note": parameter.note,
                }
                for parameter in found.parameters
            },
        }
    emit(as_json, data, table)
