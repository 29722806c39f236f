"""Memory that is free again, back to the system."""

from __future__ import annotations

import ctypes
import sys


def trim() -> None:
    """Give back what the C library keeps of what was freed, where it can be told to.

    Between passes over a large network that is as much as its weights.
    """
    if sys.platform == "linux":
        give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if give_back is not None:
            give_back(0)
