"""Threefry and the normal deviate as compiled integer loops: the same bits as ``numerics``.

Nothing but integers is computed here: transcendental functions have one implementation
only. Importing this needs numba, which is optional.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_PARITY = np.uint32(0x1BD11BDA)
_compile = njit(cache=True, nogil=True)


def _rotation(_: Any, word: Any, by: Any) -> Any:
    """``word`` rotated to the left: shifts of numba have 64 bits, and half as many at a time."""
    kind = ir.IntType(32)

    def make(_: Any, builder: Any, __: Any, given: Any) -> Any:
        funnel = ir.FunctionType(kind, [kind] * 3)
        shift = builder.module.declare_intrinsic("llvm.fshl", [kind], funnel)
        return builder.call(shift, [given[0], given[0], given[1]])

    return types.uint32(types.uint32, types.uint32), make


_rotated: Any = intrinsic(_rotation)


@_compile
def _round(x0: Any, x1: Any, left: int) -> Any:
    x0 = np.uint32(x0 + x1)
    return x0, np.uint32(_rotated(x1, np.uint32(left)) ^ x0)


@_compile
def _four(x0: Any, x1: Any, a: int, b: int, c: int, d: int) -> Any:
    x0, x1 = _round(x0, x1, a)
    x0, x1 = _round(x0, x1, b)
    x0, x1 = _round(x0, x1, c)
    return _round(x0, x1, d)


@_compile
def words(key0: Any, key1: Any, ctr0: Any, ctr1: Any, first: Any, second: Any) -> None:
    """The words of Threefry-2x32 with 20 rounds: ``key0`` uint32, the others uint32 arrays, (n,).

    The rounds are written out: only then are several words computed at a time.
    """
    for i in range(first.size):
        k1 = key1[i]
        k2 = key0 ^ k1 ^ _PARITY
        x0, x1 = np.uint32(ctr0[i] + key0), np.uint32(ctr1[i] + k1)
        x0, x1 = _four(x0, x1, 13, 15, 26, 6)
        x0, x1 = np.uint32(x0 + k1), np.uint32(x1 + k2 + np.uint32(1))
        x0, x1 = _four(x0, x1, 17, 29, 16, 24)
        x0, x1 = np.uint32(x0 + k2), np.uint32(x1 + key0 + np.uint32(2))
        x0, x1 = _four(x0, x1, 13, 15, 26, 6)
        x0, x1 = np.uint32(x0 + key0), np.uint32(x1 + k1 + np.uint32(3))
        x0, x1 = _four(x0, x1, 17, 29, 16, 24)
        x0, x1 = np.uint32(x0 + k1), np.uint32(x1 + k2 + np.uint32(4))
        x0, x1 = _four(x0, x1, 13, 15, 26, 6)
        first[i] = np.uint32(x0 + k2)
        second[i] = np.uint32(x1 + key0 + np.uint32(5))


@_compile
def deviates(words: Any, table: Any, out: Any) -> None:
    """Integer normal deviates of uint32 words, shape (n,); ``table`` and ``out`` are int64.

    The bits of a tail probability as a float64 are octave, segment and rest. Two
    loops, the first leaving them in ``out``: so both take several words at a time.
    """
    tail = out.view(np.float64)
    for i in range(words.size):
        tail[i] = np.float64(np.uint32((words[i] << np.uint32(1)) | np.uint32(1)))
    for i in range(words.size):
        entry = np.uint64((out[i] >> np.int64(47)) - np.int64(1023 << 5))
        rest = (out[i] >> np.int64(21)) & np.int64(0x3FFFFFF)
        here = table[entry]
        z = here + (
            (rest * (table[entry + np.uint64(1)] - here) + np.int64(1 << 25)) >> np.int64(26)
        )
        sign = -np.int64(words[i] >> np.uint32(31))
        out[i] = (z ^ sign) - sign
