"""The timer service: every wait, pulse width, settling and guard time.

All channels count the same clock. For simulation, ``jump`` lets a testbench skip
the time in which nothing but timers runs: when ``quiet`` is high, all running
channels and ``now`` advance by the same number of cycles in one. A jump comes
only after some quiet cycles, when the last edges have left the pins and the
models behind them have seen them. Results with and without jumps are equal,
because nothing else could have moved in between. Synthesis ties ``jump`` to 0,
and the logic behind it disappears.
"""

from __future__ import annotations

from functools import reduce

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import TimerChannel

COUNT_BITS = 40
NOW_BITS = 64
QUIET_CYCLES = 8
"""Quiet cycles before a jump: more than the registers between an engine and a chip model."""


class Timers(wiring.Component):
    """Independent down counters with a common time base.

    Parameters
    ----------
    channels : int
        Number of request ports.

    Members
    -------
    channel : array of In(TimerChannel)
        Request ports (directions as the user of a channel sees them).
    quiet : In(1)
        Nothing but timers is running.
    jump : In(1)
        Simulation only: permit jumps.
    now : Out(64)
        Clock cycles since reset, skipped ones included.
    step : Out(COUNT_BITS)
        Cycles that this one counts for: 1, and more in a jump.
    skipped : Out(64)
        Cycles that jumps have skipped since reset.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        super().__init__(
            {
                "channel": In(TimerChannel()).array(channels),
                "quiet": In(1),
                "jump": In(1),
                "now": Out(NOW_BITS),
                "step": Out(COUNT_BITS, init=1),
                "skipped": Out(NOW_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        remaining = [Signal(COUNT_BITS, name=f"remaining{i}") for i in range(self.channels)]
        none = (1 << COUNT_BITS) - 1
        shortest = reduce(
            lambda low, value: Mux(value < low, value, low),
            [Mux(value == 0, none, value) for value in remaining],
        )
        next_event = Signal(COUNT_BITS)
        m.d.comb += next_event.eq(shortest)
        calm = Signal(range(QUIET_CYCLES))
        with m.If(~self.quiet):
            m.d.sync += calm.eq(0)
        with m.Elif(calm != QUIET_CYCLES - 1):
            m.d.sync += calm.eq(calm + 1)
        step = self.step
        m.d.comb += step.eq(1)
        still = self.quiet & (calm == QUIET_CYCLES - 1)
        with m.If(self.jump & still & (next_event != none) & (next_event > 2)):
            m.d.comb += step.eq(next_event - 1)
        m.d.sync += [
            self.now.eq(self.now + step),
            self.skipped.eq(self.skipped + (step - 1)),
        ]
        for i, count in enumerate(remaining):
            channel = self.channel[i]
            m.d.comb += [channel.busy.eq(count != 0), channel.done.eq(count == 1)]
            with m.If(channel.start):
                m.d.sync += count.eq(Mux(channel.cycles == 0, 1, channel.cycles))
            with m.Elif(count != 0):
                m.d.sync += count.eq(count - step)
        return m


class TimerMux(wiring.Component):
    """One channel for users of which only one waits at a time.

    The others see it neither busy nor done. A strobe of the selected user loads the
    channel anew, so what another one has left behind in it is never seen.

    Parameters
    ----------
    users : int
        Number of users.

    Members
    -------
    users : array of In(TimerChannel())
        Request ports (directions as the users see them).
    select : In
        The user that has the channel.
    channel : Out(TimerChannel())
        The channel.
    """

    def __init__(self, users: int) -> None:
        self.count = users
        super().__init__(
            {
                "users": In(TimerChannel()).array(users),
                "select": In(range(users)),
                "channel": Out(TimerChannel()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        channel = self.channel
        for i in range(self.count):
            user = self.users[i]
            with m.If(self.select == i):
                m.d.comb += [
                    channel.start.eq(user.start),
                    channel.cycles.eq(user.cycles),
                    user.busy.eq(channel.busy),
                    user.done.eq(channel.done),
                ]
        return m
