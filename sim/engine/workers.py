"""Threads that the numpy engine works on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from ..blas import blas_threads

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
        self._pool = ThreadPoolExecutor(self.count) if self.count > 1 else None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While it lasts BLAS starts no threads of its own."""
        with blas_threads(1):
            yield

    def map(self, work: Callable[[_Part], _Made], parts: Sequence[_Part]) -> Iterable[_Made]:
        """What is made of each part, in order."""
        if self._pool is None or len(parts) < 2:
            return map(work, parts)
        return self._pool.map(work, parts)
