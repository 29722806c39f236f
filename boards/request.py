"""What was asked for, as the name of a bitstream that is there already.

A build plan says exactly what a bitstream is made of, but to make one takes seconds. Its inputs
are hashed in a moment: geometry, board, front end, every source file of the gateware, the boards
and the devices, Amaranth, Python, the tools' versions and what the environment tells Amaranth.
Only boards of the catalogue are asked for so: a file of the user's may import anything.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata, util
from pathlib import Path

from ..cache import content_key
from ..hw.geometry import Geometry
from .board import Board
from .catalogue import boards

ROOT = Path(__file__).parents[1]
SOURCES = ("hw", "boards", "sim")
"""Folders of what a design is made of: gateware, boards, and the tables of devices."""
SUFFIXES = frozenset((".py", ".v", ".toml", ".npy"))
LIBRARIES = {"amaranth": "amaranth", "amaranth_boards": "amaranth-boards"}
"""Packages whose files become a part of the plan, and their distributions."""
REQUESTS = "requests"


def request_key(
    geometry: Geometry, board: Board, afe: str | None, versions: Mapping[str, str]
) -> str | None:
    """SHA-256 of a request; None: the board is not of the catalogue.

    Parameters
    ----------
    versions:
        Of the tools that build for the board.
    """
    if boards().get(board.name) is not (board.parent or board):
        return None
    asked = (
        ("geometry", repr(geometry)),
        ("board", board.name),
        ("variant", board.variant),
        ("afe", board.afe_name(afe)),
        ("python", platform.python_version()),
    )
    tools = ((f"tool {name}", version) for name, version in sorted(versions.items()))
    return content_key([*asked, *tools, *_environment(), *_sources(ROOT), *_libraries()])


def recall(folder: Path, key: str) -> Path | None:
    """The entry of the cache in ``folder`` that a request has led to, if it is still there."""
    try:
        entry = folder / (folder / REQUESTS / key).read_text()
    except OSError:
        return None
    return entry if entry.is_dir() else None


def remember(folder: Path, key: str, entry: Path) -> None:
    """Note which entry of the cache in ``folder`` a request has led to."""
    note = folder / REQUESTS / key
    note.parent.mkdir(parents=True, exist_ok=True)
    temporary = note.with_name(f".{key}.{os.getpid()}")
    temporary.write_text(entry.name)
    temporary.replace(note)


def _environment() -> Iterator[tuple[str, str]]:
    """What Amaranth's platforms read from the environment."""
    for name, value in sorted(os.environ.items()):
        if name.startswith("AMARANTH_"):
            yield f"environment {name}", value


def _sources(root: Path) -> Iterator[tuple[str, bytes]]:
    for part in SOURCES:
        for path in sorted((root / part).rglob("*")):
            if path.suffix in SUFFIXES:
                yield str(path.relative_to(root)), path.read_bytes()


def _libraries() -> Iterator[tuple[str, str]]:
    """Versions, and times of the files, of packages that may be checkouts."""
    for package, distribution in LIBRARIES.items():
        yield distribution, metadata.version(distribution)
        found = util.find_spec(package)
        for root in () if found is None else found.submodule_search_locations or ():
            for path in sorted(Path(root).rglob("*.py")):
                stat = path.stat()
                yield str(path), f"{stat.st_size} {stat.st_mtime_ns}"
