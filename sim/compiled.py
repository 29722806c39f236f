"""Loops that numba compiles, where it is installed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

FROM = 1 << 12
"""Of fewer numbers it is not worth loading a compiler."""

_loaded: dict[str, ModuleType | None] = {}


def compiled(name: str, size: int) -> ModuleType | None:
    """A module of loops, for so many numbers; None: numpy does what they do.

    That is where numba is not installed or finds no folder for what it compiles, and for few
    numbers as long as the loops have not been loaded for many.

    Parameters
    ----------
    name:
        Below this package, as ``.draw_kernel``.
    """
    if name not in _loaded and size >= FROM:
        try:
            _loaded[name] = import_module(name, __package__)
        except (ImportError, RuntimeError):
            _loaded[name] = None
    return _loaded.get(name)
