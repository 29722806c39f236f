"""What write-verify has made of a tile: yield, pulses, verdicts, and verdicts that are wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...hw.isa import CellStatus, unpack_result
from .errors import EngineError


@dataclass(frozen=True)
class Tally:
    """Figures of one tile; shares count the cells that are not stuck.

    Attributes
    ----------
    cells:
        Cells that are not stuck.
    inside:
        Share of them whose conductance is within the tolerance of its target.
    mean_pairs, most_pairs:
        Pairs of a RESET and a SET that they were given.
    statuses:
        How often each verdict was given, stuck cells included.
    unreported, slandered:
        Cells that are stuck and not called so, and cells that are called so and are not.
    deceived:
        Cells called done whose conductance is beyond the tolerance.
    """

    cells: int
    inside: float
    mean_pairs: float
    most_pairs: int
    statuses: Mapping[CellStatus, int]
    unreported: tuple[int, ...]
    slandered: tuple[int, ...]
    deceived: tuple[int, ...]


def tally(
    words: ArrayLike,
    g: ArrayLike,
    targets: ArrayLike,
    tolerance: float,
    stuck: ArrayLike = (),
) -> Tally:
    """Judge the verdicts of write-verify by the true conductances.

    Parameters
    ----------
    words:
        Result words, one a cell.
    g, targets:
        True and wanted conductances [S], of the same size.
    tolerance:
        Accepted distance of the two [S].
    stuck:
        Numbers of the cells that are stuck.

    Raises
    ------
    EngineError
        If the sizes differ, there is no cell, or a stuck cell is not among them.
    """
    results = [unpack_result(int(word)) for word in np.asarray(words).ravel()]
    true, wanted = np.asarray(g).ravel(), np.asarray(targets).ravel()
    if not len(results) == true.size == wanted.size > 0:
        raise EngineError(
            f"{len(results)} results, {true.size} conductances and {wanted.size} targets"
        )
    faulty = np.zeros(true.size, dtype=bool)
    named = np.asarray(stuck, dtype=np.int64)
    if named.size and not 0 <= named.min() <= named.max() < true.size:
        raise EngineError(f"stuck cells {named.min()}..{named.max()} of {true.size}")
    faulty[named] = True
    if faulty.all():
        raise EngineError("every cell is stuck")
    status = np.array([int(found) for _, _, found in results])
    pairs = np.array([tries for _, tries, _ in results])[~faulty]
    within = np.abs(true - wanted) <= tolerance
    called = status == CellStatus.STUCK
    return Tally(
        cells=int((~faulty).sum()),
        inside=float(within[~faulty].mean()),
        mean_pairs=float(pairs.mean()),
        most_pairs=int(pairs.max()),
        statuses=Counter(CellStatus(int(found)) for found in status),
        unreported=_numbers(faulty & ~called),
        slandered=_numbers(called & ~faulty),
        deceived=_numbers((status == CellStatus.DONE) & ~within),
    )


def _numbers(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())
