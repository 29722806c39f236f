"""What the commands of `ohmloom array` have in common: options, the array, and the result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Group

from ...errors import OhmloomError
from ..arrays import load_array, save_array
from ..output import Reporter, emit, key_table
from .connecting import connect, require_one
from .tables import Curves, plain, table, writer

if TYPE_CHECKING:
    from ...boards.bench import LinkArray
    from ...sim.numerics import IntArray

DeviceName = Annotated[str, typer.Option("--device", help="Name in the catalogue, or a TOML file.")]
Seed = Annotated[
    int, typer.Option(min=0, max=(1 << 32) - 1, help="Seed of the virtual board's cells.")
]
InMode = Annotated[
    str | None,
    typer.Option("--in-mode", help="Mode that the cells are in, where the board does not know."),
]
Tile = Annotated[int, typer.Option(min=0, help="The tile.")]
Rows = Annotated[str, typer.Option(help="Rows: 3, or 0:4, or 0,2,5; all without.")]
ColumnsOption = Annotated[str, typer.Option("--columns", help="Columns, likewise.")]
Clear = Annotated[bool, typer.Option("--clear", help="Leave the guard's safe state before.")]
Out = Annotated[Path | None, typer.Option(help="Write all rows: .csv, or .h5.", metavar="FILE")]
Plot = Annotated[bool, typer.Option("--plot", help="Draw in the terminal while it runs.")]
Png = Annotated[Path | None, typer.Option(help="Write a picture.", metavar="FILE")]
ICc = Annotated[float | None, typer.Option("--icc", help="Compliance current [A].")]


class BenchOptionError(OhmloomError):
    """Options that name no cells, or contradict each other."""


@dataclass(frozen=True)
class Asked:
    """The options that every command has."""

    device: str
    virtual: bool
    port: str | None
    baud: int
    seed: int
    mode: str | None
    clear: bool
    record: Path | None
    replay: Path | None
    armed: bool = False
    tia_range: int | None = None
    average: int = 0
    forming: Any = None


@contextmanager
def opened(asked: Asked, reporter: Reporter) -> Iterator[LinkArray]:
    """The array on the bench, on a new virtual board, or in a recording."""
    require_one(asked.virtual, asked.port)
    from ...boards.bench import LinkArray
    from ...boards.bench.virtual import BEAT_S, simulated_cells
    from ...boards.link import LinkClient
    from ...sim.devices import load

    device = load(asked.device)
    with connect(
        asked.virtual, asked.port, asked.baud, lambda: simulated_cells(device, asked.seed),
        reporter, asked.record, asked.replay, f"cells of {device.name}",
    ) as transport:  # fmt: skip
        client = LinkClient(transport)
        client.ping()
        if asked.clear:
            client.clear()
        yield LinkArray(
            client, device, mode=asked.mode, armed=asked.armed, tia_range=asked.tia_range,
            average=asked.average, beat_s=BEAT_S if asked.virtual else None,
            forming=asked.forming,
        )  # fmt: skip


def rectangle(array: LinkArray, tile: int, rows: str, columns: str) -> IntArray:
    """Numbers of the cells of a rectangle, row by row.

    Raises
    ------
    BenchOptionError
        If it names a tile, row or column that is not there.
    """
    if tile >= array.tiles:
        raise BenchOptionError(f"--tile {tile}: the controller has {array.tiles}")
    chosen = np.ix_(
        _numbers("--rows", rows, array.rows), _numbers("--columns", columns, array.columns)
    )
    size = array.rows * array.columns
    numbers = np.arange(tile * size, (tile + 1) * size).reshape(array.rows, array.columns)
    return numbers[chosen].reshape(-1)


def _numbers(option: str, text: str, count: int) -> list[int]:
    """``3``, ``0:4`` or ``0,2,5`` of so many; all for an empty text."""
    found: list[int] = []
    try:
        for part in text.split(",") if text else [f"0:{count}"]:
            first, colon, last = part.partition(":")
            found += range(int(first), int(last)) if colon else [int(first)]
    except ValueError as error:
        raise BenchOptionError(
            f"{option} {text}: accepted are numbers like 3, 0:4 or 0,2,5"
        ) from error
    if not found or min(found) < 0 or max(found) >= count or len(set(found)) != len(found):
        raise BenchOptionError(f"{option} {text}: accepted are 0 to {count - 1}, each once")
    return found


@dataclass
class Record:
    """Rows of a measurement, drawn while they come.

    Attributes
    ----------
    title:
        What it is.
    curves:
        How it is drawn.
    columns:
        What there is: a list for each column, SI units in their names.
    facts:
        What is said besides.
    """

    title: str
    curves: Curves
    columns: dict[str, list[Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, array: LinkArray, cell: int, **values: Any) -> None:
        """A row about a cell."""
        tile, row, column = array.region.place(cell)
        for name, value in {"tile": tile, "row": row, "column": column, **values}.items():
            kept = value.item() if isinstance(value, np.generic) else value
            self.columns.setdefault(name, []).append(kept)

    def show(self) -> None:
        """Draw what there is."""
        self.curves.show(self.columns)


class Output:
    """Where a record goes: checked before anything is driven.

    Parameters
    ----------
    out, png, as_json
        As the options say.
    """

    def __init__(self, out: Path | None, png: Path | None, as_json: bool) -> None:
        self._save = writer(out) if out is not None else None
        self._out, self._png, self._json = out, png, as_json

    def save(self, record: Record) -> None:
        """Write the files."""
        record.curves.show(record.columns, last=True)
        if self._save is not None:
            self._save(record.columns)
            record.facts["out"] = str(self._out)
        if self._png is not None:
            record.curves.save(self._png, record.columns, record.title)
            record.facts["png"] = str(self._png)

    def emit(self, record: Record) -> None:
        """Print the result."""
        data = {"title": record.title, **record.facts, "columns": plain(record.columns)}
        parts: list[Any] = [table(record.title, record.columns)]
        if record.facts:
            parts.append(key_table("", record.facts))
        emit(self._json, data, Group(*parts))


def load_wear(path: Path | None, array: LinkArray) -> None:
    """Tell the array the cycles that its cells have had, from a file that may not be there yet.

    Raises
    ------
    BenchOptionError
        If it is for another number of cells.
    """
    if path is None or not path.exists():
        return
    found = load_array(path)
    if found.shape != array.cycles.shape or found.dtype.kind != "u":
        raise BenchOptionError(
            f"{path}: {found.dtype} of shape {found.shape}, accepted are unsigned integers of "
            f"shape {array.cycles.shape}"
        )
    array.cycles[:] = found


def save_wear(path: Path | None, array: LinkArray) -> None:
    """Keep the cycles that the cells have had."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_array(path, array.cycles)
