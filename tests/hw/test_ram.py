"""The block RAM: what it reads, and that nothing in the gateware has another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from amaranth.sim import Simulator

import ohmloom.hw
from ohmloom.hw.ram import Ram

OLD, NEW = 0x35, 0x1E


async def read_at_the_edge_of_a_write(ctx, ram: Ram, address: int) -> tuple[int, int]:
    """What a read of ``address`` gives at the edge that writes word 1, and a cycle later."""
    ctx.set(ram.read.addr, address)
    ctx.set(ram.write.addr, 1)
    ctx.set(ram.write.data, NEW)
    ctx.set(ram.write.en, 1)
    await ctx.tick()
    at_once = ctx.get(ram.read.data)
    ctx.set(ram.write.en, 0)
    await ctx.tick()
    return at_once, ctx.get(ram.read.data)


@pytest.mark.parametrize(
    ("transparent", "address", "expected"),
    [
        (False, 1, (OLD ^ 0xFF, NEW)),
        (False, 0, (OLD + 1, OLD + 1)),
        (True, 1, (NEW, NEW)),
        (True, 0, (OLD + 1, OLD + 1)),
    ],
)
def test_a_read_of_the_word_that_is_being_written(
    transparent: bool, address: int, expected: tuple[int, int]
) -> None:
    ram = Ram(8, 4, [OLD + 1, OLD], transparent=transparent)
    seen: list[tuple[int, int]] = []

    async def bench(ctx):
        seen.append(await read_at_the_edge_of_a_write(ctx, ram, address))

    sim = Simulator(ram)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert seen == [expected]


def test_data_stays_while_the_port_is_off() -> None:
    ram = Ram(8, 4, [OLD, NEW])

    async def bench(ctx):
        await ctx.tick()
        ctx.set(ram.read.en, 0)
        ctx.set(ram.read.addr, 1)
        ctx.set(ram.write.addr, 1)
        ctx.set(ram.write.en, 1)
        await ctx.tick().repeat(3)
        assert ctx.get(ram.read.data) == OLD

    sim = Simulator(ram)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


def test_no_other_memory_in_the_gateware() -> None:
    """Synthesis leaves collisions of every memory open: each must be one that simulation upsets.

    But for tables that nobody writes.
    """
    folder = Path(ohmloom.hw.__file__).parent
    users = {
        path.name
        for path in folder.rglob("*.py")
        if re.search(r"\bimport\b.*\bmemory\b|memory\.Memory|\bMemory\(", path.read_text())
    }
    tables = {
        path.name
        for path in folder.rglob("*.py")
        if path.name != "ram.py" and "write_port" not in path.read_text()
    }
    assert users - tables == {"ram.py"}
