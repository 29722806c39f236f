"""Post-processing of many activations as compiled loops, value after value as in the gateware.

A value that was written is what a later one reads. Importing this needs numba, which is optional.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from .fused_kernel import half_even

_compile = njit(cache=True, nogil=True)


@_compile
def largest(act: Any, reads: Any, writes: Any) -> None:
    """The maximum of a window.

    ``act`` integers (samples, n), ``reads`` int64 (values, window), ``writes`` int64 (values,).
    """
    for sample in range(act.shape[0]):
        line = act[sample]
        for value in range(writes.size):
            most = line[reads[value, 0]]
            for n in range(1, reads.shape[1]):
                most = max(most, line[reads[value, n]])
            line[writes[value]] = most


@_compile
def copied(act: Any, runs: Any) -> None:
    """Copies: ``runs`` int64 (n, 4), each from where, what is added from value to value (0 or
    1), to where, and how many."""
    for sample in range(act.shape[0]):
        line = act[sample]
        for run in range(runs.shape[0]):
            first, step, out, count = runs[run]
            source, to = line[first : first + step * (count - 1) + 1], line[out : out + count]
            if step == 1:
                for k in range(count):
                    to[k] = source[k]
            elif first < out or first >= out + count:
                to[:] = source[0]
            else:
                for k in range(count):
                    to[k] = source[0]


@_compile
def added(
    act: Any, a: int, b: int, out: int, count: int,
    mantissa_a: int, mantissa_b: int, bias: int, shift: int, low: int, high: int,
) -> None:  # fmt: skip
    """``clamp(round_half_even((a * mantissa_a + b * mantissa_b + bias) / 2^shift))``.

    ``a``, ``b`` and ``out`` are where the first of ``count`` values are.
    """
    for sample in range(act.shape[0]):
        line = act[sample]
        first, second, to = line[a : a + count], line[b : b + count], line[out : out + count]
        for k in range(count):
            total = first[k] * mantissa_a + second[k] * mantissa_b + bias
            to[k] = min(max(half_even(total, shift), low), high)
