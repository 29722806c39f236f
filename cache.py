"""The user's cache: what was made once from the same inputs is not made again.

An entry is a folder that is named by its content's key and appears whole or not
at all. This file imports nothing of the project, so every part may use it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """The user's cache of one kind of thing, by the XDG rules."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ohmloom" / kind


def content_key(parts: Iterable[tuple[str, str | bytes]]) -> str:
    """SHA-256 over named contents, each with its length in front."""
    digest = hashlib.sha256()
    for name, content in parts:
        raw = content.encode() if isinstance(content, str) else content
        for part in (name.encode(), raw):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def publish(made: Path, entry: Path) -> None:
    """Give a finished folder its name; another process may have been faster."""
    try:
        made.rename(entry)
    except OSError:
        if not entry.is_dir():
            raise
