"""Windows that slide over the spatial axes of a tensor, as ONNX's attributes describe them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .lowering import ZERO, Node, Unsupported, Values

MAX_WINDOW_VALUES = 1 << 27
"""Of all windows of a layer together."""


@dataclass(frozen=True)
class Windows:
    """Extents, steps and borders of the windows, one number for each spatial axis.

    Attributes
    ----------
    before, after:
        Places around the values at both ends of each axis.
    extra:
        Places after those which ``ceil_mode`` adds: they are no padding.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    extra: tuple[int, ...]

    @classmethod
    def of(cls, node: Node, spatial: tuple[int, ...], kernel: tuple[int, ...]) -> Windows:
        """Those of a Conv or a pooling node over values of a spatial shape."""
        rank = len(spatial)
        strides = numbers(node, "strides", rank, 1)
        dilations = numbers(node, "dilations", rank, 1)
        if min(*kernel, *strides, *dilations) < 1:
            raise Unsupported(f"kernel {kernel}, strides {strides} or dilations {dilations}: 0")
        reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
        auto = node.attribute("auto_pad", "NOTSET")
        pads = numbers(node, "pads", 2 * rank, 0)
        before, after = list(pads[:rank]), list(pads[rank:])
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = [
                max((math.ceil(size / s) - 1) * s + r - size, 0)
                for size, s, r in zip(spatial, strides, reach, strict=True)
            ]
            small, large = [n // 2 for n in total], [n - n // 2 for n in total]
            before, after = (small, large) if auto == "SAME_UPPER" else (large, small)
        elif auto == "VALID":
            before, after = [0] * rank, [0] * rank
        elif auto != "NOTSET":
            raise Unsupported(f"auto_pad = {auto} is none of ONNX")
        if min(*before, *after) < 0:
            raise Unsupported(f"pads {pads} are below 0")
        extra = [0] * rank
        if node.attribute("ceil_mode", 0):
            for axis, size in enumerate(spatial):
                room = size + before[axis] + after[axis] - reach[axis]
                steps = math.ceil(room / strides[axis])
                # A window that would begin in the padding behind the values is left out.
                if steps * strides[axis] >= size + before[axis]:
                    steps -= 1
                extra[axis] = max(steps * strides[axis] - room, 0)
        for axis, size in enumerate(spatial):
            if size + before[axis] + after[axis] + extra[axis] < reach[axis]:
                raise Unsupported(f"a window of {reach} is larger than the values, {spatial}")
        return cls(kernel, strides, dilations, tuple(before), tuple(after), tuple(extra))

    def padded(self, values: Values, fill: int = ZERO, *, extra: bool = True) -> Values:
        """Values (..., *spatial) with places around them that have ``fill``."""
        more = self.extra if extra else (0,) * len(self.extra)
        width = [(0, 0)] * (values.ndim - len(self.kernel))
        width += [(a, b + c) for a, b, c in zip(self.before, self.after, more, strict=True)]
        if math.prod(size + sum(w) for size, w in zip(values.shape, width, strict=True)) > (
            MAX_WINDOW_VALUES
        ):
            raise Unsupported("its padding has too many values")
        return np.pad(values, width, constant_values=fill)

    def places(self, padded: tuple[int, ...]) -> list[np.ndarray]:
        """For each axis of padded values the places of every window, (windows, kernel)."""
        found = []
        for size, k, s, d in zip(padded, self.kernel, self.strides, self.dilations, strict=True):
            begins = np.arange(0, size - d * (k - 1), s)
            found.append(begins[:, np.newaxis] + d * np.arange(k))
        return found


def gather(values: Values, reads: Sequence[np.ndarray]) -> Values:
    """Windows (N, *positions, *places, C) of values (N, *spatial, C).

    ``reads`` has for each spatial axis the places of every window, (positions, places).
    """
    if values.shape[0] * math.prod(read.size for read in reads) * values.shape[-1] > (
        MAX_WINDOW_VALUES
    ):
        raise Unsupported("its windows have too many values together")
    rank, index = len(reads), []
    for axis, read in enumerate(reads):
        form = [1] * (2 * rank)
        form[axis], form[rank + axis] = read.shape
        index.append(read.reshape(form))
    return values[(slice(None), *index)]


def numbers(node: Node, name: str, count: int, default: int) -> tuple[int, ...]:
    """A list attribute of whole numbers of a known length."""
    found = node.attribute(name, None)
    if found is None or len(found) == 0:
        return (default,) * count
    if len(found) != count:
        raise Unsupported(f"{name} = {list(found)}, {count} numbers are accepted")
    return tuple(int(n) for n in found)
