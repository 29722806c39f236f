"""Statements of a compiled design in pieces, each to be run only when what it reads has changed.

Of a controller with its chips little moves in a clock cycle: most of what an evaluation
would work out is what it was. Statements of one module mostly change together, so
they go into one piece, as far as the order of evaluation lets them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ....errors import OhmloomError

PIECE_CHARACTERS = 4000
"""Length of a piece, in characters of source, beyond which it takes no more statements."""

_MEMBER = re.compile(r"\b(?:[pi]_\w+|memory_\w+|tmp_\d+)")
UPDATE = re.compile(r"\b(memory_\w+)\.update\(")
"""What writes a memory."""


_KIND = re.compile(r"^(memory_)?[pi]_(flatten_5c_)?")


class SourceError(OhmloomError, RuntimeError):
    """The C++ could not be made from the design."""


@dataclass(eq=False)
class Unit:
    """Statements that cannot be parted.

    Attributes
    ----------
    lines : list of str
        Of C++, in their order.
    reads, writes : set of str
        Members of the design.
    module : str
        Mangled path of the module that it comes from; empty: it does not say.
    """

    lines: list[str]
    reads: set[str]
    writes: set[str]
    module: str


def pieces(statements: list[list[str]], kept: set[str]) -> list[list[Unit]]:
    """Statements in pieces: what reads a value comes after what writes it.

    Parameters
    ----------
    statements : list of list of str
        The lines of each, in an order in which they can be run.
    kept : set of str
        Members that change at the clock edge only, wires and memories: they are read as
        they were before.

    Raises
    ------
    SourceError
        If values depend on each other in a circle.
    """
    units = _units(statements)
    writer = {name: unit for unit in units for name in unit.writes - kept}
    readers: dict[Unit, list[Unit]] = defaultdict(list)
    missing: dict[Unit, int] = {}
    for unit in units:
        sources = {writer[name] for name in unit.reads & writer.keys()} - {unit}
        missing[unit] = len(sources)
        for source in sources:
            readers[source].append(unit)
    for unit in reversed(units):
        unit.module = unit.module or next((r.module for r in readers[unit] if r.module), "")

    found: list[list[Unit]] = []
    ready: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        if not missing[unit]:
            ready[unit.module].append(unit)
    while any(ready.values()):
        waiting = max(ready.values(), key=len)
        found.append([])
        while waiting and sum(len(line) for u in found[-1] for line in u.lines) < PIECE_CHARACTERS:
            unit = waiting.pop(0)
            found[-1].append(unit)
            for reader in readers[unit]:
                missing[reader] -= 1
                if not missing[reader]:
                    ready[reader.module].append(reader)
    if sum(map(len, found)) != len(units):
        raise SourceError("values of the design depend on each other in a circle")
    return found


def members(lines: Iterable[str]) -> set[str]:
    """Names of the design that lines mention, those of temporaries among them."""
    return {name for line in lines for name in _MEMBER.findall(line)}


def _units(statements: list[list[str]]) -> list[Unit]:
    """Statements that share a temporary, or write the same, are one unit."""
    units: dict[int, Unit] = {}
    owner: dict[str, int] = {}
    for number, lines in enumerate(statements):
        reads, writes = set[str](), set(UPDATE.findall("\n".join(lines)))
        for line in lines:
            target, equals, value = line.partition(" = ")
            reads |= members([value if equals else line])
            writes |= members([target]) if equals else set()
        shared = writes | {name for name in reads if name.startswith("tmp_")}
        merged = Unit([], reads, shared, _module(writes))
        for other in sorted({owner[name] for name in shared & owner.keys()}):
            unit = units.pop(other)
            merged.lines += unit.lines
            merged.reads |= unit.reads
            merged.writes |= unit.writes
            merged.module = unit.module or merged.module
        merged.lines += lines
        units[number] = merged
        owner |= dict.fromkeys(merged.writes, number)
    return list(units.values())


def _module(names: set[str]) -> str:
    name = min((name for name in names if not name.startswith("tmp_")), default="")
    return _KIND.sub("", name).replace("_5c_", "").rpartition("_2e_")[0]
