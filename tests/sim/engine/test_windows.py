from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.hw.isa import pack_level
from ohmloom.sim.engine.windows import level_table

levels = st.lists(
    st.tuples(
        st.integers(0, 0xFFFF), st.integers(-32768, 32767), st.integers(-32768, 32767)
    ),
    min_size=1, max_size=8,
)  # fmt: skip


@given(table=levels, base=st.integers(0, 3), data=st.data())
def test_each_cell_has_its_levels_record(table, base: int, data) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(table) - 1), min_size=1, max_size=12))
    params = np.array([0] * base + [pack_level(*each) for each in table], np.uint64)
    found = level_table(params, base, np.array(wanted))
    assert np.array_equal(np.array(found).T, [table[level] for level in wanted])
