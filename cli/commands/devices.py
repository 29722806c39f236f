"""`ohmloom devices`: the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Group
from rich.table import Table

from ..output import Json, emit, help_without_command, plain_table, short_number, working

if TYPE_CHECKING:
    from ...sim.devices.comparison import Cell, Entry

COLUMNS = ("device", "mode", "SET/RESET V", "ON/OFF", "cycles", "kept s", "levels")
SIGNS = {"below": "<", "above": ">", "at_least": ">="}

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def devices(context: typer.Context) -> None:
    """The device catalogue."""
    help_without_command(context)


@app.command("list")
def list_devices(as_json: Json = False) -> None:
    """Compare the devices: those with a model, and those with a data sheet only."""
    with working():
        from ...sim.devices import catalogue, load
        from ...sim.devices.comparison import of_model, of_sheet
        from ...sim.devices.datasheet import load_sheet, sheets

        models = [entry for name in catalogue() for entry in of_model(load(name))]
        printed = [entry for name in sheets() for entry in of_sheet(load_sheet(name))]
        tables = Group(
            _comparison(
                "Devices with a model (* assumed; volatile: threshold and hold voltage)", models
            ),
            "",
            _comparison("Data sheets only: as printed in the source, no model", printed),
        )
        data = {
            "devices": [asdict(entry) for entry in models],
            "datasheets": [asdict(entry) for entry in printed],
        }
    emit(as_json, data, tables)


def _comparison(title: str, entries: Sequence[Entry]) -> Table:
    hot = any(entry.on_off_hot is not None for entry in entries)
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in COLUMNS:
        heading = f"{column} (hot)" if hot and column == "ON/OFF" else column
        table.add_column(heading, overflow="fold", no_wrap=True)
    before = ""
    for entry in entries:
        volts = f"{_text(entry.v_set)}/{_text(entry.v_reset) or '-'}" if entry.v_set else ""
        ratio = _text(entry.on_off)
        if entry.on_off_hot is not None:
            ratio += f" ({_text(entry.on_off_hot)})"
        table.add_row(
            "" if entry.name == before else entry.name,
            entry.mode,
            volts,
            ratio,
            _text(entry.endurance),
            _text(entry.retention),
            "" if entry.levels is None else str(entry.levels),
        )
        before = entry.name
    return table


def _text(cell: Cell | None) -> str:
    if cell is None:
        return ""
    end = "" if cell.up_to is None else f"..{short_number(cell.up_to)}"
    sign = SIGNS.get(cell.bound or "", "")
    return f"{sign}{short_number(cell.value)}{end}{'*' * cell.assumed}"


@app.command("show")
def show_device(
    device: Annotated[
        str, typer.Argument(help="Catalogue name, NAME:LEVELS, a data sheet, or a .toml file.")
    ],
    as_json: Json = False,
) -> None:
    """Show every number of a device, its unit and where it is from."""
    with working():
        from ...sim.devices.datasheet import is_sheet

        title, data = _sheet(device) if is_sheet(device) else _model(device)
        table = plain_table(title, "parameter", "value", "unit", "origin")
        for name, number in data["parameters"].items():
            origin = number["source"] or f"assumed: {number['assumed']}"
            if number["note"]:
                origin = f"{origin} ({number['note']})"
            table.add_row(name, number["printed"], number["unit"], origin)
        for name in data.get("not_reported", ()):
            table.add_row(name, "-", "", "not reported")
    emit(as_json, data, table)


def _model(name: str) -> tuple[str, dict[str, Any]]:
    from ...sim.devices import load
    from ...sim.devices.comparison import of_model

    found = load(name)
    numbers = {
        parameter.name: {
            "value": parameter.value,
            "printed": f"{parameter.value:g}",
            "unit": parameter.unit,
            "source": parameter.source,
            "assumed": parameter.assumed,
            "note": parameter.note,
        }
        for parameter in found.parameters
    }
    return f"{found.name}: {found.title}", {
        "name": found.name,
        "entry": "model",
        "title": found.title,
        "stack": found.stack,
        "modes": [asdict(entry) for entry in of_model(found)],
        "parameters": numbers,
    }


def _sheet(name: str) -> tuple[str, dict[str, Any]]:
    from ...sim.devices.comparison import of_sheet
    from ...sim.devices.datasheet import load_sheet

    found = load_sheet(name)
    numbers = {
        parameter: {
            "value": reading.value,
            "up_to": reading.up_to,
            "bound": reading.bound,
            "printed": str(reading),
            "unit": reading.unit,
            "source": reading.source,
            "assumed": None,
            "note": reading.note,
        }
        for parameter, reading in found.readings()
    }
    return f"{found.name}: {found.title} (data sheet only, no model)", {
        "name": found.name,
        "entry": "datasheet",
        "title": found.title,
        "stack": found.stack,
        "reconfigurable": found.reconfigurable,
        "modes": [asdict(entry) for entry in of_sheet(found)],
        "parameters": numbers,
        "not_reported": list(found.not_reported),
    }
