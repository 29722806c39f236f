"""The timer service: exact waits, and jumps that change nothing but the wait."""

from amaranth import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.timers import QUIET_CYCLES, TimerMux, Timers


def run(lengths: list[int], jump: bool, quiet: bool = True) -> tuple[list[int], int, int]:
    """Start all channels at once; the ``now`` at which each is done, steps, skipped."""
    dut = Timers(len(lengths))
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


def test_done_comes_exactly_after_the_cycles_asked_for():
    assert run([1, 2, 3, 50], jump=False)[0] == [1, 2, 3, 50]


def test_zero_counts_as_one():
    assert run([0], jump=False)[0] == [1]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=3))
def test_jumps_keep_every_moment(lengths):
    plain, plain_steps, none = run(lengths, jump=False)
    jumped, steps, skipped = run(lengths, jump=True)
    assert jumped == plain == lengths
    assert none == 0
    assert steps + skipped == plain_steps


def test_long_waits_are_skipped():
    moments, steps, skipped = run([10_000_000], jump=True)
    assert moments == [10_000_000]
    assert steps < QUIET_CYCLES + 5 and skipped > 9_999_900


def test_no_jump_while_something_else_runs():
    _, steps, skipped = run([300], jump=True, quiet=False)
    assert skipped == 0 and steps == 300


def test_a_shared_channel_ends_for_the_one_that_has_it():
    timers, mux = Timers(1), TimerMux(3)
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
