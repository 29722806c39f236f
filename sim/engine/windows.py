"""What write-verify aims at: gate code and window of a level, or of a target by a line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import LINE_WORDS, unpack_level
from ...hw.line import unpack_line
from ..numerics import IntArray


def level_table(
    params: NDArray[np.uint64], base: int, levels: NDArray[np.integer]
) -> tuple[IntArray, IntArray, IntArray]:
    """Gate code and verify window (low, high) of each cell's level, shape (n,).

    Parameters
    ----------
    params:
        Parameter memory.
    base:
        Where level 0 is in it; the record of every level is there.
    """
    used, which = np.unique(levels, return_inverse=True)
    words = [unpack_level(int(params[word])) for word in base + used.astype(np.int64)]
    gate, low, high = np.array(words, dtype=np.int64)[which].T
    return gate, low, high


def line_table(
    params: NDArray[np.uint64], base: int, words: NDArray[np.integer]
) -> tuple[IntArray, IntArray, IntArray]:
    """Gate code and verify window of each cell's target, a code of 16 bits, by a device's line.

    ``base`` is where the line's record is, which is there as a whole.
    """
    line = unpack_line([int(word) for word in params[base : base + LINE_WORDS]])
    targets = (np.asarray(words, np.int64) & 0xFFFF).astype(np.uint16).view(np.int16)
    used, which = np.unique(targets, return_inverse=True)
    found = [(line.gate_code(target), *line.window(target)) for target in used.tolist()]
    gate, low, high = np.array(found, dtype=np.int64)[which].T
    return gate, low, high
