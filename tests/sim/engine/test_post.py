"""Post-processing of a batch: the documented integers, in the documented order."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import (
    ONCE,
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
from ohmloom.sim.compiled import FROM, compiled
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load
from ohmloom.sim.engine import EngineError, NumpyEngine, post

GEOMETRY = Geometry(rows=8, columns=8, tiles=1, act_depth=32, param_depth=128)
TABLE = [(73 * n) % 251 - 100 for n in range(256)]
GRID = Grid(2, 2, 3, 1, (Loop(3, 2, 1), Loop(2, 5, 4), ONCE))
SUM = Sum(a=3, b=1, mantissa_a=700, mantissa_b=-333, bias=129, shift=9)
PARAMS = [*pack_table(TABLE), *pack_pool(GRID), pack_requant(3, 12345, 15), *pack_add(SUM)]
POOL_AT, ADD_AT = 64, 69
CLAMP = (-200, 180)
HALT = instruction(Op.HALT)


def engine(*code: Instruction, geometry: Geometry = GEOMETRY, params=PARAMS, clamp=CLAMP):
    image = Image(
        geometry=geometry,
        code=(*code, HALT),
        entries={"infer": 0},
        params=np.array(params, np.uint64),
        tiles=1,
        input=Span(0, geometry.act_depth),
        layers=(LayerSpan("all", Span(0, geometry.act_depth)),),
    )
    made = NumpyEngine(image, SimulatedArray(load("ideal"), 1, 8, 8, 0), Converters(), 1000, 0)
    made.registers[Reg.CLAMP_LO], made.registers[Reg.CLAMP_HI] = clamp
    return made


def by_the_document(instr: Instruction, act: list[int]) -> list[int]:
    """One instruction in Python integers, one value after the other."""
    act = list(act)
    low, high = CLAMP

    def scaled(value: Fraction) -> int:
        return min(max(round(value), low), high)

    match instr.op:
        case Op.LUT:
            for k in range(instr["count"]):
                act[instr["out"] + k] = TABLE[act[instr["act"] + k] & 0xFF]
        case Op.ADD:
            for k in range(instr["count"]):
                total = act[SUM.a + k] * SUM.mantissa_a + act[SUM.b + k] * SUM.mantissa_b
                act[instr["out"] + k] = scaled(Fraction(total + SUM.bias, 1 << SUM.shift))
        case Op.ARGMAX:
            values = act[instr["act"] :][: instr["count"]]
            order = range(len(values))
            best = [k for k in order if values[k] == max(values)]
            act[instr["out"]] = best[-1 if instr["last"] else 0]
        case _:
            inner, middle, _ = GRID.loops
            for i1 in range(middle.count):
                for i0 in range(inner.count):
                    base = instr["act"] + i0 * inner.act_step + i1 * middle.act_step
                    out = instr["out"] + i0 * inner.out_step + i1 * middle.out_step
                    window = [act[base + r * 3 + c] for r in range(2) for c in range(2)]
                    mean = Fraction((sum(window) + 3) * 12345, 1 << 15)
                    act[out] = scaled(mean) if instr["average"] else max(window)
    return act


small = st.integers(0, 12)
instructions = st.one_of(
    st.builds(
        lambda act, out, count: instruction(Op.LUT, act=act, out=out, table=0, count=count),
        small, small, st.integers(1, 16),
    ),
    st.builds(
        lambda act, out, average: instruction(
            Op.POOL, act=act, out=out, param=POOL_AT, average=average
        ),
        small, small, st.integers(0, 1),
    ),
    st.builds(
        lambda out, count: instruction(Op.ADD, out=out, param=ADD_AT, count=count),
        small, st.integers(1, 16),
    ),
    st.builds(
        lambda act, out, count, last: instruction(
            Op.ARGMAX, act=act, out=out, count=count, last=last
        ),
        small, small, st.integers(1, 16), st.integers(0, 1),
    ),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(instructions, min_size=1, max_size=4), st.integers(0, 10_000), st.booleans())
def test_every_integer_is_that_of_the_document(program, seed, loops):
    # Sources and results overlap in most of these: the order counts.
    x = np.random.default_rng(seed).integers(-300, 300, (3, GEOMETRY.act_depth))
    wanted = x.tolist()
    for instr in program:
        wanted = [by_the_document(instr, act) for act in wanted]
    with pytest.MonkeyPatch.context() as patch:
        if loops:
            patch.setattr("ohmloom.sim.compiled.FROM", 0)
        else:
            patch.setattr(post, "compiled", lambda *_: None)
        assert engine(*program).infer(x).output.tolist() == wanted


def test_what_a_compiled_loop_has_written_is_what_it_reads_next():
    """Of as many values as a vector has, and more."""
    kernel = compiled(".engine.post_kernel", FROM)
    assert kernel is not None
    line = np.arange(1, 201, dtype=np.int16)[np.newaxis]
    sums, copies = line.copy(), line.copy()
    kernel.added(sums, 0, 0, 1, 199, 1, 0, 0, 0, -999, 999)
    kernel.largest(copies, np.arange(199)[:, np.newaxis], np.arange(1, 200))
    assert (sums == 1).all() and (copies == 1).all()
    kernel.added(line, 1, 1, 0, 199, 1, 0, 0, 0, -999, 999)
    assert line.tolist() == [[*range(2, 201), 200]]


def test_batch_1_and_batch_1000_give_the_same_integers():
    made = engine(
        instruction(Op.LUT, act=0, out=16, table=0, count=16),
        instruction(Op.POOL, act=0, out=8, param=POOL_AT, average=1),
        instruction(Op.ARGMAX, act=8, out=31, count=20, last=1),
    )
    x = np.random.default_rng(4).integers(-(2**15), 2**15, (1000, 32))
    together = made.infer(x).output
    for n in (0, 17, 999):
        assert made.infer(x[n : n + 1]).output[0].tolist() == together[n].tolist()


def test_one_changed_parameter_is_seen():
    x = np.random.default_rng(5).integers(-128, 128, (20, 32))
    for instr, word in (
        (instruction(Op.LUT, act=0, out=16, table=0, count=16), 3),
        (instruction(Op.POOL, act=0, out=16, param=POOL_AT, average=0), POOL_AT),
        (instruction(Op.POOL, act=0, out=16, param=POOL_AT, average=1), POOL_AT + 4),
        (instruction(Op.ADD, out=16, param=ADD_AT, count=8), ADD_AT),
    ):
        params = list(PARAMS)
        params[word] ^= 3 << 40 if instr.op is not Op.POOL else 1 << 33
        right, wrong = engine(instr).infer(x), engine(instr, params=params).infer(x)
        assert not np.array_equal(right.output, wrong.output), instr


@pytest.mark.parametrize(
    ("instr", "said"),
    [
        (instruction(Op.LUT, act=17, out=0, table=0, count=16), "its act outside"),
        (instruction(Op.LUT, act=0, out=17, table=0, count=16), "its out outside"),
        (instruction(Op.LUT, act=0, out=0, table=2, count=1), "its table outside"),
        (instruction(Op.LUT, act=0, out=0, table=1, count=1), "parameters 64..127 are not"),
        (instruction(Op.POOL, act=32, out=0, param=POOL_AT, average=0), "its act outside"),
        (instruction(Op.POOL, act=20, out=0, param=POOL_AT, average=0), "activation 33 is past"),
        (instruction(Op.POOL, act=0, out=26, param=POOL_AT, average=0), "activation 32 is past"),
        (instruction(Op.POOL, act=0, out=0, param=125, average=0), "its param outside"),
        (instruction(Op.POOL, act=0, out=0, param=124, average=0), "parameters 124..127 are not"),
        (instruction(Op.POOL, act=0, out=0, param=60, average=0), "a count in its parameter"),
        (instruction(Op.ADD, out=0, param=ADD_AT, count=30), "activation 32 is past"),
        (instruction(Op.ADD, out=30, param=ADD_AT, count=3), "its out outside"),
        (instruction(Op.ADD, out=0, param=127, count=3), "its param outside"),
        (instruction(Op.ARGMAX, act=1, out=0, count=32, last=0), "its act outside"),
        (instruction(Op.ARGMAX, act=0, out=32, count=3, last=0), "its out outside"),
    ],
)
def test_what_is_beyond_a_memory_is_refused(instr, said):
    params = list(PARAMS)
    params[60] = 0
    with pytest.raises(EngineError, match=rf"^address 0: {instr.op.name} .*{said}"):
        engine(instr, params=params).infer(np.zeros((1, 32), int))


def test_an_entry_that_no_activation_holds_is_refused():
    params = pack_table([0] * 5 + [256] + [0] * 250)
    lut = instruction(Op.LUT, act=0, out=0, table=0, count=2)
    made = engine(lut, params=params, geometry=replace(GEOMETRY, act_width=9))
    x = np.zeros((1, 32), int)
    assert made.infer(x).output.any() == 0
    x[0, 1] = 5
    with pytest.raises(EngineError, match=r"256 does not fit 9 bits"):
        made.infer(x)


@pytest.mark.parametrize("clamp", [(1, 0), (-32769, 0), (0, 32768)])
def test_a_clamp_that_is_no_range_of_activations_is_refused(clamp):
    average = instruction(Op.POOL, act=0, out=0, param=POOL_AT, average=1)
    largest = instruction(Op.POOL, act=0, out=0, param=POOL_AT, average=0)
    add = instruction(Op.ADD, out=0, param=ADD_AT, count=1)
    x = np.zeros((1, 32), int)
    for instr in (average, add):
        with pytest.raises(EngineError, match="CLAMP_LO"):
            engine(instr, clamp=clamp).infer(x)
    engine(largest, clamp=clamp).infer(x)


@pytest.mark.parametrize("name", ["lut", "pool", "residual", "argmax"])
def test_what_the_controller_lacks_is_refused(name):
    geometry = replace(GEOMETRY, **{name: False})
    instr = {
        "lut": instruction(Op.LUT, act=0, out=0, table=0, count=1),
        "pool": instruction(Op.POOL, act=0, out=0, param=POOL_AT, average=0),
        "residual": instruction(Op.ADD, out=0, param=ADD_AT, count=1),
        "argmax": instruction(Op.ARGMAX, act=0, out=0, count=1, last=0),
    }
    x = np.zeros((1, 32), int)
    for other, each in instr.items():
        if other == name:
            with pytest.raises(EngineError, match=f"this controller has no {each.op.name}"):
                engine(each, geometry=geometry).infer(x)
        else:
            engine(each, geometry=geometry).infer(x)


@given(
    loops=st.lists(
        st.builds(Loop, st.integers(1, 4), st.integers(0, 3), st.integers(1, 4)),
        min_size=3, max_size=3,
    )
)  # fmt: skip
def test_runs_are_the_copies_one_by_one(loops: list[Loop]) -> None:
    reads, writes = post._windows(grid := Grid(1, 1, 1, 1, (loops[0], loops[1], loops[2])))
    found = [
        (first + step * k, out + k)
        for first, step, out, count in post._runs(grid)[0].tolist()
        for k in range(count)
    ]
    assert found == list(zip(reads[:, 0].tolist(), writes.tolist(), strict=True))
    assert post._runs(grid)[1:] == (reads.max(), writes.max())
