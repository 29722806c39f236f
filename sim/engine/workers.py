"""Threads that the numpy engine works on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from numpy.typing import NDArray

from ..blas import blas_threads

_SHARED = 1 << 17
"""Of fewer numbers a thread takes longer to begin than to end."""
_LIGHT = 8
"""As much is done with one number of a product as with so many that are copied or scaled."""
_Part = TypeVar("_Part")
_Made = TypeVar("_Made")


class Workers:
    """So many threads, each with its parts; BLAS then uses the one that calls it.

    Parameters
    ----------
    count:
        Of threads; None: one for each processor that this process may use.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.count - 1) if self.count > 1 else None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While it lasts BLAS starts no threads of its own."""
        with blas_threads(1):
            yield

    def shares(self, count: int, numbers: int, *, light: bool = False) -> list[slice]:
        """Parts of ``count`` lanes, in all of so many numbers: one for each thread, or one.

        ``light``: little is done with each of them.
        """
        numbers //= _LIGHT if light else 1
        parts = self.count if numbers >= _SHARED else 1
        step = max(1, -(-count // parts))
        return [slice(start, min(start + step, count)) for start in range(0, count, step)]

    def share(
        self, lanes: NDArray[Any], numbers: int, work: Callable[[NDArray[Any]], None]
    ) -> None:
        """Have light work done on parts of lanes (n, ...), with so many numbers a lane."""
        parts = [lanes[part] for part in self.shares(len(lanes), len(lanes) * numbers, light=True)]
        for _ in self.map(work, parts):
            pass

    def map(self, work: Callable[[_Part], _Made], parts: Sequence[_Part]) -> Iterable[_Made]:
        """What is made of each part, in order; of the first one in this thread."""
        if self._pool is None or len(parts) < 2:
            return map(work, parts)
        others = self._pool.map(work, parts[1:])
        return [work(parts[0]), *others]


ALONE = Workers(1)
