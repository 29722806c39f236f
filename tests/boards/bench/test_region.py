from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.boards.bench.region import Region
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.array import ArrayError

REGION = Region(Geometry(rows=8, columns=8, tiles=4), first=1, size=100)


@given(st.lists(st.integers(0, 99), unique=True, max_size=60), st.integers(1, 9))
def test_neighbours_are_side_by_side(cells: list[int], most: int) -> None:
    found = list(REGION.neighbours(np.array(cells, dtype=np.int64), most))
    seen = [index for group in found for index in group.tolist()]
    assert sorted(seen) == list(range(len(cells)))
    for group in found:
        places = [REGION.place(cells[index]) for index in group]
        tile, row, column = places[0]
        assert places == [(tile, row, column + n) for n in range(len(places))]
        assert len(group) <= most
    # No two groups could have been one.
    for group, following in zip(found, found[1:], strict=False):
        last, next_ = REGION.place(cells[group[-1]]), REGION.place(cells[following[0]])
        assert len(group) == most or next_ != (*last[:2], last[2] + 1)


def test_places() -> None:
    assert REGION.place(0) == (1, 0, 0) and REGION.place(99) == (2, 4, 3)
    assert list(REGION.tiles) == [1, 2]


@pytest.mark.parametrize(
    ("cells", "says"),
    [([0, 100], "0..100 are outside 0..99"), ([3, 3], "named twice"), ([0.5], "are integers")],
)
def test_cells_that_are_none(cells: list[float], says: str) -> None:
    with pytest.raises(ArrayError, match=says):
        REGION.cells(cells)
