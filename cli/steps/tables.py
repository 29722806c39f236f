"""Columns of numbers: shown, written as CSV or HDF5, drawn in the terminal and as a picture."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ...errors import OhmloomError
from ..output import plain_table, short_number

Columns = Mapping[str, Sequence[Any]]

SHOWN = 40
"""Rows of a table on the terminal at most; a file has all of them."""
REFRESH_S = 0.2
"""Between two drawings in the terminal, at least."""


class TableError(OhmloomError):
    """A file that no table is written to, or a picture that cannot be drawn."""


def _require(name: str, option: str) -> Any:
    """An optional package.

    Raises
    ------
    TableError
        If it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise TableError(
            f"{option} needs {name}: install it with `pip install 'ohmloom[bench]'`"
        ) from error


def writer(path: Path) -> Callable[[Columns], None]:
    """What writes columns to a file, by the end of its name; whole or not at all.

    Raises
    ------
    TableError
        If it ends in neither ``.csv`` nor ``.h5``, or that needs a package.
    """
    if path.suffix == ".csv":
        write = _write_csv
    elif path.suffix == ".h5":
        _require("h5py", f"--out {path}")
        write = _write_hdf5
    else:
        raise TableError(f"--out {path}: accepted are files that end in .csv or .h5")

    def save(columns: Columns) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        try:
            write(temporary, columns)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    return save


def _write_csv(path: Path, columns: Columns) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(columns)
        lines.writerows(zip(*columns.values(), strict=True))


def _write_hdf5(path: Path, columns: Columns) -> None:
    h5py = _require("h5py", "a file that ends in .h5")
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[name] = list(values)


def table(title: str, columns: Columns) -> Table:
    """The first rows for people."""
    shown = plain_table(title, *columns)
    rows = list(zip(*columns.values(), strict=True))
    for row in rows[:SHOWN]:
        shown.add_row(*map(_text, row))
    if len(rows) > SHOWN:
        shown.caption = f"{SHOWN} of {len(rows)} rows; --out writes all of them"
    return shown


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "pass" if value else "FAIL"
    return short_number(value) if isinstance(value, float) else str(value)


def plain(columns: Columns) -> dict[str, list[Any]]:
    """As JSON has it: no infinity and no NaN."""
    return {
        name: [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]
        for name, values in columns.items()
    }


class Curves:
    """Curves of two columns, one for each cell, in the terminal while they grow.

    Parameters
    ----------
    x, y:
        Names of the columns.
    live:
        Whether they are drawn in the terminal: on stderr, and once at the end where that is
        none.
    log:
        Whether both axes are logarithmic, or y alone: ``"xy"``, ``"y"`` or neither.
    """

    def __init__(self, x: str, y: str, *, live: bool, log: str = "") -> None:
        self.x, self.y, self.log = x, y, log
        self._plotext = _require("plotext", "--plot") if live else None
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._drawn = 0.0

    def __enter__(self) -> Curves:
        if self._plotext is not None and self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, columns: Columns, *, last: bool = False) -> None:
        """Draw what there is, unless it was drawn just now."""
        if self._plotext is None or not columns:
            return
        if not last and (
            not self._console.is_terminal or time.monotonic() < self._drawn + REFRESH_S
        ):
            return
        self._drawn = time.monotonic()
        drawing = Text.from_ansi(self._drawing(columns))
        if self._console.is_terminal:
            self._live.update(drawing, refresh=True)
        else:
            self._console.print(drawing)

    def _drawing(self, columns: Columns) -> str:
        plt = self._plotext
        assert plt is not None
        plt.clear_figure()
        plt.theme("clear")
        plt.plot_size(min(self._console.width, 100), 24)
        for label, x, y in curves(columns, self.x, self.y, self.log):
            plt.plot(x, y, label=label)
        if "x" in self.log:
            plt.xscale("log")
        if "y" in self.log:
            plt.yscale("log")
        plt.xlabel(self.x)
        plt.ylabel(self.y)
        return plt.build()

    def save(self, path: Path, columns: Columns, title: str) -> None:
        """The same as a picture, whole or not at all."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for label, x, y in curves(columns, self.x, self.y, self.log):
            axes.plot(x, y, ".-", label=label, linewidth=1.0, markersize=3)
        axes.set(xlabel=self.x, ylabel=self.y, title=title)
        if "x" in self.log:
            axes.set_xscale("log")
        if "y" in self.log:
            axes.set_yscale("log")
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize="small")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        try:
            figure.savefig(temporary, format="png", dpi=150)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def curves(
    columns: Columns, x: str, y: str, log: str
) -> list[tuple[str, list[float], list[float]]]:
    """A label and two lists of numbers for each cell; magnitudes above 0 on logarithmic axes."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    if not columns:
        return []
    for row, column, at, value in zip(
        columns["row"], columns["column"], columns[x], columns[y], strict=True
    ):
        shown = abs(value) if "y" in log else value
        if not math.isfinite(shown) or ("y" in log and not shown) or ("x" in log and not at):
            continue
        mine = found.setdefault(f"row {row}, column {column}", ([], []))
        mine[0].append(float(at))
        mine[1].append(float(shown))
    return [(label, *both) for label, both in found.items()]
