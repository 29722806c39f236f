"""Rounds together and round by round leave the same behind, whatever the program."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.isa import Op, Reg, Scheme, instruction
from ohmloom.sim.converters import Channels, Readout
from ohmloom.sim.engine import nest, product, rounds
from ohmloom.sim.engine.drives import Drives
from ohmloom.sim.engine.product import Product
from ohmloom.sim.engine.rounds import Rounds

from .conftest import (
    ARRAY,
    CARD,
    GEOMETRY,
    RESULT,
    SCRATCH,
    SOURCE,
    TABLE,
    array,
    convolution,
    loop,
    mvm,
    outcome,
    pool,
    programs,
    requant,
)

SINGLE = replace(GEOMETRY, single=True)


@pytest.fixture
def together(monkeypatch):
    """Rounds that each nest has executed together."""
    found = []
    run = Rounds.run

    def counted(self):
        done = run(self)
        found.append(done - self.flow.first)
        return done

    monkeypatch.setattr(Rounds, "run", counted)
    return found


@settings(max_examples=500, deadline=None)
@given(
    program=programs,
    samples=st.integers(0, 3),
    tia_range=st.sampled_from([0, 1]),
    acc_width=st.sampled_from([16, 20, 32]),
    scheme=st.sampled_from([None, *Scheme]),
    read_noise=st.booleans(),
)
def test_every_program_leaves_the_same_behind(program, acc_width, scheme, **setting):
    """Those of a controller without single columns too."""
    single = scheme is not None
    setting |= {"scheme": scheme or 0}
    setting["geometry"] = replace(GEOMETRY, acc_width=acc_width, single=single)
    one_by_one = outcome(program, by_round=True, **setting)
    assert outcome(program, by_round=False, **setting) == one_by_one


def same(program, **setting) -> bool:
    one_by_one = outcome(program, by_round=True, **setting)
    return outcome(program, by_round=False, **setting) == one_by_one


POINTWISE = loop(6, 4, 4, mvm(SOURCE, move_act=1), requant(SOURCE, 4, move_out=1))
"""A convolution of 1 x 1 in place: each round writes where only it has read."""
CHAIN = loop(6, 4, 4, pool(SOURCE, SOURCE + 4, 2, move_act=1, move_out=1))
"""Each round reads what the one before has written."""
TWO_BLOCKS = loop(
    2, 4, 12,
    *loop(
        3, 1, 4,
        pool(SOURCE, SCRATCH, move_act=1),
        mvm(SCRATCH, 2), mvm(SCRATCH, 2, 0, first=2), requant(RESULT, 2, move_out=1),
        mvm(SCRATCH, tile=1), requant(RESULT + 2, 2, move_out=1),
    ),
)  # fmt: skip
"""Two row groups and two blocks of outputs."""
BACKWARDS = loop(6, -2, -2, mvm(SOURCE + 12, move_act=1), requant(60, 2, move_out=1))
OVERLAPPING = loop(6, 1, 2, pool(SOURCE, RESULT, 2, move_act=1, move_out=1))
"""Rounds write the same words: the last one wins."""
AFTERWARDS = loop(
    5, 1, 4, mvm(SOURCE, move_act=1), requant(RESULT, 4, move_out=1),
    pool(RESULT - 4, SCRATCH, 2),
)  # fmt: skip
MOVED_SCRATCH = loop(
    5, 4, 4, mvm(SOURCE, move_act=1), requant(SCRATCH, 4, move_out=1),
    pool(SCRATCH, RESULT, 2, move_act=1, move_out=1),
)  # fmt: skip
SETTINGS = loop(
    5, 1, 2,
    instruction(Op.SET, reg=Reg.CLAMP_LO, value=-50), mvm(SOURCE, move_act=1),
    requant(RESULT, 2, move_out=1), instruction(Op.SET, reg=Reg.CLAMP_LO, value=0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (convolution(), [8]),
        (convolution(1, 4), [3]),
        (POINTWISE, [5]),
        (TWO_BLOCKS, [5]),
        (BACKWARDS, [5]),
        (OVERLAPPING, [5]),
        (AFTERWARDS, [4]),
        (MOVED_SCRATCH, [4]),
        (SETTINGS, [3]),
        (loop(3, 8, 12, *convolution(1, 4), instruction(Op.NOP)), [3, 3, 3]),
        (CHAIN, []),
        (loop(4, 0, 0, mvm(SOURCE, clear=0)), []),
    ],
)
def test_independent_rounds_are_together(together, program, expected):
    assert same(program)
    assert together == expected


@pytest.mark.parametrize("samples", [0, 1, 5])
def test_a_convolution_of_any_batch(samples):
    assert same(convolution(4, 5), samples=samples)


@pytest.mark.parametrize("words", [1, 40, 100])
def test_blocks_of_any_size_change_no_bit(monkeypatch, together, words):
    expected = [outcome(each, by_round=True) for each in (convolution(4, 4), OVERLAPPING)]
    monkeypatch.setattr(rounds, "_WORDS", words)
    monkeypatch.setattr(product, "_BYTES", words)
    monkeypatch.setattr(nest, "_BLOCK", words)
    found = [outcome(each, by_round=False) for each in (convolution(4, 4), OVERLAPPING)]
    assert found == expected
    assert together == [15, 5]


def test_a_card_with_errors():
    channels = Channels.drawn(8, 4, scale=3.0)
    assert same(convolution(), channels=channels)
    assert outcome(convolution(), by_round=True, channels=channels) != outcome(
        convolution(), by_round=True
    )


def test_cells_that_relax_are_afterwards_as_round_by_round():
    cells = [array(), array()]
    for each in cells:
        each.set_mode("volatile", np.arange(40), i_cc=1e-6)
        each.pulse(np.arange(40), 1.0, 1e-3, 1e-6)
        each.wait(1e-4)
    before = cells[0].g.copy()
    program = [instruction(Op.WAIT, cycles=1), *convolution()]
    one_by_one = outcome(program, by_round=True, cells=cells[0])
    assert outcome(program, by_round=False, cells=cells[1]) == one_by_one
    assert all(cells[0].tile_state_equal(cells[1], tile) for tile in range(2))
    assert not np.array_equal(cells[0].g[0], before[0])


# -- what is used of a product ----------------------------------------------------------


@pytest.fixture
def looked_at(monkeypatch):
    """Accumulators that are computed for more than one round."""
    found = []
    sums = Product.sums

    def spied(self, x, epochs, index, accumulators):
        if len(x) > 3:
            found.append(accumulators)
        return sums(self, x, epochs, index, accumulators)

    monkeypatch.setattr(Product, "sums", spied)
    return found


ONE_PAIR = convolution(3, 3, maps=1)


@pytest.mark.parametrize(
    ("setting", "accumulators"),
    [
        ({}, 1),
        ({"tia_range": 1}, 4),  # column 3 saturates
        ({"geometry": replace(GEOMETRY, acc_width=18)}, 4),  # an accumulator might overflow
        ({"geometry": SINGLE}, 1),
        ({"geometry": SINGLE, "tia_range": 1}, 8),
        ({"geometry": SINGLE, "scheme": Scheme.SINGLE}, 1),
        ({"geometry": SINGLE, "scheme": Scheme.SINGLE, "tia_range": 1}, 8),
        ({"geometry": replace(SINGLE, acc_width=18), "scheme": Scheme.SUBTRACTED}, 8),
    ],
)
def test_what_no_one_uses_is_left_out_where_it_shows_nowhere(looked_at, setting, accumulators):
    assert same(ONE_PAIR, **setting)
    assert looked_at == [accumulators]


def test_saturated_codes_of_pairs_that_no_one_uses_count(monkeypatch):
    assert outcome(ONE_PAIR, by_round=False, tia_range=1).counted[0] > 0
    monkeypatch.setattr(Rounds, "_accumulators", lambda self: (1, False))
    assert not same(ONE_PAIR, tia_range=1)


@pytest.mark.parametrize("tia_range", [0, 1])
@pytest.mark.parametrize("errors", [0.0, 5.0])
@pytest.mark.parametrize("scheme", Scheme)
def test_no_input_goes_beyond_the_bounds(tia_range, errors, scheme):
    made = Product(
        mvm(SOURCE, rows=6, first=1),
        scheme,
        ARRAY,
        Readout(CARD, Channels.drawn(8, 4, scale=errors)),
        CARD.gain(ARRAY.device.g_lsb, ARRAY.device.v_read, tia_range),
        tia_range,
        5,
    )
    most, saturates = made.bounds(8)
    x = np.random.default_rng(3).integers(-16, 16, (4000, 6))
    x[:2000] = np.random.default_rng(4).choice([-1, 15, -16], (2000, 1))
    sums, saturations = made.sums(Drives.of(x), np.arange(4000), np.zeros(4000, np.int64), 8)
    assert (np.abs(sums) <= most).all()
    assert (np.abs(sums).max(axis=0) >= most / 6).all()
    assert np.count_nonzero(most) == (4 if scheme is Scheme.DIFFERENTIAL else 7)
    assert saturates[3] == (tia_range == 1) and bool(saturations) == saturates.any()


# -- refusals ---------------------------------------------------------------------------


def late(value: int) -> np.ndarray:
    """Activations that are zero but for what round 4 of steps of four reads."""
    act = np.zeros((3, GEOMETRY.act_depth), dtype=np.int64)
    act[1, SOURCE + 16 : SOURCE + 20] = value
    return act


@pytest.mark.parametrize(("words", "done"), [(1 << 20, 0), (1, 4)])
def test_an_accumulator_that_overflows_in_a_later_round(monkeypatch, together, words, done):
    """Everything before is done, by blocks or round by round."""
    program = loop(6, 4, 4, mvm(SOURCE, move_act=1), requant(RESULT, 4, move_out=1))
    setting = {"act": late(15), "geometry": replace(GEOMETRY, acc_width=16)}
    monkeypatch.setattr(rounds, "_WORDS", words)
    assert same(program, **setting)
    assert "address 1: an accumulator" in outcome(program, by_round=False, **setting).refusal
    assert together == [done, done]


def test_a_table_that_is_refused_in_a_later_round(together):
    program = loop(
        6, 4, 1,
        pool(SOURCE, SCRATCH, 2, move_act=1),
        instruction(Op.LUT, act=SCRATCH, out=RESULT, table=0, count=4),
    )  # fmt: skip
    setting = {"act": late(TABLE.index(max(TABLE))), "geometry": replace(GEOMETRY, act_width=8)}
    assert same(program, **setting)
    assert "does not fit 8 bits" in outcome(program, by_round=False, **setting).refusal
    assert together == [0, 0]


def test_registers_are_as_before_what_is_refused():
    program = loop(
        6, 4, 4,
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=-50), mvm(SOURCE, move_act=1),
        requant(RESULT, 4, move_out=1), instruction(Op.SET, reg=Reg.CLAMP_LO, value=0),
        requant(RESULT, 2, move_out=1),
    )  # fmt: skip
    assert same(program, act=late(15), geometry=replace(GEOMETRY, acc_width=16))


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (loop(6, 16, 0, mvm(SOURCE, move_act=1), requant(RESULT)), "MVM .*act=80.* its act"),
        (loop(6, -1, 0, pool(3, SCRATCH, move_act=1)), "POOL act=65535"),
        (loop(6, 0, 8, mvm(SOURCE), requant(RESULT, move_out=1)), "REQUANT out=84"),
        (loop(6, 1, 0, mvm(SOURCE, tile=2), requant(RESULT)), "its tile"),
        (loop(6, 1, 0, mvm(SOURCE, planes=17), requant(RESULT)), "its planes"),
        (
            loop(6, 1, 1, requant(RESULT), instruction(Op.SET, reg=Reg.CLAMP_LO, value=999)),
            "CLAMP_LO = 999",
        ),
        (
            loop(
                6, 1, 1, mvm(SOURCE), requant(RESULT),
                instruction(Op.SET, reg=Reg.CLAMP_LO, value=999),
            ),
            "CLAMP_LO = 999",
        ),
        (
            loop(
                6, 1, 1, pool(SOURCE, SCRATCH, move_act=1), mvm(SCRATCH), requant(RESULT),
                instruction(Op.SET, reg=Reg.TIA_RANGE, value=7),
            ),
            "ConverterError: TIA range 7",
        ),
        (loop(2, 0, 0, *loop(2, 0, 0, *loop(2, 0, 0, *loop(2, 0, 0, *convolution())))), "4 others"),
        (convolution()[:-1], "past the program's end|HALT"),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_alike(program, said):
    found = outcome(program, by_round=False)
    assert found == outcome(program, by_round=True)
    assert re.search(said, found.refusal) or said.endswith("HALT")


# -- faults that are seen ---------------------------------------------------------------


def test_a_check_that_sees_no_dependence_is_seen(monkeypatch):
    monkeypatch.setattr(nest, "carried", lambda first, rounds: False)
    assert not same(CHAIN)
    assert same(POINTWISE)


def test_rounds_that_draw_alike_are_seen(monkeypatch):
    turns_of = rounds.turns_of
    monkeypatch.setattr(
        rounds, "turns_of", lambda loops, n: (turns_of(loops, n)[0], np.zeros_like(n))
    )
    assert not same(convolution())
    assert same(convolution(), read_noise=False)


def test_a_word_that_the_first_round_wins_is_seen(monkeypatch):
    assert same(OVERLAPPING)
    written, commit = nest.Flow.written, Rounds._commit

    def reversed_commit(self, block):
        block.made = block.made[:, ::-1, ::-1]
        with monkeypatch.context() as patch:
            patch.setattr(nest.Flow, "written", lambda flow, n: written(flow, n)[::-1, ::-1])
            commit(self, block)

    monkeypatch.setattr(Rounds, "_commit", reversed_commit)
    assert not same(OVERLAPPING)
