"""`ohmloom boards`: the FPGA boards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from ..output import Json, emit, help_without_command, working

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def boards(context: typer.Context) -> None:
    """The FPGA boards that a controller can be built for."""
    help_without_command(context)


@app.command("list")
def list_boards(as_json: Json = False) -> None:
    """List the boards, their front ends, and what can be built here."""
    with working():
        from ...boards.catalogue import boards as catalogue
        from ...boards.describe import summary

        found = [summary(board) for board in catalogue().values()]
        rows = [
            (
                board["name"],
                board["fpga"],
                _mhz(board["clk_hz"]),
                ",\n".join(board["afes"]),
                board["standard"],
                "yes" if board["builds_here"] else f"no, needs {', '.join(board['missing'])}",
            )
            for board in found
        ]
        headings = ("board", "FPGA", "clock", "front ends", "standard", "builds here")
        table = _table(
            "Boards (standard: rows x columns, tiles with the first front end)", headings, rows
        )
    emit(as_json, {"boards": found}, table)


@app.command("show")
def show_board(
    board: Annotated[str, typer.Argument(help="Name of a board, or a Python file with one.")],
    afe: Annotated[
        str | None, typer.Option(help="Front end whose pins are shown [the board's first].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a board: clock, front ends, pins of the card, memory, tools."""
    with working():
        from ...boards.catalogue import board as find_board
        from ...boards.describe import details

        found = find_board(board)
        chosen = found.afe_name(afe)
        data = details(found)
        parts = [_what(data), "", _front_ends(data["front_ends"])]
        if pins := data["front_ends"][chosen]["pins"]:
            parts += ["", _pins(chosen, pins)]
        parts += ["", _programmers(data["programmers"])]
    emit(as_json, data, Group(*parts))


def _table(title: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table in the style of the catalogues; only the last column wraps."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    headings = tuple(headings)
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading != headings[-1])
    for row in rows:
        table.add_row(*(escape(text) for text in row))
    return table


def _mhz(hertz: int) -> str:
    return f"{hertz / 1e6:g} MHz"


def _what(data: Mapping[str, Any]) -> RenderableType:
    budget = data["budget"]
    same = data["oscillator_hz"] == data["clk_hz"]
    clock = "its oscillator" if same else f"from {_mhz(data['oscillator_hz'])} by PLL"
    usb = f", USB {data['usb']}" if data["usb"] else ""
    rows = [
        ("FPGA", data["fpga"]),
        ("clock", f"{_mhz(data['clk_hz'])}, {clock}"),
        ("command link", f"{data['baud']} baud, {data['serial']}{usb}"),
        (
            "budget",
            f"{budget['luts']} tables, {budget['flip_flops']} flip-flops, "
            f"{budget['block_rams']} block RAMs of {budget['block_bits']} bits, "
            f"{budget['multipliers']} multipliers",
        ),
        *((f"tool {name}", said) for name, said in data["toolchain"].items()),
    ]
    if data["file"]:
        rows.append(("file", data["file"]))
    table = _table(f"{data['name']}: {data['title']}", ("what", "value"), rows)
    table.show_header = False
    return table


def _front_ends(front_ends: Mapping[str, Mapping[str, Any]]) -> Table:
    headings = ("front end", "standard", "largest", "pins", "block RAMs", "where")
    return _table(
        "Front ends (rows x columns, tiles)",
        headings,
        (
            (
                name,
                _size(entry["standard"]),
                _size(entry["largest"]),
                str(sum(len(pin["positions"]) for pin in entry["pins"].values())),
                f"{sum(entry['block_rams'].values())} at least",
                entry["connector"] or "inside the FPGA",
            )
            for name, entry in front_ends.items()
        ),
    )


def _size(geometry: Mapping[str, Any]) -> str:
    return f"{geometry['rows']} x {geometry['columns']}, {geometry['tiles']}"


def _pins(afe: str, pins: Mapping[str, Mapping[str, Any]]) -> Table:
    return _table(
        f"Pins of {afe} (position=FPGA pin, lowest bit first)",
        ("pin", "direction", "where"),
        (
            (
                name,
                pin["direction"],
                " ".join(
                    place if place == site else f"{place}={site}"
                    for place, site in zip(pin["positions"], pin["sites"], strict=True)
                ),
            )
            for name, pin in pins.items()
        ),
    )


def _programmers(programmers: Iterable[Mapping[str, Any]]) -> Table:
    return _table(
        "Programming, the best first",
        ("until power is lost", "into flash"),
        (
            (
                " ".join((programmer["tool"], *programmer["volatile"])),
                " ".join((programmer["tool"], *programmer["flash"])) if programmer["flash"] else "",
            )
            for programmer in programmers
        ),
    )
