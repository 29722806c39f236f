"""What goes to stdout and what to stderr.

stdout carries the result alone, with ``--json`` exactly one JSON object: while the
work is done, file descriptor 1 is stderr, so that not even a simulator started by
a library can write between.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

WORDS = {
    "afe": "AFE",
    "cosim": "co-simulation",
    "fmax": "Fmax",
    "mhz": "[MHz]",
    "mj": "[mJ]",
    "ms": "[ms]",
    "uj": "[uJ]",
}
"""How words of a key are shown to people."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def help_without_command(context: typer.Context) -> None:
    """A group that is called alone says what it has."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@contextmanager
def working() -> Iterator[None]:
    """Keep stdout clean for the result that follows: until then, all goes to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def emit(as_json: bool, data: Mapping[str, object], table: RenderableType) -> None:
    """Print the result: as JSON, or as tables for people."""
    if as_json:
        print(json.dumps(data, allow_nan=False))
    else:
        Console().print(table)


def save_json(path: Path, data: Mapping[str, object]) -> None:
    """Write a ``.json`` file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def plain_table(title: str, *columns: str) -> Table:
    """A table in the house style; only the last column wraps."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != columns[-1])
    return table


def short_number(value: float) -> str:
    """Four digits, and an exponent without padding from 10000 on: 1.5, 2.62e4, 1e-6."""
    text = f"{value:.4g}"
    if "e" not in text and 1e4 <= abs(value) < float("inf"):
        text = f"{value:.3e}"
    mantissa, e, exponent = text.partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def key_table(title: str, data: Mapping[str, object]) -> Table:
    """One row for each key of a result."""
    table = plain_table(title, "what", "value")
    table.show_header = False
    for key, value in data.items():
        table.add_row(*(escape(text) for text in (_words(key), _shown(value))))
    return table


def _words(key: str) -> str:
    """A key as words; one in capitals is a name."""
    if key.isupper():
        return key
    return " ".join(WORDS.get(word, word) for word in key.split("_"))


def _shown(value: object) -> str:
    """A value for people: four decimals at most, one line for each item."""
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        return "\n".join(f"{_words(key)}: {_flat(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "\n".join(_shown(item) for item in value)
    return "none" if value is None else str(value)


def _flat(value: object) -> str:
    """The same on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    return _shown(value)


class Reporter:
    """Progress on stderr: a bar a stage on a terminal, a line a stage elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[counted]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._stage = ""

    def update(self, stage: str, done: int = 0, total: int = 0) -> None:
        """``done`` of ``total`` steps of a stage; a total below 2 means: length unknown.

        A new stage ends the one before.
        """
        if stage != self._stage:
            self._end()
            self._stage = stage
            if self._bars.disable:
                self._console.print(f"{stage} ...", markup=False, highlight=False)
            self._bars.add_task(stage, total=None, counted="")
        if total > 1:
            task = self._bars.tasks[-1].id
            self._bars.update(task, completed=done, total=total, counted=f"{done}/{total}")

    def __enter__(self) -> Reporter:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._end()
        self._bars.stop()

    def _end(self) -> None:
        for task in self._bars.tasks[-1:]:
            total = task.total or 1
            self._bars.update(task.id, completed=total, total=total)
