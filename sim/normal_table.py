"""Regenerates ``normal_table.npy``, the inverse-normal table of :mod:`.numerics`.

Run as ``python -m ohmloom.sim.normal_table``. It needs SciPy, which nothing else
here does: the engines only ever read the checked-in table.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .numerics import OCTAVES, SEGMENTS, TABLE_PATH, Z_FRACTION_BITS


def build() -> np.ndarray:
    """The table, shape (OCTAVES * SEGMENTS + 1,), int32, deviates with 12 fraction bits.

    Entry ``32 * e + s`` belongs to the tail probability ``2**(e - 33) * (1 + s/32)``;
    the last one is p = 1/2.
    """
    from scipy.special import ndtri

    octave = np.repeat(np.arange(OCTAVES), SEGMENTS)
    segment = np.tile(np.arange(SEGMENTS), OCTAVES)
    p = np.append(np.ldexp(1 + segment / SEGMENTS, octave - OCTAVES - 1), 0.5)
    return np.rint(-ndtri(p) * 2**Z_FRACTION_BITS).astype(np.int32)


def write(path: Path = TABLE_PATH) -> None:
    """Write the table to ``path``."""
    np.save(path, build(), allow_pickle=False)


if __name__ == "__main__":
    write()
