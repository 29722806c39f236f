"""Memory for a float network's values, which gives back what is not needed any more."""

from __future__ import annotations

import mmap

import numpy as np
from numpy.typing import DTypeLike


class Floats:
    """Values of samples by their number, all 0 at first.

    Memory is taken when a value is written.

    Parameters
    ----------
    samples, values :
        Shape of :attr:`array`.
    dtype :
        Its type.
    """

    def __init__(self, samples: int, values: int, dtype: DTypeLike) -> None:
        self._row = values * np.dtype(dtype).itemsize
        self._pages = mmap.mmap(-1, samples * self._row)
        self.array = np.frombuffer(self._pages, dtype).reshape(samples, values)

    def forget(self, values: range) -> None:
        """Give back the memory of some values, which are undefined from then on."""
        if not hasattr(mmap, "MADV_DONTNEED"):
            return
        item = self.array.itemsize
        for sample in range(len(self.array)):
            begin, end = (sample * self._row + n * item for n in (values.start, values.stop))
            begin, end = -(-begin // mmap.PAGESIZE), end // mmap.PAGESIZE
            if begin < end:
                size = (end - begin) * mmap.PAGESIZE
                self._pages.madvise(mmap.MADV_DONTNEED, begin * mmap.PAGESIZE, size)
