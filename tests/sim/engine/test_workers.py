"""Samples shared among threads give the same integers, and leave the same behind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.errors import OhmloomError
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import Dac, Instruction, Op, Reg, instruction
from ohmloom.sim.array import MeteredArray
from ohmloom.sim.devices import load
from ohmloom.sim.engine import NumpyEngine, numpy_engine, workers
from ohmloom.sim.engine.workers import Workers

from .conftest import CARD, GEOMETRY, PARAMS, SOURCE, mvm, programs


def engine(code: list[Instruction], threads: int) -> NumpyEngine:
    image = Image(
        geometry=GEOMETRY,
        code=(*code, instruction(Op.HALT)),
        entries={"infer": 0},
        params=np.array(PARAMS, np.uint64),
        tiles=2,
        input=Span(SOURCE, 24),
        layers=(LayerSpan("all", Span(0, GEOMETRY.act_depth)),),
    )
    cells = MeteredArray(load("cspbbr3_ogb"), 2, GEOMETRY.rows, GEOMETRY.columns, 3)
    cells.set_codes(..., np.random.default_rng(1).integers(0, 6000, cells.g_code.shape), 900)
    made = NumpyEngine(image, cells, CARD, 1000, 5, threads=threads)
    made.registers |= {Reg.CLAMP_LO: -200, Reg.CLAMP_HI: 180, Reg.ARM: 7}
    made.dac[Dac.RAIL_A] = CARD.read_code(cells.device.v_read)
    return made


def left(made: NumpyEngine, x: np.ndarray) -> list[object]:
    """All that an inference leaves behind."""
    try:
        trace = made.infer(x, 3)
    except OhmloomError as error:
        return [str(error)]
    driven = made.array.driven.tolist() if isinstance(made.array, MeteredArray) else None
    counted = trace.saturations, trace.conversions
    return [trace.layers["all"].tolist(), counted, made.registers, driven]


@settings(max_examples=40, deadline=None)
@given(code=programs, samples=st.integers(0, 7))
def test_any_number_of_threads_leaves_the_same(code: list[Instruction], samples: int) -> None:
    code = [instruction(Op.SET, reg=Reg.CLAMP_HI, value=90), *code]
    x = np.random.default_rng(samples).integers(-300, 300, (samples, 24))
    wanted = left(engine(code, 1), x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "_SHARED", 0)
        assert left(engine(code, 3), x) == wanted
        assert left(engine(code, 2), x) == wanted


def test_registers_are_what_a_block_before_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_engine, "_BLOCK", 4)
    requant = instruction(Op.REQUANT, out=0, param=0, count=2)
    later = instruction(Op.SET, reg=Reg.CLAMP_LO, value=179)
    code = [mvm(SOURCE, 8, clear=1), requant, later]
    x = np.full((6, 24), 15)
    one, *others = (engine(code, threads).infer(x).layers["all"][:, 0] for threads in (1, 2, 3))
    assert one[4] == one[5] == 179 != one[0]
    assert all(np.array_equal(one, other) for other in others)


def test_large_products_alone_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    run = Workers.map

    def counted(self: Workers, work, parts):
        counts.append(len(parts))
        return run(self, work, parts)

    monkeypatch.setattr(Workers, "map", counted)
    monkeypatch.setattr(workers, "_SHARED", 1 << 12)
    for samples, shares in ((4, 1), (1024, 3)):
        engine([mvm(SOURCE, 8, clear=1, planes=8)], 3).infer(np.zeros((samples, 24), np.int64))
        assert counts.pop() == shares


@given(count=st.integers(0, 50), threads=st.integers(1, 5), numbers=st.integers(0, 1 << 17))
def test_shares_are_all_lanes_once(count: int, threads: int, numbers: int) -> None:
    shares = Workers(threads).shares(count, numbers)
    assert [n for part in shares for n in range(count)[part]] == [*range(count)]
    assert len(shares) <= (threads if numbers >= workers._SHARED else 1)


def test_the_first_sample_that_is_refused_says_why() -> None:
    x = np.zeros((4, 24), np.int64)
    x[2:] = 15
    sums = [mvm(SOURCE, 8, clear=not number, planes=4, shift=16) for number in range(40)]
    one, two = (left(engine(sums, threads), x) for threads in (1, 2))
    assert one == two and "accumulator" in str(one[0])
