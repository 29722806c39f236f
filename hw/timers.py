"""The timer service: every wait, pulse width, settling and guard time.

All channels count the same clock. For simulation, ``jump`` lets a testbench skip
the time in which nothing but timers runs: when ``quiet`` is high, all running
channels and ``now`` advance by the same number of cycles in one. A jump comes
only after some quiet cycles in which no channel ends, when the last edges have
left the pins and the models behind them have seen them. Results with and without
jumps are equal, because nothing else could have moved in between. Synthesis ties ``jump`` to 0,
and the logic behind it disappears.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import COUNT_BITS, TimerChannel
from .counters import count_or_load

NOW_BITS = 64
FOREVER = (1 << NOW_BITS) - 1
QUIET_CYCLES = 8
"""Quiet cycles before a jump: more than the registers between an engine and a chip model."""


class Timer(wiring.Component):
    """One channel. It counts up to -1 from the complement of what it was asked for.

    Up, because of how an iCE40 loads and counts (:mod:`~ohmloom.hw.counters`).

    Parameters
    ----------
    bits : int
        Of the longest wait.
    compact : bool
        The FPGA is an iCE40.

    Members
    -------
    channel : In(TimerChannel)
        The request port (directions as its user sees it).
    step, jumping : In
        Cycles that the present one counts for, and whether that is more than one.
    left : Out
        Cycles until the channel is done; 0 while it is not busy.
    """

    def __init__(self, bits: int, *, compact: bool = False) -> None:
        self.bits = bits
        self.compact = compact
        super().__init__(
            {
                "channel": In(TimerChannel(bits)),
                "step": In(COUNT_BITS),
                "jumping": In(1),
                "left": Out(bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        channel, bits = self.channel, self.bits
        # The first step is one of two, so that the last cycle is that of -1; of -2 where
        # it is the first one as well.
        count = Signal(bits)
        first, stopped = Signal(), Signal()
        addend = Signal(bits)
        m.d.comb += [
            addend.eq(Mux(self.jumping, self.step + first, Cat(~first, first))),
            channel.done.eq(channel.busy & ((count | first).all() | stopped)),
            self.left.eq(Mux(channel.busy, Mux(channel.done, 1, -(count + first)), 0)),
        ]
        m.d.sync += [first.eq(channel.start), stopped.eq(channel.stop)]
        with m.If(channel.done):
            m.d.sync += channel.busy.eq(0)
        with m.If(channel.start | channel.stop):
            m.d.sync += channel.busy.eq(1)
        following = count_or_load(
            count, channel.start, ~channel.cycles, addend, compact=self.compact
        )
        with m.If(channel.start | channel.busy):
            m.d.sync += count.eq(following)
        return m


class Timers(wiring.Component):
    """Independent timers with a common time base.

    Parameters
    ----------
    widths : sequence of int
        Bits of each channel's longest wait.
    compact : bool
        See :class:`Timer`.

    Members
    -------
    channel0, channel1, ... : In(TimerChannel)
        Request ports (directions as the user of a channel sees them); :attr:`channel` has
        them all.
    quiet : In(1)
        Nothing but timers is running.
    jump : In(1)
        Simulation only: permit jumps.
    horizon : In(64)
        Simulation only: the value of ``now`` beyond which no jump goes.
    now : Out(64)
        Clock cycles since reset, skipped ones included.
    step : Out(COUNT_BITS)
        Cycles that this one counts for: 1, and more in a jump.
    skipped : Out(64)
        Cycles that jumps have skipped since reset.
    """

    def __init__(self, widths: Sequence[int], *, compact: bool = False) -> None:
        self.timers = [Timer(bits, compact=compact) for bits in widths]
        super().__init__(
            {
                **{f"channel{n}": In(TimerChannel(bits)) for n, bits in enumerate(widths)},
                "quiet": In(1),
                "jump": In(1),
                "horizon": In(NOW_BITS, init=FOREVER),
                "now": Out(NOW_BITS),
                "step": Out(COUNT_BITS, init=1),
                "skipped": Out(NOW_BITS),
            }
        )

    @property
    def channel(self) -> list[wiring.PureInterface]:
        """The request ports."""
        return [getattr(self, f"channel{n}") for n in range(len(self.timers))]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        none = (1 << COUNT_BITS) - 1
        shortest = reduce(
            lambda low, value: Mux(value < low, value, low),
            [Mux(timer.left == 0, none, timer.left) for timer in self.timers],
        )
        next_event, most, jumping = Signal(COUNT_BITS), Signal(COUNT_BITS), Signal()
        m.d.comb += [next_event.eq(shortest), most.eq(next_event - 1)]
        if platform is None:
            to_horizon = Signal(NOW_BITS)
            m.d.comb += to_horizon.eq(Mux(self.now < self.horizon, self.horizon - self.now, 0))
            with m.If(to_horizon < next_event - 1):
                m.d.comb += most.eq(to_horizon)
        calm = Signal(range(QUIET_CYCLES))
        # The end of a timer moves things even where nothing else has run meanwhile.
        ended = reduce(or_, [timer.channel.done for timer in self.timers])
        with m.If(~self.quiet | ended):
            m.d.sync += calm.eq(0)
        with m.Elif(calm != QUIET_CYCLES - 1):
            m.d.sync += calm.eq(calm + 1)
        step = self.step
        still = self.quiet & (calm == QUIET_CYCLES - 1)
        m.d.comb += [
            jumping.eq(self.jump & still & (next_event != none) & (most > 1)),
            step.eq(Mux(jumping, most, 1)),
        ]
        m.d.sync += [
            self.now.eq(self.now + step),
            self.skipped.eq(self.skipped + (step - 1)),
        ]
        for n, (timer, channel) in enumerate(zip(self.timers, self.channel, strict=True)):
            m.submodules[f"timer{n}"] = timer
            wiring.connect(m, wiring.flipped(channel), timer.channel)
            m.d.comb += [
                timer.step.eq(step),
                timer.jumping.eq(jumping),
            ]
        return m


class TimerMux(wiring.Component):
    """One channel for users of which only one waits at a time.

    The others see it neither busy nor done. A strobe of the selected user loads the
    channel anew, so what another one has left behind in it is never seen.

    Parameters
    ----------
    widths : sequence of int
        Bits of each user's longest wait.

    Members
    -------
    user0, user1, ... : In(TimerChannel)
        Request ports (directions as the users see them); :attr:`users` has them all.
    select : In
        The user that has the channel.
    channel : Out(TimerChannel)
        The channel, as wide as the widest of them.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        self.count = len(widths)
        super().__init__(
            {
                **{f"user{n}": In(TimerChannel(bits)) for n, bits in enumerate(widths)},
                "select": In(range(len(widths))),
                "channel": Out(TimerChannel(max(widths))),
            }
        )

    @property
    def users(self) -> list[wiring.PureInterface]:
        """The request ports."""
        return [getattr(self, f"user{n}") for n in range(self.count)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        channel = self.channel

        def one(name: str) -> Value:
            mine = (Mux(self.select == n, getattr(user, name), 0) for n, user in enumerate(users))
            return reduce(or_, mine)

        users = self.users
        # Kept, or technology mapping spreads it over a timer's logic.
        cycles = Signal(channel.cycles.shape(), attrs={"keep": 1})
        m.d.comb += [
            cycles.eq(one("cycles")),
            channel.start.eq(one("start")),
            channel.stop.eq(one("stop")),
            channel.cycles.eq(cycles),
        ]
        for n, user in enumerate(users):
            with m.If(self.select == n):
                m.d.comb += [user.busy.eq(channel.busy), user.done.eq(channel.done)]
        return m
