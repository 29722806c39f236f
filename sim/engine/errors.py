"""What an engine refuses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import OhmloomError


class EngineError(OhmloomError, ValueError):
    """An image, input or array that the engine cannot execute; names the instruction."""


def check_width(what: str, values: NDArray[np.generic], width: int) -> None:
    """Refuse values that a two's-complement word of ``width`` bits does not hold."""
    if not values.size:
        return
    low, high = int(values.min()), int(values.max())
    if low < -(1 << width - 1) or high >= 1 << width - 1:
        raise EngineError(f"{what} in {low}..{high} does not fit {width} bits")
