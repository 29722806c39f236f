"""Programs of loops at random, and an engine that executes them together or round by round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ohmloom.errors import OhmloomError
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import (
    ONCE,
    Dac,
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
from ohmloom.sim.engine import NumpyEngine
from ohmloom.sim.numerics import IntArray

GEOMETRY = Geometry(rows=8, columns=8, tiles=2, act_depth=80, param_depth=128, acc_width=32)
CARD = Converters()
SOURCE, SCRATCH, RESULT = 0, 32, 44
"""Where programs at random like to read, to keep what a round needs, and to write."""

_GRIDS = (
    Grid(1, 1, 1, 1, (Loop(2, 1, 1), Loop(2, 4, 2), ONCE)),  # copies a patch
    Grid(2, 2, 3, 1, (Loop(3, 2, 1), ONCE, ONCE)),
    Grid(1, 1, 1, 1, (Loop(4, 1, 1), ONCE, ONCE)),
    Grid(1, 2, 0, 1, (Loop(3, 1, 1), ONCE, ONCE)),
)
_SUMS = (Sum(SOURCE + 3, SCRATCH, 700, -333, 129, 9), Sum(SCRATCH, SCRATCH + 2, 512, 512, 0, 10))
TABLE = [(73 * n) % 251 - 100 for n in range(256)]

PARAMS: list[int] = pack_table(TABLE)
REQUANT = len(PARAMS)
PARAMS += [pack_requant(150 * k - 100, 0xC00000 - 77 * k, 33) for k in range(4)]
POOLS = [len(PARAMS) + 5 * n for n in range(len(_GRIDS))]
for _grid in _GRIDS:
    PARAMS += [*pack_pool(_grid), pack_requant(3, 12345, 15)]
ADDS = [len(PARAMS) + 2 * n for n in range(len(_SUMS))]
for _sum in _SUMS:
    PARAMS += pack_add(_sum)

HALT, END = instruction(Op.HALT), instruction(Op.END)


def loop(count: int, act_step: int, out_step: int, *body: Instruction) -> list[Instruction]:
    """A loop around instructions."""
    begin = instruction(
        Op.LOOP, count=count, act_step=act_step % (1 << 16), out_step=out_step % (1 << 16)
    )
    return [begin, *body, END]


def pool(act: int, out: int, grid: int = 0, average: int = 0, **moves: int) -> Instruction:
    return instruction(Op.POOL, act=act, out=out, param=POOLS[grid], average=average, **moves)


def mvm(act: int, rows: int = 4, clear: int = 1, **changes: int) -> Instruction:
    fields = {"tile": 0, "first": 0, "planes": 5, "signed": 1} | changes
    return instruction(Op.MVM, act=act, rows=rows, clear=clear, **fields)


def requant(out: int, count: int = 2, **moves: int) -> Instruction:
    return instruction(Op.REQUANT, out=out, param=REQUANT, count=count, **moves)


def convolution(rows: int = 3, columns: int = 3, maps: int = 2) -> list[Instruction]:
    """A picture eight wide, patches of 2 x 2 of it, one value after the other."""
    body = (
        pool(SOURCE, SCRATCH, 0, move_act=1),
        mvm(SCRATCH),
        requant(RESULT, maps, move_out=1),
    )
    return loop(rows, 4, columns * maps, *loop(columns, 1, maps, *body))


# -- at random --------------------------------------------------------------------------

_bit = st.integers(0, 1)
_place = st.one_of(
    st.integers(SOURCE, SOURCE + 8), st.integers(SCRATCH, SCRATCH + 3), st.integers(RESULT, 50)
)
_step = st.sampled_from([0, 0, 1, 1, 2, 3, 4, -1, -2])


@st.composite
def _pools(draw: st.DrawFn) -> Instruction:
    moves = {"move_act": draw(_bit), "move_out": draw(_bit)}
    return pool(draw(_place), draw(_place), draw(st.integers(0, 3)), draw(_bit), **moves)


@st.composite
def _mvms(draw: st.DrawFn) -> Instruction:
    rows = draw(st.integers(1, 6))
    return mvm(
        draw(_place), rows, draw(st.sampled_from([0, 1, 1, 1])), move_act=draw(_bit),
        first=draw(st.integers(0, 2)), tile=draw(_bit), planes=draw(st.integers(1, 5)),
        signed=draw(_bit),
    )  # fmt: skip


_others = st.one_of(
    st.builds(
        lambda act, out, count: instruction(Op.LUT, act=act, out=out, table=0, count=count),
        _place, _place, st.integers(1, 5),
    ),
    st.builds(
        lambda out, param, count: instruction(Op.ADD, out=out, param=param, count=count),
        _place, st.sampled_from(ADDS), st.integers(1, 3),
    ),
    st.builds(
        lambda act, out, count, last: instruction(
            Op.ARGMAX, act=act, out=out, count=count, last=last
        ),
        _place, _place, st.integers(1, 5), _bit,
    ),
    st.builds(
        lambda reg, value: instruction(Op.SET, reg=reg, value=value),
        st.sampled_from([Reg.CLAMP_LO, Reg.CLAMP_HI, Reg.TIA_RANGE, Reg.SCHEME]),
        st.sampled_from([0, 1, 2, 7]),
    ),
    st.just(instruction(Op.NOP)),
)  # fmt: skip
_requants = st.builds(
    lambda out, count, move: requant(out, count, move_out=move), _place, st.integers(1, 4), _bit
)
_bodies = st.one_of(
    # As a compiler has them: a patch, its products, results elsewhere; or anything at all.
    st.tuples(
        st.builds(lambda act, grid: pool(act, SCRATCH, grid, move_act=1), _place, st.just(0)),
        st.builds(lambda rows, tile: mvm(SCRATCH, rows, tile=tile), st.integers(1, 4), _bit),
        st.builds(lambda n: requant(RESULT, n, move_out=1), st.integers(1, 3)),
    ).map(list),
    st.lists(st.one_of(_pools(), _mvms(), _requants, _others), min_size=1, max_size=4),
)


def _around(inside: st.SearchStrategy[list[Instruction]]) -> st.SearchStrategy[list[Instruction]]:
    """A loop around it, sometimes with an instruction before or after."""
    beside = st.lists(st.one_of(_pools(), _requants, _others), max_size=1)
    some = st.one_of(inside, inside, st.builds(lambda a, b, c: a + b + c, beside, inside, beside))
    return st.builds(
        lambda count, act, out, body: loop(count, act, out, *body),
        st.integers(1, 5), _step, _step, some,
    )  # fmt: skip


_one = _around(_bodies)
_two = _around(_one)
programs = st.one_of(_one, _two, _around(_two), st.builds(lambda a, b: a + b, _one, _two))


# -- execution --------------------------------------------------------------------------


@dataclass(eq=False)
class Outcome:
    """What a program has left behind."""

    act: NDArray[np.integer]
    acc: IntArray
    counted: tuple[int, int]
    registers: dict[Reg, int]
    refusal: str

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Outcome)
            and np.array_equal(self.act, other.act)
            and np.array_equal(self.acc, other.acc)
            and (self.counted, self.registers) == (other.counted, other.registers)
            and self.refusal == other.refusal
        )


def array(device: str = "cspbbr3_ogb") -> SimulatedArray:
    """Two tiles of cells at random, one column of them near the ADC's rail."""
    made = SimulatedArray(load(device), 2, 8, 8, 3)
    rng = np.random.default_rng(1)
    made.set_codes(..., rng.integers(0, 6000, made.g_code.shape))
    made.set_codes(np.s_[..., 3], 16000)
    made.set_codes(..., var_code=rng.integers(0, 3000, made.var_code.shape))
    return made


ARRAY = array()


def outcome(
    code: list[Instruction],
    *,
    by_round: bool,
    samples: int = 3,
    seed: int = 0,
    tia_range: int = 0,
    scheme: int = 0,
    act: IntArray | None = None,
    cells: SimulatedArray = ARRAY,
    card: Converters = CARD,
    geometry: Geometry = GEOMETRY,
    **options: Any,
) -> Outcome:
    """Execute a program from accumulators and, unless given, activations at random."""
    image = Image(
        geometry=geometry,
        code=(*code, HALT),
        entries={"infer": 0},
        params=np.array(PARAMS, np.uint64),
        tiles=2,
        input=Span(0, 1),
        layers=(LayerSpan("all", Span(0, geometry.act_depth)),),
    )
    engine = NumpyEngine(image, cells, card, 1000, 5, by_round=by_round, **options)
    engine.registers |= {Reg.CLAMP_LO: -200, Reg.CLAMP_HI: 180}
    engine.registers |= {Reg.TIA_RANGE: tia_range, Reg.SCHEME: scheme}
    engine.dac[Dac.RAIL_A] = CARD.read_code(cells.device.v_read)
    rng = np.random.default_rng(seed)
    batch = engine._batch(np.arange(samples, dtype=np.int64) + 7)
    batch.act[:] = rng.integers(-300, 300, batch.act.shape) if act is None else act
    batch.acc[:] = rng.integers(-300, 300, batch.acc.shape)
    refusal = ""
    try:
        engine._run("infer", batch)
    except OhmloomError as error:
        refusal = f"{type(error).__name__}: {error}"
    counted = (batch.saturations, batch.conversions)
    return Outcome(batch.act, batch.acc, counted, engine.registers, refusal)
