"""Bank registers: a program with them against an equal one without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.banks import BANK_OF, BANKED, BANKS, SOURCE_BANKS, Banks
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, Span
from ohmloom.hw.isa import (
    Grid,
    Instruction,
    Loop,
    Op,
    Reg,
    Sum,
    instruction,
    pack_add,
    pack_pool,
    pack_requant,
    pack_table,
)
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load
from ohmloom.sim.engine import EngineError, NumpyEngine

PLAIN = Geometry(rows=8, columns=8, tiles=2, act_depth=256, param_depth=256)
WIDE = replace(PLAIN, banks=True, act_depth=1 << 18, param_depth=1 << 18, tiles=1 << 13)
WORDS = 40
"""Of the input, and of where results go to."""


def image_of(geometry: Geometry, code: list[Instruction], params: dict[int, int]) -> Image:
    words = np.zeros(max(params) + 1, np.uint64)
    for address, word in params.items():
        words[address] = word
    return Image(
        geometry=geometry,
        code=(*code, instruction(Op.HALT)),
        entries={"infer": 0},
        params=words,
        tiles=1,
        input=Span(0, WORDS),
        layers=(),
    )


def run(image: Image, x: np.ndarray, by_round: bool = False) -> np.ndarray:
    """Activations afterwards."""
    array = SimulatedArray(load("ideal:16"), 1, 8, 8, 1)
    engine = NumpyEngine(image, array, Converters(), 48_000_000, 1, by_round=by_round)
    return engine._infer_block(x, 0).act


def program(a: int, b: int, out: int, param: int, rounds: int, step: int) -> list[Instruction]:
    """Every kind of operand, at the addresses that are meant."""
    return [
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=-1000),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=1000),
        instruction(Op.ADD, out=out, param=param, count=4),
        instruction(Op.LUT, act=a, out=out + 4, table=2, count=3),
        instruction(Op.LOOP, count=rounds, act_step=step, out_step=step),
        instruction(
            Op.POOL, act=a, out=out + 8, param=param + 2, average=1, move_act=1, move_out=1
        ),
        instruction(Op.POOL, act=b, out=out + 30, param=param + 2, average=0, move_act=1),
        instruction(Op.END),
        instruction(Op.ARGMAX, act=a, out=out + 39, count=5, last=0),
    ]


def parameters(a: int, b: int, param: int, table: int) -> dict[int, int]:
    record = pack_add(Sum(a, b, 3, -2, 7, 1))
    grid = Grid(1, 2, 1, 1, (Loop(2, 3, 1), Loop(1, 0, 0), Loop(1, 0, 0)))
    words = [*record, *pack_pool(grid), pack_requant(1, 3 << 20, 22)]
    entries = pack_table([(5 * n) % 201 - 100 for n in range(256)])
    return {
        **{param + n: word for n, word in enumerate(words)},
        **{table + n: word for n, word in enumerate(entries)},
    }


@settings(max_examples=40)
@given(
    order=st.permutations(range(4)),
    aside=st.lists(st.integers(0, 999), min_size=4, max_size=4),
    rounds=st.integers(1, 8),
    step=st.integers(0, 2),
    seed=st.integers(0, 99),
    by_round=st.booleans(),
)
def test_banks_move_everything(order, aside, rounds, step, seed, by_round):
    """The same values where banks put them, each bank in a quarter of its own."""
    act, source, out, bank = ((n << 15) + more for n, more in zip(order, aside, strict=True))
    bank -= bank % 64
    x = np.random.default_rng(seed).integers(-90, 90, (2, WORDS))
    code = program(0, 10, 100, 8, rounds, step)
    params = parameters(0, 10, 8, 128)
    expected = run(image_of(PLAIN, code, params), x, by_round)[:, 100:140]

    moves = {Reg.ACT_BANK: act, Reg.SOURCE_BANK: source, Reg.OUT_BANK: out, Reg.PARAM_BANK: bank}
    sets = [instruction(Op.SET, reg=reg, value=value) for reg, value in moves.items()]
    image = image_of(WIDE, [*sets, *code], {bank + n: word for n, word in params.items()})
    array = SimulatedArray(load("ideal:16"), 1, 8, 8, 1)
    engine = NumpyEngine(image, array, Converters(), 48_000_000, 1, by_round=by_round)
    batch = engine._batch(np.arange(2))
    batch.act[:, act : act + WORDS] = x
    batch.act[:, source + 10 : source + 14] = x[:, 10:14]
    engine._run("infer", batch)
    np.testing.assert_array_equal(batch.act[:, out + 100 : out + 140], expected)


def test_a_planted_bank_shows():
    x = np.arange(2 * WORDS).reshape(2, WORDS)
    code = program(0, 10, 100, 8, 3, 1)
    right = run(image_of(WIDE, code, parameters(0, 10, 8, 128)), x)
    planted = [instruction(Op.SET, reg=Reg.SOURCE_BANK, value=1), *code]
    wrong = run(image_of(WIDE, planted, parameters(0, 10, 8, 128)), x)
    assert (right != wrong).any()


def test_loops_do_not_wrap_with_banks():
    """16 rounds of 2^14 words lead far beyond 2^16."""
    code = [
        instruction(Op.LOOP, count=15, act_step=1, out_step=1 << 14),
        instruction(Op.POOL, act=0, out=50, param=0, average=0, move_act=1, move_out=1),
        instruction(Op.END),
    ]
    once = Loop(1, 0, 0)
    params = dict(enumerate(pack_pool(Grid(1, 1, 1, 1, (once, once, once)))))
    x = np.arange(1, WORDS + 1)[np.newaxis]
    for by_round in (False, True):
        act = run(image_of(WIDE, code, params), x, by_round)
        assert act[0, 50 + (1 << 14) * np.arange(15)].tolist() == list(range(1, 16))


@pytest.mark.parametrize("reg", sorted(BANKS))
def test_a_controller_without_banks_has_no_such_register(reg):
    code = [instruction(Op.SET, reg=reg, value=0)]
    with pytest.raises(EngineError, match="no banks"):
        run(image_of(PLAIN, code, {0: 0}), np.zeros((1, WORDS), int))


def test_addresses_beyond_the_memory_are_refused_with_banks():
    code = [
        instruction(Op.SET, reg=Reg.OUT_BANK, value=WIDE.act_depth - 3),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=1),
        instruction(Op.ADD, out=0, param=0, count=4),
    ]
    params = dict(enumerate(pack_add(Sum(0, 0, 1, 0, 0, 0))))
    with pytest.raises(EngineError, match="out outside"):
        run(image_of(WIDE, code, params), np.zeros((1, WORDS), int))


def test_every_address_has_a_bank():
    assert set(BANK_OF.values()) | set(SOURCE_BANKS) == set(BANKS)
    assert BANKED[Op.MVM] == ("tile", "act", "first", "rows")
    assert BANKED[Op.REQUANT] == ("out", "param", "count") and BANKED[Op.ADD] == ("out", "param")
    moved = Banks(1, 2, 128, 4, 5).moved(instruction(Op.LUT, act=10, out=20, table=3, count=1))
    assert dict(moved.operands) == {"act": 11, "out": 22, "table": 5, "count": 1}
