"""A link under test: serial lines on one side, a small model of the controller on the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.link.link import Link
from ohmloom.hw.link.protocol import Space, depth


class LinkBench:
    """A :class:`Link`, its lines as bytes, its memories as dictionaries, its runs as events.

    Attributes
    ----------
    memories : word of (space, address); CELL reads what LEVEL wrote
    written, lost : entries of the log and lost events that the link has still to count
    writes, runs : what the link did, in order
    received : bytes that it sent
    run_cycles : length of a run in clock cycles
    """

    def __init__(self, geometry: Geometry, clk_hz: int, baud: int) -> None:
        self.geometry = geometry
        self.dut = Link(geometry, clk_hz, baud)
        self.bit = self.dut.uart_rx.divisor
        self.clk_hz = clk_hz
        self.memories: dict[tuple[int, int], int] = {}
        self.writes: list[tuple[int, int, int]] = []
        self.runs: list[tuple[int, int]] = []
        self.received = bytearray()
        self.run_cycles = 50
        self.written = self.lost = 0
        self.result = (0x0123_4567_89AB_CDEF, 0xFEDC_BA98)

    # The background benches wait with single ticks only: a simulation that ends
    # inside ``until`` or ``repeat`` leaves their generators open.

    async def listen(self, ctx) -> None:
        """Sample ``tx`` in the middle of every bit."""
        while True:
            await ctx.negedge(self.dut.tx)
            byte = 0
            for i in range(10):
                for _ in range(self.bit // 2):
                    await ctx.tick()
                byte |= ctx.get(self.dut.tx) << i
                for _ in range(self.bit - self.bit // 2 if i < 9 else 0):
                    await ctx.tick()
            assert byte >> 9 == 1, "stop bit is low"
            self.received.append(byte >> 1 & 0xFF)

    async def memory(self, ctx) -> None:
        """The memories, with one cycle of read latency."""
        dut = self.dut
        while True:
            await ctx.posedge(dut.read).posedge(dut.write)
            space, address = ctx.get(dut.space), ctx.get(dut.address)
            assert address < depth(Space(space), self.geometry)
            if ctx.get(dut.write):
                data = ctx.get(dut.write_data)
                self.writes.append((space, address, data))
                self.memories[Space.CELL if space == Space.LEVEL else space, address] = data
                continue
            await ctx.tick()
            ctx.set(dut.read_data, self.memories.get((space, address), 0))
            await ctx.tick()
            ctx.set(dut.read_data, 0xDEAD_DEAD_DEAD_DEAD)  # valid in one cycle only

    async def log(self, ctx) -> None:
        """What the log has the link count."""
        log = self.dut.log
        while True:
            ctx.set(log.written, self.written > 0)
            ctx.set(log.lost, self.lost > 0)
            await ctx.tick()
            self.written -= ctx.get(log.count_written)
            self.lost -= ctx.get(log.count_lost)

    async def core(self, ctx) -> None:
        """Runs that take ``run_cycles``."""
        dut = self.dut
        while True:
            await ctx.posedge(dut.run)
            self.runs.append((ctx.get(dut.run_address), ctx.get(dut.run_epoch)))
            await ctx.tick()
            ctx.set(dut.running, 1)
            for _ in range(self.run_cycles):
                await ctx.tick()
            ctx.set(dut.running, 0)
            ctx.set(dut.cycles, self.result[0])
            ctx.set(dut.saturations, self.result[1])
            ctx.set(dut.done, 1)
            await ctx.tick()
            ctx.set(dut.done, 0)

    async def send(self, ctx, data: bytes) -> None:
        """Drive ``rx``, bytes back to back."""
        for byte in data:
            for i in range(10):
                ctx.set(self.dut.rx, (byte << 1 | 0x200) >> i & 1)
                await ctx.tick().repeat(self.bit)

    async def quiet(self, ctx) -> None:
        """Until the link is idle."""
        while ctx.get(self.dut.active):
            await ctx.tick()

    def transport(self, ctx) -> SimTransport:
        return SimTransport(self, ctx)


class SimTransport:
    """The byte pipe of ``AsyncLinkClient``; ``corrupt`` may change what is sent."""

    @property
    def elapsed(self) -> float:
        """Time spent in it, in bits."""
        return self.cycles / self.bench.bit

    def __init__(self, bench: LinkBench, ctx) -> None:
        self.bench = bench
        self.ctx = ctx
        self.corrupt: Callable[[bytes], bytes] = bytes
        self.cycles = 0

    async def write(self, data: bytes) -> None:
        corrupted = self.corrupt(data)
        self.cycles += 10 * self.bench.bit * len(corrupted)
        await self.bench.send(self.ctx, corrupted)

    async def read(self, timeout: float) -> bytes:
        step = 8  # clock cycles: any, but few steps are faster
        for _ in range(int(timeout * self.bench.clk_hz) // step):
            if self.bench.received:
                break
            await self.ctx.tick().repeat(step)
            self.cycles += step
        received = bytes(self.bench.received)
        self.bench.received.clear()
        return received


@pytest.fixture
def link_bench(simulate) -> Callable:
    """``link_bench(test, clk_hz=..., baud=...)`` runs ``await test(ctx, bench)``."""

    def run(test, *, clk_hz: int = 4_000_000, baud: int = 1_000_000, cycles: int = 200_000):
        geometry = Geometry(
            rows=8, columns=16, tiles=3, program_depth=300, param_depth=40, act_depth=600
        )
        bench = LinkBench(geometry, clk_hz, baud)

        async def testbench(ctx):
            await test(ctx, bench)

        simulate(
            bench.dut,
            testbench,
            background=(bench.listen, bench.memory, bench.core, bench.log),
            cycles=cycles,
        )
        return bench

    return run
