"""The state of cells: what is copied, what is shared."""

from dataclasses import fields

import numpy as np

from ohmloom.sim.devices import CellState, Health


def numbered(shape):
    state = CellState.blank(shape)
    for n, field in enumerate(fields(state)):
        array = getattr(state, field.name)
        array[...] = (np.arange(array.size).reshape(shape) + n) % 2
    return state


def test_blank_cells_are_well_and_of_the_types_promised():
    state = CellState.blank((2, 3))
    assert {getattr(state, field.name).shape for field in fields(state)} == {(2, 3)}
    kinds = [getattr(state, field.name).dtype.name for field in fields(state)]
    assert kinds == ["float64"] * 4 + ["uint8", "uint32", "uint32", "uint8", "bool", "float64"]
    assert (state.health == Health.OK).all() and not state.written.any()


def test_take_copies_and_put_writes_every_field():
    state = numbered(6)
    part = state.take([4, 1])
    part.g += 10
    assert state.g.max() == 1
    other = CellState.blank(6)
    other.put([4, 1], state.take([4, 1]))
    for field in fields(state):
        mine, theirs = getattr(other, field.name), getattr(state, field.name)
        assert np.array_equal(mine[[4, 1]], theirs[[4, 1]]) and not mine[[0, 2, 3, 5]].any()


def test_a_copied_state_shares_no_memory_between_fields():
    zero = np.zeros(3)
    part = CellState.blank(3).with_(w=zero, s=zero).copy()
    part.w[0] = 1
    assert part.s[0] == 0


def test_another_shape_is_a_view():
    state = numbered((2, 3))
    state.reshape(-1).g[5] = 7
    assert state.g[1, 2] == 7


def test_changes_leave_the_others_shared():
    state = numbered(4)
    after = state.with_(g=np.ones(4))
    assert after.w is state.w and after.g is not state.g
