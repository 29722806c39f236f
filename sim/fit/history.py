"""The history of measured cells: what was done to each one, in order, and what was measured."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import REFERENCE_K
from ..numerics import FloatArray, IntArray
from .errors import FitError

SIZE_LIMIT = 32 << 20
"""Largest file [bytes]."""
NEEDED = ("cell", "kind", "volts", "seconds", "amps")
OPTIONAL = ("i_cc", "temperature_k", "time_s")
_LIMITED = 0.85  # of the limit: above, an error of the meter may hide that it limits
_LARGEST = 1e15  # of any number in a file: what is above is a slip
_EARLY = 1e-9  # part of the time by which a row may begin before the end of the one above it


class Kind(IntEnum):
    """What was done to a cell in one row."""

    PULSE = 0
    """A voltage for a time; ``amps`` is the current at its end."""
    READ = 1
    """A voltage that leaves the cell as it is; ``amps`` is the current."""
    SWEEP = 2
    """One step of a slow sweep; ``amps`` is the current at its end."""
    WAIT = 3
    """A time at 0 V."""


@dataclass(frozen=True)
class History:
    """Rows of a file, sorted by cell and in each cell by time; arrays of shape (rows,).

    Attributes
    ----------
    name:
        Of the file, without its folder.
    cells:
        What the file calls the cells.
    cell:
        Index into ``cells``, ascending.
    kind:
        A :class:`Kind`.
    volts, seconds, i_cc, kelvin:
        What was applied [V, s, A, K]; ``i_cc`` is infinite without a limit.
    amps:
        Measured current [A], NaN where none was.
    idle:
        Time at 0 V before the row [s].
    """

    name: str
    cells: tuple[str, ...]
    cell: IntArray
    kind: IntArray
    volts: FloatArray
    seconds: FloatArray
    i_cc: FloatArray
    kelvin: FloatArray
    amps: FloatArray
    idle: FloatArray

    @property
    def size(self) -> int:
        return self.cell.size

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Rows with a current."""
        return np.isfinite(self.amps)

    @property
    def limited(self) -> NDArray[np.bool_]:
        """Rows whose current is that of the limiter, and says nothing about the cell."""
        with np.errstate(invalid="ignore"):
            return np.abs(self.amps) >= _LIMITED * self.i_cc

    def of(self, kind: Kind) -> NDArray[np.bool_]:
        """Rows of a kind."""
        return self.kind == kind

    def each_cell(self) -> Iterator[tuple[int, slice]]:
        """Every cell with its rows."""
        edges = np.searchsorted(self.cell, np.arange(len(self.cells) + 1))
        for number, (start, stop) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            yield number, slice(int(start), int(stop))


def read_csv(path: Path) -> History:
    """The history in a CSV file (``docs/fit.md``).

    Raises
    ------
    FitError
        Naming file, line and column of the first thing that is wrong.
    """
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise FitError(f"{path} is larger than {SIZE_LIMIT} bytes, the most that is read")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FitError(f"{path} is not UTF-8 text: byte {error.start} cannot be read") from error
    lines = [
        (number, line)
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise FitError(f"{path} is empty: there is no line with the names of the columns")
    header = _fields(path, *lines[0])
    _check_header(path, lines[0][0], header)
    if len(lines) == 1:
        raise FitError(f"{path} has no row below the names of its columns")
    rows = [_row(path, number, header, _fields(path, number, line)) for number, line in lines[1:]]
    return _assembled(path, rows, "time_s" in header)


def _fields(path: Path, number: int, line: str) -> list[str]:
    try:
        return [field.strip() for field in next(csv.reader([line], strict=True))]
    except csv.Error as error:
        raise FitError(f"{path}, line {number} is not a line of a CSV file: {error}") from error


def _check_header(path: Path, number: int, header: Sequence[str]) -> None:
    where = f"{path}, line {number}"
    known = f"accepted are {', '.join((*NEEDED, *OPTIONAL))}"
    for name in header:
        if name not in NEEDED + OPTIONAL:
            raise FitError(f"{where}: {name!r} is not a column; {known}")
        if header.count(name) > 1:
            raise FitError(f"{where}: the column {name} is there twice")
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise FitError(f"{where}: the column {missing[0]} is missing; {known}")


@dataclass(frozen=True)
class _Row:
    line: int
    cell: str
    kind: Kind
    numbers: dict[str, float]


def _row(path: Path, line: int, header: Sequence[str], fields: Sequence[str]) -> _Row:
    where = f"{path}, line {line}"
    if len(fields) != len(header):
        raise FitError(f"{where} has {len(fields)} fields, the header {len(header)}")
    named = dict(zip(header, fields, strict=True))
    if not named["cell"]:
        raise FitError(f"{where}, column cell is empty")
    kinds = {kind.name.lower(): kind for kind in Kind}
    if named["kind"] not in kinds:
        raise FitError(f"{where}, column kind: {named['kind']!r} is none of {', '.join(kinds)}")
    kind = kinds[named["kind"]]
    numbers = {
        name: _number(f"{where}, column {name}", named[name])
        for name in header
        if name not in ("cell", "kind")
    }
    _check_row(where, kind, numbers)
    return _Row(line, named["cell"], kind, numbers)


def _number(where: str, text: str) -> float:
    """A number, NaN where the field is empty."""
    if not text:
        return math.nan
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:
        raise FitError(f"{where}: {text[:40]!r} is not a finite number")
    return value


def _check_row(where: str, kind: Kind, numbers: dict[str, float]) -> None:
    needed = {
        Kind.PULSE: ("volts", "seconds"),
        Kind.READ: ("volts", "amps"),
        Kind.SWEEP: ("volts", "seconds"),
        Kind.WAIT: ("seconds",),
    }[kind]
    for name in needed:
        if math.isnan(numbers[name]):
            raise FitError(f"{where}, column {name} is empty: a {kind.name.lower()} needs it")
    if kind == Kind.READ and numbers["volts"] == 0:
        raise FitError(f"{where}, column volts: a read at 0 V says nothing about the cell")
    for name, least in (("seconds", 0.0), ("i_cc", 0.0), ("temperature_k", 1.0)):
        if numbers.get(name, least) < least:
            raise FitError(f"{where}, column {name}: {numbers[name]:g} is below {least:g}")


def _assembled(path: Path, rows: Sequence[_Row], timed: bool) -> History:
    cells = tuple(dict.fromkeys(row.cell for row in rows))
    numbers = {name: index for index, name in enumerate(cells)}
    ordered = sorted(rows, key=lambda row: numbers[row.cell])  # stable: time stays in order

    def column(name: str, absent: float) -> FloatArray:
        values = np.array([row.numbers.get(name, math.nan) for row in ordered])
        return np.where(np.isnan(values), absent, values)

    seconds = column("seconds", 0.0)
    return History(
        name=path.name.encode("utf-8", "replace").decode(),
        cells=cells,
        cell=np.array([numbers[row.cell] for row in ordered], dtype=np.int64),
        kind=np.array([row.kind for row in ordered], dtype=np.int64),
        volts=column("volts", 0.0),
        seconds=seconds,
        i_cc=column("i_cc", math.inf),
        kelvin=column("temperature_k", REFERENCE_K),
        amps=column("amps", math.nan),
        idle=_idle(path, ordered, seconds) if timed else np.zeros(len(ordered)),
    )


def _idle(path: Path, rows: Sequence[_Row], seconds: FloatArray) -> FloatArray:
    """Times between the end of a row and the begin of the next one of the same cell [s]."""
    idle, end, cell = np.zeros(len(rows)), 0.0, ""
    for n, row in enumerate(rows):
        start: Any = row.numbers["time_s"]
        where = f"{path}, line {row.line}, column time_s"
        if math.isnan(start):
            raise FitError(f"{where} is empty: a file with times gives one in each row")
        if row.cell == cell:
            if start < end - _EARLY * max(abs(end), 1e-3):
                raise FitError(
                    f"{where}: the row begins at {start:g} s, before the end of the one above "
                    f"it at {end:g} s"
                )
            idle[n] = max(start - end, 0.0)
        cell, end = row.cell, start + float(seconds[n])
    return idle
