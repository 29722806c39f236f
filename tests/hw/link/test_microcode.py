"""The command processor's instructions, and the assembler."""

from __future__ import annotations

import random

import pytest

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.link import command
from ohmloom.hw.link.command import CommandProcessor
from ohmloom.hw.link.microcode import (
    COUNTER_BITS,
    At,
    Condition,
    Function,
    Kind,
    Program,
    Source,
    Strobe,
    following,
)
from ohmloom.hw.link.program import assemble, write
from ohmloom.hw.link.protocol import Info


def test_the_program_counter_comes_by_every_word_but_one():
    seen, counter = set(), 0
    while counter not in seen:
        seen.add(counter)
        counter = following(counter)
    assert len(seen) == (1 << COUNTER_BITS) - 1 and counter == 0


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(),
        Geometry(window=16, program_depth=1 << 16, log_depth=1024),
        Geometry(window=1, log_depth=0, calibration=True),
    ],
)
def test_the_program_fits(geometry):
    words, scratch = assemble(geometry, Info.of(geometry, 48_000_000, 16 * "x").pack())
    assert len(words) == 1 << COUNTER_BITS and len(scratch) <= 252
    assert all(0 <= word < 1 << 16 for word in words)
    assert all(0 <= byte < 1 << 8 for byte in scratch)


def test_steps_are_the_instructions_of_the_control_store():
    info = Info.of(Geometry(), 48_000_000).pack()
    steps = write(Geometry(), info).steps()
    words, _ = assemble(Geometry(), info)
    at = {step.name: step.place for step in steps}
    assert len(at) == len(steps) == sum(word != 0 for word in words)
    for step in steps:
        word = words[step.place]
        branch, test = word >> 15, word >> 11 & 15
        assert (step.jump is not None) == bool(branch)
        assert step.jump is None or at[step.jump] == word & (1 << COUNTER_BITS) - 1
        assert (step.onward is None) == (bool(branch) and test == Condition.ALWAYS)
        assert step.onward is None or at[step.onward] == following(step.place)


def run(simulate, monkeypatch, program: Program, sent: int, frame: bytes = b"") -> list[int]:
    """Bytes that the processor sends with this program."""
    monkeypatch.setattr(command, "assemble", lambda geometry, info: program.assembled())
    dut, got = CommandProcessor(Geometry(window=1), 48_000_000), []

    async def feed(ctx):
        for i, byte in enumerate(frame):
            for _ in range(3 * (i % 3)):  # it waits for them
                await ctx.tick()
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
        while True:
            await ctx.tick()

    async def collect(ctx):
        while len(got) < sent:
            for _ in range(len(got) % 4):
                await ctx.tick()
            ctx.set(dut.o.ready, 1)
            *_, token = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            got.append(token.data)
            ctx.set(dut.o.ready, 0)

    simulate(dut, collect, background=[feed])
    return got


def test_every_function_with_and_without_carry(simulate, monkeypatch):
    rng = random.Random(9)
    p, expected = Program([]), []
    accumulator = carry = 0
    p.load(0)
    p.add(0)  # the carry is 0
    p.label("start")
    for _ in range(60):
        function, chained = rng.choice(list(Function)), rng.random() < 0.5
        operand = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        kind = Kind.ALU_CARRY if chained else Kind.ALU
        match function:
            case Function.ADD:
                p.add(operand, kind)
                total = accumulator + operand + (chained and carry)
            case Function.SUB:
                p.sub(operand, kind)
                total = accumulator + (operand ^ 0xFF) + (carry if chained else 1)
            case Function.AND:
                p.both(operand)
                total = accumulator & operand | carry << 8
            case Function.OR:
                p.either(operand)
                total = accumulator | operand | carry << 8
        accumulator, carry = total & 0xFF, total >> 8
        p.send()
        # The carry is shown by a branch.
        p.branch(Condition.CARRY, f"set{len(expected)}")
        p.branch(Condition.ZERO, f"set{len(expected)}", unless=True)
        p.label(f"set{len(expected)}")
        expected.append(accumulator)
    p.label("end")
    p.jump("end")
    assert run(simulate, monkeypatch, p, len(expected)) == expected


def test_branches_storage_and_the_frame(simulate, monkeypatch):
    p = Program([10, 20, 30, 40])
    p.reserve("kept")
    p.load(Source.FRAME)
    p.store("INDEX")
    p.load(At(0))  # 30
    p.send()
    p.store("kept")
    p.load(3)
    p.label("loop")
    p.sub(1, Kind.ALU_TAKE)
    p.branch(Condition.ZERO, "loop", unless=True)
    p.load("kept")
    p.send()  # the word's bytes move on by one
    for _ in range(4):
        p.add(0, Kind.ALU_SHIFT)
    p.load(Source.WORD)
    p.send()
    p.branch(Condition.RUNNING, "wrong")
    p.load("INDEX")
    p.jump("right")
    p.label("wrong")
    p.load(99)
    p.label("right")
    p.send()
    p.strobe(Strobe.RELEASE)
    p.label("end")
    p.jump("end")
    # With 2 sends and 4 shifts in between, the second byte is the word's lowest by then.
    assert run(simulate, monkeypatch, p, 4, frame=bytes([2, 7, 8, 9])) == [30, 30, 7, 2]
