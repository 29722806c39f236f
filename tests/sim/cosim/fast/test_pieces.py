"""Which statements of a design come together, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.sim.cosim.fast import pieces
from ohmloom.sim.cosim.fast.pieces import SourceError

KEPT = {"p_a_2e_count", "memory_p_a_2e_store"}


def cut(*lines: str) -> list[list[str]]:
    """Lines of the pieces of statements of a line each."""
    found = pieces.pieces([[line] for line in lines], KEPT)
    return [[line for unit in piece for line in unit.lines] for piece in found]


def test_statements_of_a_module_come_together():
    one, two, three = "p_a_2e_x = i_in;", "p_b_2e_y = i_in;", "p_a_2e_z = p_a_2e_x;"
    assert cut(one, two, three) == [[one, three], [two]]


def test_a_name_without_a_module_is_with_its_reader():
    other, one, two = "p_b_2e_y = i_in;", "i_17__Y = i_in;", "p_a_2e_x = i_17__Y;"
    assert sorted(cut(other, one, two)) == [[one, two], [other]]


def test_a_register_is_read_as_it_was():
    """So what reads it need not come after what writes it."""
    counts = "p_a_2e_count.next = p_b_2e_y;"
    assert cut("p_b_2e_y = p_a_2e_count.curr;", counts)[1] == [counts]


def test_what_writes_parts_of_a_value_is_one_unit(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_CHARACTERS", 1)
    low, high = "p_a_2e_x.slice<0>() = i_in;", "p_a_2e_x.slice<1>() = p_b_2e_y;"
    assert cut(low, "p_b_2e_y = i_in;", high)[1] == [low, high]


def test_a_memory_is_written_by_what_updates_it():
    (piece,) = pieces.pieces([["memory_p_a_2e_store.update(tmp_1.index, i_x, i_y, 0);"]], KEPT)
    assert piece[0].writes == {"memory_p_a_2e_store", "tmp_1"}
    assert {"i_x", "i_y", "memory_p_a_2e_store"} <= piece[0].reads
    assert piece[0].module == "a"


def test_a_circle_is_refused():
    with pytest.raises(SourceError, match="in a circle"):
        cut("p_a_2e_x = p_b_2e_y;", "p_b_2e_y = p_a_2e_x;")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sets(st.integers(0, 30))), max_size=30))
def test_what_reads_a_value_comes_after_what_writes_it(statements):
    names = [f"p_{module}_2e_{i}" for i, (module, _) in enumerate(statements)]
    lines = [
        f"{names[i]} = {', '.join(names[other] for other in sorted(read) if other < i)};"
        for i, (_, read) in enumerate(statements)
    ]
    order = [line for piece in cut(*lines) for line in piece]
    assert sorted(order) == sorted(lines)
    done: set[str] = set()
    for line in order:
        target, _, read = line.rstrip(";").partition(" = ")
        assert set(filter(None, read.split(", "))) <= done
        done.add(target)
