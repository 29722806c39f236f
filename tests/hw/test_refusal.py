"""Refusals as logic, against the bounds that the engines read."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator

from ohmloom.boards.catalogue.icebreaker import STANDARD
from ohmloom.hw.bounds import BOUNDS, REGISTER_BOUNDS, clamp_holds, clamps, operand_bits
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import LAYOUTS, WORD_BITS, IsaError, Op, Reg, decode, encode, instruction
from ohmloom.hw.refusal import exceeds, refused, strays, used_bits
from ohmloom.hw.registers import Registers, registers_of

ODD = Geometry(rows=24, columns=40, tiles=5, act_width=11, param_depth=100, act_depth=777)
GEOMETRIES = {
    "icebreaker": STANDARD,
    "default": Geometry(),
    "odd": ODD,
    "no loops": Geometry(loop=False),  # whose operand is below that of bit slices
    "no slices": Geometry(slices=False),
    "single columns": Geometry(single=True),
}


def simulate(m: Module, bench) -> None:
    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


def near(rng: random.Random, limit: int, bits: int) -> int:
    """A value that is likely to be about a limit."""
    value = rng.choice([limit - 1, limit, limit + 1, 0, 1, rng.getrandbits(bits), 1 << bits - 1])
    return value & (1 << bits) - 1


@pytest.mark.parametrize("bits", [1, 4, 6])
def test_exceeds_is_a_comparison(bits):
    value = Signal(bits)
    limits = range(-1, (1 << bits) + 2)
    results = [Signal() for _ in limits]
    m = Module()
    m.d.comb += [to.eq(exceeds(value, limit)) for to, limit in zip(results, limits, strict=True)]
    m.d.sync += Signal().eq(0)

    async def bench(ctx):
        for number in range(1 << bits):
            ctx.set(value, number)
            assert [ctx.get(to) for to in results] == [number > limit for limit in limits]

    simulate(m, bench)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_what_is_refused_is_beyond_a_bound(geometry):
    rng = random.Random(1)
    ops = [op for op in Op if geometry.has(op)]
    word = Signal(WORD_BITS)
    m = Module()
    m.submodules.registers = registers = Registers(geometry)
    told = {op: (Signal(), Signal(), Signal()) for op in ops}
    stray = strays(word, geometry)
    for op, (operand, register, outside) in told.items():
        beyond, unready = refused(word, op, registers, geometry)
        m.d.comb += [operand.eq(beyond), register.eq(unready), outside.eq(stray[op])]
    high = geometry.act_max
    seen = set()

    async def bench(ctx):
        values = dict.fromkeys(Reg, 0)
        for _ in range(400):
            reg = rng.choice(registers_of(geometry))
            limits = [b.highest(geometry) for bs in REGISTER_BOUNDS.values() for b in bs
                      if b.reg is reg]  # fmt: skip
            value = near(rng, rng.choice([*limits, high, -high - 1]), 32)
            values[reg] = value - (value >> 31 << 32)
            ctx.set(registers.reg, reg)
            ctx.set(registers.value, values[reg])
            ctx.set(registers.write, 1)
            await ctx.tick()
            ctx.set(registers.write, 0)
            for op in ops:
                fields = LAYOUTS[op]
                least = {field.name: field.minimum for field in fields}
                limits = [getattr(geometry, b.limit) - b.plus for b in BOUNDS.get(op, ())]
                operands = {
                    field.name: near(rng, rng.choice([1, *limits]), field.width)
                    for field in fields
                    if not field.signed and geometry.takes(field.name)
                }
                ctx.set(
                    word, encode(instruction(op, **least)) if op is Op.SET else pack(op, operands)
                )
                instr = None
                with suppress(IsaError):  # an operand of 0 that has to be positive
                    instr = decode(ctx.get(word))
                operand, register, outside = (ctx.get(each) for each in told[op])
                fits = instr is not None and all(
                    bound.holds(instr, geometry) for bound in BOUNDS.get(op, ())
                )
                assert operand == (not fits) and not outside
                if instr is None:
                    continue
                ready = all(
                    bound.holds(values[bound.reg], geometry)
                    for bound in REGISTER_BOUNDS.get(op, ())
                ) and (not clamps(instr) or clamp_holds(values, geometry))
                assert register == (not ready)
                seen.add((op, operand, register))
                if fits and op is not Op.SET:
                    for name, value in operands.items():
                        assert value >> operand_bits(op, name, geometry) == 0
                if (used := used_bits(op, geometry)) < WORD_BITS:
                    ctx.set(word, ctx.get(word) | 1 << rng.randrange(used, WORD_BITS))
                    assert ctx.get(told[op][2])
                for name in (f.name for f in fields if not geometry.takes(f.name)):
                    ctx.set(word, pack(op, {**operands, name: 1}))
                    assert ctx.get(told[op][2])

    simulate(m, bench)
    for op in BOUNDS:
        assert not geometry.has(op) or {(op, 0), (op, 1)} <= {each[:2] for each in seen}


def pack(op: Op, operands: dict[str, int]) -> int:
    """The word of operands that may be none."""
    word, shift = int(op), 6
    for field in LAYOUTS[op]:
        word |= operands.get(field.name, 0) << shift
        shift += field.width
    return word
