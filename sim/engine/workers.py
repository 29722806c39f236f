"""Threads that the numpy engine works on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

_SWITCH_S = 2e-4
"""What a thread that comes from a compiled loop may have to wait for another one."""
_Part = TypeVar("_Part")
_Made = TypeVar("_Made")


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


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
        """While it lasts BLAS starts no threads, and these soon make way for each other."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        try:
            with _libraries().limit(limits=1, user_api="blas"):
                yield
        finally:
            sys.setswitchinterval(before)

    def map(self, work: Callable[[_Part], _Made], parts: Sequence[_Part]) -> Iterable[_Made]:
        """What is made of each part, in order."""
        if self._pool is None or len(parts) < 2:
            return map(work, parts)
        return self._pool.map(work, parts)
