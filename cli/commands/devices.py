"""`ohmloom devices`: the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Group
from rich.table import Table

from ..output import Json, Reporter, emit, help_without_command, plain_table, short_number, working

if TYPE_CHECKING:
    from ...sim.devices.comparison import Cell, Entry
    from ...sim.fit import Fitted

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


@app.command("fit")
def fit_device(
    measured: Annotated[Path, typer.Argument(help="CSV file of what was done and measured.")],
    family: Annotated[str, typer.Option("--family", help="Family of models to fit.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Entry to write, .toml.")],
    base: Annotated[
        str | None,
        typer.Option("--base", help="Device that lends what the data do not tell."),
    ] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="Mode of the base.")] = None,
    stack: Annotated[str | None, typer.Option("--stack", help="Layers of the device.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: Json = False,
) -> None:
    """Fit a device entry to your own measurements, with intervals and a figure."""
    with working(), Reporter() as reporter:
        from ...sim.fit import check_output, fit, write

        check_output(output, force)
        reporter.update(f"fitting {family}")
        fitted = fit(measured, family, base=base, mode=mode, name=output.stem, stack=stack)
        files = write(fitted, output, force=force)
        data = _fitted(fitted, files)
        shown = Group(_fit_table(data), "", _told(data))
    emit(as_json, data, shown)


def _fit_table(data: dict[str, Any]) -> Table:
    """What the data told; the numbers of the base are counted below it."""
    table = Table(
        title=f"{data['name']}: {data['family']}, {data['rows']} rows of {data['cells']} cells",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in ("parameter", "value", "95 % interval", "unit", "points", "origin"):
        table.add_column(column, overflow="fold", no_wrap=True)
    for name, number in data["parameters"].items():
        if number["origin"] == "base":
            continue
        low_high = [short_number(end) for end in number["interval"] or ()]
        points = "" if number["points"] is None else str(number["points"])
        value = short_number(number["value"])
        table.add_row(name, value, "..".join(low_high), number["unit"], points, number["origin"])
    return table


def _told(data: dict[str, Any]) -> str:
    lent = sum(number["origin"] == "base" for number in data["parameters"].values())
    entry, *figures = data["files"]
    lines = [f"note: {note}" for note in data["notes"]]
    lines.append(f"{lent} further numbers are those of {data['base']}: the data do not tell them")
    return "\n".join((*lines, f"entry:  {entry}", f"figure: {', '.join(figures)}"))


def _fitted(fitted: Fitted, files: Sequence[Path]) -> dict[str, Any]:
    """Fitted numbers first, then those of the measurement, those that follow, and the rest."""
    found, front = fitted.found, f"modes.{fitted.mode}."
    estimates = {front + estimate.name: estimate for estimate in found.estimates}
    origins = {name: "fitted" for name in estimates}
    origins |= {front + given.name: "applied" for given in found.applied}
    origins |= {front + given.name: "derived" for given in found.derived}
    order = {name: n for n, name in enumerate(origins)}
    numbers: dict[str, dict[str, Any]] = {}
    for parameter in sorted(fitted.device.parameters, key=lambda p: order.get(p.name, len(order))):
        estimate = estimates.get(parameter.name)
        numbers[parameter.name.removeprefix(front)] = {
            "value": parameter.value,
            "interval": None if estimate is None else [estimate.low, estimate.high],
            "unit": parameter.unit,
            "points": None if estimate is None else estimate.points,
            "origin": origins.get(parameter.name, "base"),
            "how": estimate.how if estimate else parameter.note or parameter.assumed,
        }
    return {
        "name": fitted.device.name,
        "mode": fitted.mode,
        "family": fitted.device.modes[0].p.family,
        "base": fitted.base,
        "rows": fitted.rows,
        "cells": fitted.cells,
        "parameters": numbers,
        "notes": list(found.notes),
        "files": [str(file) for file in files],
    }


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
