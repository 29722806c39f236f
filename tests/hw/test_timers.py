"""The timer service: exact waits, and jumps that change nothing but the wait."""

import pytest
from amaranth import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.timers import QUIET_CYCLES, TimerMux, Timers


def run(
    lengths: list[int], jump: bool, quiet: bool = True, compact: bool = False
) -> tuple[list[int], int, int]:
    """Start all channels at once; the ``now`` at which each is done, steps, skipped.

    Each channel is just wide enough.
    """
    widths = [max(1, cycles.bit_length()) for cycles in lengths]
    dut = Timers(widths, compact=compact)
    seen: dict[int, int] = {}
    steps = skipped = 0

    async def bench(ctx):
        nonlocal steps, skipped
        ctx.set(dut.jump, jump)
        ctx.set(dut.quiet, quiet)
        for i, cycles in enumerate(lengths):
            ctx.set(dut.channel[i].cycles, cycles)
            ctx.set(dut.channel[i].start, 1)
        started = ctx.get(dut.now)
        await ctx.tick()
        for i in range(len(lengths)):
            ctx.set(dut.channel[i].start, 0)
        while len(seen) < len(lengths):
            for i in range(len(lengths)):
                assert ctx.get(dut.channel[i].busy) == (i not in seen)
                if ctx.get(dut.channel[i].done):
                    seen[i] = ctx.get(dut.now) - started
            steps += 1
            assert steps < 5000, "a timer never ended"
            await ctx.tick()
        skipped = ctx.get(dut.skipped)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return [seen[i] for i in range(len(lengths))], steps, skipped


@pytest.mark.parametrize("compact", [False, True])
def test_done_comes_exactly_after_the_cycles_asked_for(compact):
    assert run([1, 2, 3, 50, 63], jump=False, compact=compact)[0] == [1, 2, 3, 50, 63]


@pytest.mark.parametrize("compact", [False, True])
def test_zero_counts_as_one(compact):
    assert run([0, 50], jump=False, compact=compact)[0] == [1, 50]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=3), st.booleans())
def test_jumps_keep_every_moment(lengths, compact):
    plain, plain_steps, none = run(lengths, jump=False, compact=compact)
    jumped, steps, skipped = run(lengths, jump=True, compact=compact)
    assert jumped == plain == lengths
    assert none == 0
    assert steps + skipped == plain_steps


def test_long_waits_are_skipped():
    moments, steps, skipped = run([10_000_000], jump=True)
    assert moments == [10_000_000]
    assert steps < QUIET_CYCLES + 5 and skipped > 9_999_900


@pytest.mark.parametrize("far", [1, 2, 30, 5_000])
def test_no_jump_goes_beyond_the_horizon(far):
    """It stops there, goes on when the horizon has moved, and the timer ends at its moment."""
    dut = Timers([16])
    (channel,) = dut.channel
    reached = ended = 0

    async def bench(ctx):
        nonlocal reached, ended
        ctx.set(dut.jump, 1)
        ctx.set(dut.quiet, 1)
        ctx.set(channel.cycles, 10_000)
        ctx.set(channel.start, 1)
        started = ctx.get(dut.now)
        horizon = started + QUIET_CYCLES + far
        ctx.set(dut.horizon, horizon)
        await ctx.tick()
        ctx.set(channel.start, 0)
        while ctx.get(dut.now) < horizon:
            await ctx.tick()
        reached = ctx.get(dut.now) - horizon
        await ctx.tick().repeat(3)
        assert ctx.get(dut.now) == horizon + 3
        ctx.set(dut.horizon, horizon + 100)
        await ctx.tick()
        assert ctx.get(dut.now) == horizon + 100
        ctx.set(dut.horizon, 1 << 40)
        while not ctx.get(channel.done):
            await ctx.tick()
        ended = ctx.get(dut.now) - started

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert (reached, ended) == (0, 10_000)


def test_no_jump_right_behind_the_end_of_a_timer():
    """What ends moves a pin: the models behind it see that at its cycle, not after a jump."""
    dut = Timers([8, 16])
    seen: list[int] = []
    ended = 0

    async def bench(ctx):
        nonlocal ended
        ctx.set(dut.jump, 1)
        ctx.set(dut.quiet, 1)
        for port, cycles in zip(dut.channel, (200, 10_000), strict=True):
            ctx.set(port.cycles, cycles)
            ctx.set(port.start, 1)
        await ctx.tick()
        for port in dut.channel:
            ctx.set(port.start, 0)
        while not ctx.get(dut.channel[1].done):
            seen.append(ctx.get(dut.now))
            if ctx.get(dut.channel[0].done):
                ended = seen[-1]
            await ctx.tick()
        assert ctx.get(dut.skipped) > 9_000

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    stepped = range(ended, ended + QUIET_CYCLES)
    assert ended and set(stepped) <= set(seen)


def test_no_jump_while_something_else_runs():
    _, steps, skipped = run([300], jump=True, quiet=False)
    assert skipped == 0 and steps == 300


@pytest.mark.parametrize("compact", [False, True])
def test_what_is_stopped_is_over_a_cycle_later(compact):
    dut = Timers([8, 8], compact=compact)
    channel, other = dut.channel

    async def bench(ctx):
        def state(port):
            return ctx.get(port.busy), ctx.get(port.done)

        for delay in (0, 3):
            for port in dut.channel:
                ctx.set(port.cycles, 100)
                ctx.set(port.start, 1)
            await ctx.tick()
            ctx.set(channel.start, 0)
            ctx.set(other.start, 0)
            for _ in range(delay):
                assert state(channel) == (1, 0)
                await ctx.tick()
            ctx.set(channel.stop, 1)
            await ctx.tick()
            # It is in its last cycle for as long as it is held there, and one more.
            for _ in range(3):
                assert state(channel) == (1, 1) and state(other) == (1, 0)
                await ctx.tick()
            ctx.set(channel.stop, 0)
            assert state(channel) == (1, 1)
            await ctx.tick()
            assert state(channel) == (0, 0) and state(other) == (1, 0)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


def test_a_timer_starts_anew_at_any_time():
    dut = Timers([8], compact=True)
    (channel,) = dut.channel

    async def bench(ctx):
        ctx.set(channel.start, 1)
        for cycles in (9, 1, 0, 7):
            ctx.set(channel.cycles, cycles)
            await ctx.tick()
            assert ctx.get(channel.done) == (cycles < 2)
        ctx.set(channel.start, 0)
        for _ in range(6):
            await ctx.tick()
        assert ctx.get(channel.done) and ctx.get(channel.busy)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


def test_a_shared_channel_ends_for_the_one_that_has_it():
    timers, mux = Timers([4]), TimerMux([2, 4, 4])
    m = Module()
    m.submodules += [timers, mux]
    connect(m, timers.channel[0], mux.channel)

    async def bench(ctx):
        seen = []

        async def start(user, cycles):
            ctx.set(mux.users[user].cycles, cycles)
            ctx.set(mux.users[user].start, 1)
            await ctx.tick()
            ctx.set(mux.users[user].start, 0)

        ctx.set(mux.select, 1)
        await start(0, 3)  # not its turn: nothing is loaded
        assert not ctx.get(timers.channel[0].busy)
        await start(1, 5)
        for _ in range(5):
            seen.append([ctx.get(user.busy) + 2 * ctx.get(user.done) for user in mux.users])
            await ctx.tick()
        assert seen == [[0, 1, 0]] * 4 + [[0, 3, 0]]
        # What one has left behind is not another's.
        await start(1, 4)
        ctx.set(mux.select, 2)
        await start(2, 9)
        ended = []
        for _ in range(9):
            await ctx.tick()
            ended.append(ctx.get(mux.users[2].done))
        assert ended == [0] * 7 + [1, 0]

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
