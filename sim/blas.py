"""How many threads BLAS has."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """Looked for once: it takes longer than a small network is solved in."""
    return ThreadpoolController()


def blas_threads(count: int) -> AbstractContextManager[object]:
    """While it lasts BLAS has so many threads."""
    return _libraries().limit(limits=count, user_api="blas")
