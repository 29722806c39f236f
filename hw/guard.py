"""The guard: the last block before the front end. Nothing is driven that it has not let through.

It sits between the multiplexer and the front end, so every engine passes through
it. DAC codes and switch updates go on when they are within the limits; the fast
gates open only when all that they would drive has settled, and close by
themselves at a limit. What is refused is not sent, and brings the safe state:
gates closed in the same cycle, and from the next one on ``safe``, which clears
the DACs and resets the switches, until the host clears it.

Gate A is for reading: the rail behind it is under the ``read`` limit, so it may
stay open and switches may move under it. Gate B is for pulses: while it is open
nothing moves. Converting is reading and always allowed.

The guard's counters are its own, and no other block can hold them up. They count
the cycles that a time jump skips (``skipped``); its timer channel does nothing but
end a jump where a limit is, and synthesis removes it with the jumps.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import (
    Ceilings,
    FrontEndSignature,
    FrontEndTiming,
    SwitchGroup,
    TimerChannel,
    cycles_from_ps,
)
from .geometry import Geometry
from .half_select import HalfSelect
from .isa import Dac
from .link.command import GuardSignature
from .link.protocol import GuardState, Limit, Reason
from .ram import Ram
from .timers import COUNT_BITS, NOW_BITS

DUTY_MAX = 15
"""Fraction bits of the gate-on budget: the slowest refill is one cycle in 2^15."""
ENERGY_SHIFT = 16
"""The energy limit counts 2^16 code x code x cycles."""
REFUSALS_MAX = 255

CODES = (Reason.DAC_CODE, Reason.SWITCH_CODE)
GATES = (Reason.BOTH_GATES, Reason.UNSETTLED, Reason.MOVED, Reason.READ_VOLTAGE, Reason.BIAS)
PULSES = (Reason.WIDTH, Reason.DUTY, Reason.ENERGY)
STOPS = (Reason.INTERLOCK, Reason.ABORT, Reason.LINK_LOST, Reason.REQUEST)
COUNTED = (CODES, GATES, PULSES, STOPS)
"""Reasons that share a counter of refusals, in the order of ``HEALTH_BODY``."""


class CeilingError(ValueError):
    """Ceilings under which nothing could be driven, or that make no sense."""


def longest_cycles(duration_ps: int, clk_hz: int) -> int:
    """Clock cycles that last at most ``duration_ps``: integers only, rounded down."""
    return duration_ps * clk_hz // 10**12


def ceiling_values(
    ceilings: Ceilings, clk_hz: int, energy_shift: int = ENERGY_SHIFT
) -> dict[Limit, int]:
    """The limits after a reset, as the link counts them.

    Raises
    ------
    CeilingError
        If a channel's range does not hold 0 V, or a limit leaves nothing.
    """
    zero = ceilings.zero_code
    values: dict[Limit, int] = {}
    for dac in Dac:
        low, high = ceilings.low[dac], ceilings.high[dac]
        if not 0 <= low <= zero <= high < 1 << 16:
            raise CeilingError(f"{dac.name}: {low}..{high} does not hold the code of 0 V, {zero}")
        values[Limit(Limit.LOW_RAIL_A + dac)] = low
        values[Limit(Limit.HIGH_RAIL_A + dac)] = high
    values |= {
        Limit.READ: ceilings.read,
        Limit.SENSE: ceilings.sense,
        Limit.WIDTH: longest_cycles(ceilings.width_ps, clk_hz),
        Limit.BUDGET: longest_cycles(ceilings.budget_ps, clk_hz),
        Limit.DUTY: ceilings.duty,
        Limit.ENERGY: longest_cycles(ceilings.energy_ps, clk_hz) >> energy_shift,
        Limit.WATCHDOG: longest_cycles(ceilings.watchdog_ps, clk_hz),
    }
    for limit in (Limit.WIDTH, Limit.BUDGET, Limit.ENERGY, Limit.WATCHDOG):
        if not 0 < values[limit] < 1 << COUNT_BITS:
            raise CeilingError(
                f"{limit.name} = {values[limit]} at {clk_hz} Hz is outside 1..2^{COUNT_BITS} - 1"
            )
    if not 0 <= ceilings.duty <= DUTY_MAX:
        raise CeilingError(f"duty = {ceilings.duty} is outside 0..{DUTY_MAX}")
    if min(ceilings.read, ceilings.sense) < 0:
        raise CeilingError("a read or sense limit is negative")
    return values


class CodeLimits(wiring.Component):
    """Lowest and highest code of each DAC channel.

    With ``geometry.compact`` they are in block RAMs, and a channel's are there a cycle
    after it was asked for: a write's or the host's, not both.

    Members
    -------
    channel, host_channel : In(2)
        Whose they are to be, for a write and for the host; the same one if compact.
    known : Out(1)
        They are those of ``channel``.
    low, high, host_low, host_high : Out(16)
        What they are.
    lower, raise_low : In(1)
        Strobes: ``value`` is the highest code of ``host_channel`` from now on, or the lowest.
    value : In(16)
    """

    memory = Ram

    def __init__(self, ceilings: Mapping[Limit, int], compact: bool) -> None:
        self.compact = compact
        # Internal state, named for proofs.
        self.bounds = {
            name: [ceilings[Limit(first + dac)] for dac in Dac]
            for name, first in (("low", Limit.LOW_RAIL_A), ("high", Limit.HIGH_RAIL_A))
        }
        self.words = {
            name: self.memory(16, len(Dac), init)
            if compact
            else Signal(data.ArrayLayout(16, len(Dac)), init=init, name=f"limit_{name}")
            for name, init in self.bounds.items()
        }
        # Nothing has been read before the first cycle, nor where something is written.
        self.asked, self.unread = Signal(2), Signal(init=1)
        super().__init__(
            {
                "channel": In(2),
                "host_channel": In(2),
                "known": Out(1),
                "low": Out(16),
                "high": Out(16),
                "host_low": Out(16),
                "host_high": Out(16),
                "lower": In(1),
                "raise_low": In(1),
                "value": In(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.known.eq(1)
        for name, strobe in (("low", self.raise_low), ("high", self.lower)):
            words, present = self.words[name], getattr(self, name)
            host_present = getattr(self, f"host_{name}")
            if not self.compact:
                m.d.comb += [
                    present.eq(words[self.channel]),
                    host_present.eq(words[self.host_channel]),
                ]
                with m.If(strobe):
                    m.d.sync += words[self.host_channel].eq(self.value)
                continue
            m.submodules[name] = words
            words.memory.attrs["ram_style"] = "block"  # however small
            m.d.comb += [
                words.read.addr.eq(self.channel),
                present.eq(words.read.data),
                host_present.eq(present),
                words.write.addr.eq(self.channel),
                words.write.data.eq(self.value),
                words.write.en.eq(strobe),
            ]
        if self.compact:
            m.d.sync += [self.asked.eq(self.channel), self.unread.eq(self.lower | self.raise_low)]
            m.d.comb += self.known.eq((self.asked == self.channel) & ~self.unread)
        return m


# Counters that are loaded where they do not count. What tells the two apart is also the
# adder's other input, so that each bit takes one cell of an FPGA with carry chains.


def count_down(value: Value, counting: Value) -> Value:
    """``value``, less one if ``counting``, and above it whether there was one."""
    return Value.cast((value + counting.replicate(len(value)))[: len(value) + 1])


def count_up(value: Value, loading: Value) -> Value:
    """``value`` and one; for not ``loading`` only."""
    one = Const(1, 1)
    total = Cat(one, value) + Cat(one, loading.replicate(len(value)))
    return Value.cast(total[1 : len(value) + 1])


class StandingSignature(wiring.Signature):
    """What stands at the selected cells.

    Members
    -------
    rail, gate : Out(16)
        Codes of RAIL_B and GATE_PROGRAM that have been let through; in a passive array the
        selected cell's voltage and the limiter's, as such codes.
    through : Out(1)
        A column's gate is on GATE_ON, which limits nothing.
    """

    def __init__(self) -> None:
        super().__init__({"rail": Out(16), "gate": Out(16), "through": Out(1)})


class Guard(wiring.Component):
    """Filters what the engines ask of the front end.

    Parameters
    ----------
    geometry : Geometry
        Lines of the array.
    timing : FrontEndTiming
        What must have settled before a gate opens.
    ceilings : Ceilings
        What the front end may ever be asked to drive.
    clk_hz : int
        Clock that is really there.
    code_cycles : int
        Cycles until a code has been weighed by what is told it in ``standing``.
    energy_shift : int
        The energy limit counts ``2**energy_shift`` code x code x cycles.

    Members
    -------
    core : In(FrontEndSignature)
        The engines, behind their multiplexer.
    afe : Out(FrontEndSignature)
        The front end.
    host : In(GuardSignature)
        The link: abort, clear, limits, and what it reads.
    skipped : In(64)
        Cycles that time jumps have skipped since reset.
    timer : Out(TimerChannel)
        Ends a time jump where a limit is.
    standing : Out(StandingSignature)
        What it has let through to rail B and the gates of the columns.
    safe : Out(1)
        The safe state: the engines are held in reset.

    Raises
    ------
    CeilingError
        If the ceilings make no sense, or have no limiter for a passive array.
    """

    code_limits = CodeLimits

    def __init__(
        self,
        geometry: Geometry,
        timing: FrontEndTiming,
        ceilings: Ceilings,
        clk_hz: int,
        code_cycles: int = 2,
        energy_shift: int = ENERGY_SHIFT,
    ) -> None:
        self.geometry = geometry
        self.zero = ceilings.zero_code
        self.ceilings = ceiling_values(ceilings, clk_hz, energy_shift)
        self.energy_shift = energy_shift
        # Two cycles at least, the registers between a code and what is compared of it.
        self.dac_cycles = max(2, code_cycles, cycles_from_ps(timing.dac_settle_ps, clk_hz))
        self.switch_cycles = max(2, cycles_from_ps(timing.switch_ps, clk_hz))
        self.has_source = geometry.has_source and timing.source_ps is not None
        self.source_cycles = cycles_from_ps(timing.source_ps or 0, clk_hz)

        # Internal state, named for proofs.
        values = self.ceilings
        self.store = self.code_limits(values, geometry.compact)
        self.limits = {
            limit: Signal(
                range((DUTY_MAX if limit is Limit.DUTY else max(values[limit], 1)) + 1),
                init=values[limit],
                name=f"limit_{limit.name.lower()}",
            )
            for limit in Limit
            if limit >= Limit.READ
        }
        self.lowered = Signal(len(Limit))
        self.codes = Array(Signal(16, init=self.zero, name=f"code_{dac.name}") for dac in Dac)
        self.limiter = ceilings.limiter
        if geometry.passive and self.limiter is None:
            raise CeilingError("a front end without a limiter, and an array without transistors")
        reach = [max(self.zero - ceilings.low[dac], ceilings.high[dac] - self.zero) for dac in Dac]
        gates = [ceilings.high[dac] - self.zero for dac in (Dac.GATE_PROGRAM, Dac.GATE_ON)]
        # In a passive array a cell may get any voltage that has a code.
        highest = 1 << 15 if geometry.passive else reach[Dac.RAIL_B]
        self.distance_a = Signal(range(reach[Dac.RAIL_A] + 1))
        self.distance_b = Signal(range(highest + 1))
        self.gate_volts = Signal(range(max(*gates, self.limiter or 0) + 1))
        self.uneven = Signal()
        self.power = Signal(len(self.distance_b) + len(self.gate_volts))
        self.dac_left = Signal(range(self.dac_cycles + 1), init=self.dac_cycles)
        self.read_left = Signal(range(self.dac_cycles + 1), init=self.dac_cycles)
        self.read_written = Signal()
        self.switch_left = Signal(range(self.switch_cycles + 1), init=self.switch_cycles)
        self.pending = Signal()
        self.update = Signal(data.StructLayout({"group": SwitchGroup, "a": 1, "b": 1}))
        self.sensing = Signal()
        self.on_program = Signal()
        self.on_on = Signal()
        self.tile = Signal(12)
        self.source = Signal()
        self.source_range = Signal(2)
        # At rest before the first change: an unconfigured FPGA selects the rail.
        self.source_left = Signal(range(self.source_cycles + 1))
        self.was_open = Signal()
        bits = {limit: len(signal) for limit, signal in self.limits.items()}
        self.width_left = Signal(bits[Limit.WIDTH])
        self.spent = Signal(bits[Limit.BUDGET])
        self.refilled = Signal(DUTY_MAX)
        wide = max(bits[Limit.ENERGY] + energy_shift, len(self.power))
        self.energy_left = Signal(wide)
        self.energy_low = Signal(len(self.power))
        self.energy_high = Signal(wide - len(self.power))
        self.silence = Signal(bits[Limit.WATCHDOG])
        self.known = Signal()
        self.below, self.above = Signal(), Signal()
        self.stop = Signal()
        self.closing = Signal()
        self.reason = Signal(Reason)
        super().__init__(
            {
                "core": In(FrontEndSignature(geometry)),
                "afe": Out(FrontEndSignature(geometry)),
                "host": In(GuardSignature()),
                "skipped": In(NOW_BITS),
                "timer": Out(TimerChannel()),
                "standing": Out(StandingSignature()),
                "safe": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.limits = self.store
        passed = Signal(COUNT_BITS)
        before = Signal(NOW_BITS)
        m.d.sync += before.eq(self.skipped)
        m.d.comb += passed.eq(self.skipped - before)
        m.d.sync += self.was_open.eq(self.afe.gate_b)

        causes = self._stops()
        causes |= self._codes(m)
        causes |= self._gates(m, passed)
        causes |= self._pulse(m, passed)
        self._state(m, causes)
        self._limits(m)
        return m

    def _stops(self) -> dict[Reason, Value]:
        """What ends everything at once."""
        return {
            Reason.INTERLOCK: self.afe.interlock,
            Reason.ABORT: self.host.abort,
            Reason.REQUEST: self.core.safe,
        }

    def _codes(self, m: Module) -> dict[Reason, Value]:
        """What passes to the front end, and what is known of it then."""
        core, afe = self.core, self.afe
        # Each request is held back by what is wrong with itself, so that the paths stay
        # short; the gates by everything.
        asked = core.gate_a | core.gate_b

        dac, switch = core.dac.payload, core.switch.payload
        store, known, outside, two_ways = self.store, Signal(), Signal(), Signal()
        m.d.comb += [
            known.eq(core.dac.valid & store.known),
            outside.eq(self.below | self.above),
            two_ways.eq((switch.a & switch.b).any()),
        ]
        m.d.comb += [
            core.ready.eq(afe.ready & ~self.safe),
            core.active.eq(afe.active),
            core.interlock.eq(afe.interlock),
            afe.safe.eq(self.safe),
            afe.switch.payload.eq(switch),
            afe.switch.valid.eq(core.switch.valid & ~two_ways & ~core.gate_b & ~self.safe),
            core.switch.ready.eq(afe.switch.ready),
            core.loaded.eq(afe.loaded),
            afe.latch.eq(core.latch & ~core.gate_b & ~self.safe),
            afe.dac.payload.eq(dac),
            afe.dac.valid.eq(known & ~outside & ~asked & ~self.safe),
            core.dac.ready.eq(afe.dac.ready & store.known),
            core.dac_idle.eq(afe.dac_idle),
            afe.convert.eq(core.convert & ~self.safe),
            afe.tag.eq(core.tag),
            core.adc_idle.eq(afe.adc_idle),
            core.samples.valid.eq(afe.samples.valid),
            core.samples.payload.eq(afe.samples.payload),
            afe.gate_a.eq(core.gate_a & ~self.closing & ~self.safe),
            afe.gate_b.eq(core.gate_b & ~self.closing & ~self.safe),
            afe.tile.eq(core.tile),
            afe.range.eq(core.range),
            afe.source.eq(core.source & self.has_source),
            afe.source_range.eq(core.source_range),
        ]

        with m.If(afe.dac.valid & afe.dac.ready):
            m.d.sync += self.codes[dac.channel].eq(dac.code)
        with m.If(afe.switch.valid & afe.switch.ready):
            m.d.sync += [
                self.pending.eq(1),
                self.update.group.eq(switch.group),
                self.update.a.eq(switch.a.any()),
                self.update.b.eq(switch.b.any()),
            ]
        with m.If(afe.latch & afe.loaded):
            m.d.sync += self.pending.eq(0)
            with m.Switch(self.update.group):
                with m.Case(SwitchGroup.COLUMNS):
                    m.d.sync += self.sensing.eq(self.update.a)
                with m.Case(SwitchGroup.GATES):
                    m.d.sync += [self.on_program.eq(self.update.a), self.on_on.eq(self.update.b)]
        # The front end's initialisation ends with every line and every channel at 0 V.
        with m.If(~afe.ready):
            m.d.sync += [
                *(code.eq(self.zero) for code in self.codes),
                self.pending.eq(0),
                self.sensing.eq(0),
                self.on_program.eq(0),
                self.on_on.eq(0),
            ]

        gate_volts = self._passive(m) if self.geometry.passive else self._transistors(m)

        def distance(standing: Value) -> Value:
            code = standing - self.zero
            return Mux(code[-1], ~count_down(code[:], code[-1])[:-1], code[:])

        m.d.sync += [
            self.distance_a.eq(distance(self.codes[Dac.RAIL_A])),
            self.distance_b.eq(distance(self.standing.rail)),
            self.gate_volts.eq(gate_volts),
        ]
        # With little room, at a slow clock, without a register behind the multiplier.
        domain = m.d.comb if self.geometry.compact else m.d.sync
        domain += self.power.eq(self.distance_b * self.gate_volts)
        return {
            Reason.DAC_CODE: known & outside,
            Reason.SWITCH_CODE: core.switch.valid & two_ways,
        }

    def _transistors(self, m: Module) -> Value:
        """What stands at cells with transistors; the highest gate voltage that a gate is on."""
        m.d.comb += [
            self.standing.rail.eq(self.codes[Dac.RAIL_B]),
            self.standing.gate.eq(self.codes[Dac.GATE_PROGRAM]),
            self.standing.through.eq(self.on_on),
        ]

        def above(channel: Dac) -> Value:
            code = self.codes[channel] - self.zero
            never_below = self.ceilings[Limit(Limit.LOW_RAIL_A + channel)] >= self.zero
            return code[:-1] if never_below else Mux(code < 0, 0, code[:-1])

        program = Mux(self.on_program, above(Dac.GATE_PROGRAM), 0)
        on = Mux(self.on_on, above(Dac.GATE_ON), 0)
        return Mux(program > on, program, on)

    def _passive(self, m: Module) -> Value:
        """What stands at the selected cell of an array without; the limiter's gate voltage."""
        assert self.limiter is not None
        m.submodules.bias = bias = HalfSelect(self.zero)
        m.d.comb += [
            bias.rail.eq(self.codes[Dac.RAIL_B]),
            bias.program.eq(self.codes[Dac.GATE_PROGRAM]),
            bias.on.eq(self.codes[Dac.GATE_ON]),
            bias.on_program.eq(self.on_program),
            bias.on_on.eq(self.on_on),
            self.standing.rail.eq(bias.cell),
            self.standing.gate.eq(self.zero + self.limiter),
        ]
        # A column on its TIA has no bias.
        sensed = self.sensing & (self.on_program | self.on_on)
        m.d.sync += self.uneven.eq(bias.uneven | sensed)
        return Const(self.limiter, len(self.gate_volts))

    def _gates(self, m: Module, passed: Signal) -> dict[Reason, Value]:
        """What a gate may not open on."""
        core, afe, limits = self.core, self.afe, self.limits
        m.d.sync += self.tile.eq(core.tile)
        tiled = core.tile != self.tile

        def settled(left: Signal, cycles: int, moving: Value) -> Value:
            """Whether ``cycles`` have passed since ``moving``."""
            now = Mux(left > passed, left - passed, 0)
            m.d.sync += left.eq(count_down(now, now != 0))
            with m.If(moving):
                m.d.sync += left.eq(cycles)
            return now == 0

        written, to_read = afe.dac.valid & afe.dac.ready, afe.dac.payload.channel == Dac.RAIL_A
        with m.If(written):
            m.d.sync += self.read_written.eq(to_read)
        writing = ~afe.dac_idle | ~afe.ready
        dac_settled = settled(self.dac_left, self.dac_cycles, written | writing) & ~writing
        # Gate A only waits for its own rail.
        writing = (self.read_written & ~afe.dac_idle) | ~afe.ready
        moving = (written & to_read) | writing
        read_settled = settled(self.read_left, self.dac_cycles, moving) & ~writing
        switching = self.pending | ~afe.ready
        lines_settled = (
            settled(self.switch_left, self.switch_cycles, afe.latch | tiled | switching)
            & ~switching
        )

        # What stands behind gate B: the rail, or the current source in one of its ranges.
        turned, on_its_way = Signal(), Signal()
        if self.has_source:
            m.d.sync += [self.source.eq(core.source), self.source_range.eq(core.source_range)]
            m.d.comb += [
                turned.eq((core.source != self.source) | (core.source_range != self.source_range)),
                on_its_way.eq(~settled(self.source_left, self.source_cycles, turned)),
            ]
        moving = core.dac.valid | core.switch.valid | core.latch | tiled | turned
        too_high = self.sensing & (self.distance_b > limits[Limit.SENSE])
        causes: dict[Reason, Value] = {
            Reason.BOTH_GATES: core.gate_a & core.gate_b,
            Reason.UNSETTLED: (core.gate_a & ~read_settled)
            | (core.gate_b & (~(dac_settled & lines_settled) | on_its_way)),
            Reason.MOVED: (core.gate_b & moving) | (core.gate_a & core.dac.valid),
            Reason.READ_VOLTAGE: (core.gate_a & (self.distance_a > limits[Limit.READ]))
            | (core.gate_b & too_high),
        }
        if self.geometry.passive:
            causes[Reason.BIAS] = core.gate_b & self.uneven
        return causes

    def _pulse(self, m: Module, passed: Signal) -> dict[Reason, Value]:
        """How long gate B may stay open, and when the next time jump must end.

        The counters follow what is asked and not what is open: where these differ the
        guard stops, and no path leads from all of its checks into a counter. After a stop
        they may be anything until the gate has been closed for a cycle. The current
        source limits by itself what it drives, to microwatts: only the watchdog is for it.
        """
        asked, rail, drove = Signal(), Signal(), Signal()
        m.d.comb += [
            rail.eq(self.core.gate_b & ~(self.core.source & self.has_source)),
            asked.eq(rail & ~self.safe),
            drove.eq(self.was_open & ~self.source & (passed != 0)),
        ]
        width, too_long = self._width(m, passed, asked, drove)
        credit, too_often = self._credit(m, passed, asked, drove)
        energy, too_much = self._energy(m, passed, asked, drove)
        heard, stale = self._silence(m, passed)

        # A jump ends at the nearest limit at the latest.
        is_open, nearest = self.afe.gate_b, width
        for other in (credit, Mux(self.power == 0, width, energy // self.power), heard):
            nearest = Mux(other < nearest, other, nearest)
        m.d.comb += [
            self.timer.start.eq(
                (is_open & (~self.was_open | self.timer.done)) | (~is_open & self.was_open)
            ),
            self.timer.cycles.eq(Mux(is_open, nearest, 1)),
        ]
        return {
            Reason.LINK_LOST: self.core.gate_b & stale,
            Reason.WIDTH: rail & too_long,
            Reason.DUTY: rail & too_often,
            Reason.ENERGY: rail & too_much,
        }

    # Each counter: what it is in this cycle (the skipped ones before it were as the last
    # one), what is left of its limit, and whether nothing is.

    def _width(
        self, m: Module, passed: Signal, asked: Signal, drove: Signal
    ) -> tuple[Value, Value]:
        """Cycles that a pulse may still last: counts down from the limit."""
        left = Signal.like(self.width_left)
        m.d.comb += left.eq(Mux(drove, self.width_left - passed, self.width_left))
        following = count_down(left, asked)
        m.d.sync += self.width_left.eq(Mux(asked, following, self.limits[Limit.WIDTH]))
        return left, ~following[-1]

    def _credit(
        self, m: Module, passed: Signal, asked: Signal, drove: Signal
    ) -> tuple[Value, Value]:
        """Cycles of the gate-on budget that may be spent at once.

        What was spent is whole cycles less what was refilled since, in 2^-15 cycles: with
        the last one of them the refill is whole too, so that it never goes beyond.
        """
        budget, duty = self.limits[Limit.BUDGET], self.limits[Limit.DUTY]
        one, refill = 1 << DUTY_MAX, Signal(DUTY_MAX + 1)
        spent, refilled = Signal.like(self.spent), Signal.like(self.refilled)
        before = (self.spent << DUTY_MAX) - self.refilled
        less = passed * refill
        skipped = Signal(len(spent) + DUTY_MAX)
        m.d.comb += [
            refill.eq(one >> duty),
            skipped.eq(Mux(before > less, before - less, 0)),
            spent.eq(self.spent),
            refilled.eq(self.refilled),
        ]
        with m.If(drove):
            m.d.comb += skipped.eq(before + passed * (one - refill))
        with m.If(passed != 0):
            m.d.comb += [spent.eq((skipped + (one - 1)) >> DUTY_MAX), refilled.eq(-skipped)]
        following = Signal(DUTY_MAX + 1)
        m.d.comb += following.eq(refilled + refill)
        whole = following[-1]
        m.d.sync += [self.spent.eq(spent), self.refilled.eq(refilled)]
        too_often = spent >= budget
        with m.If(Mux(asked, ~too_often, spent != 0)):
            # One adder: one more, one less, or as many.
            less = (whole & ~asked).replicate(len(spent))
            m.d.sync += [
                self.spent.eq(spent + less + (asked & ~whole)),
                self.refilled.eq(following),
            ]
        return Value.cast((budget - spent)[: len(budget)]), too_often

    def _energy(
        self, m: Module, passed: Signal, asked: Signal, drove: Signal
    ) -> tuple[Value, Value]:
        """Energy that a pulse may still have: counts down from the limit.

        The bits that power has are kept inverted, and power is added to them.
        """
        limit, power = Signal.like(self.energy_left), self.power
        m.d.comb += limit.eq(self.limits[Limit.ENERGY] << self.energy_shift)
        bits = len(power)
        left, low = Signal.like(self.energy_left), Signal(bits + 1)
        m.d.comb += [
            self.energy_left.eq(Cat(~self.energy_low, self.energy_high)),
            left.eq(Mux(drove, self.energy_left - passed * power, self.energy_left)),
            low.eq(~left[:bits] + power),
        ]
        high = count_down(left[bits:], asked) + ~low[-1:]
        m.d.sync += [
            self.energy_low.eq(Mux(asked, low, ~limit[:bits])),
            self.energy_high.eq(Mux(asked, high, limit[bits:])),
        ]
        return left, ~high[len(left) - bits]

    def _silence(self, m: Module, passed: Signal) -> tuple[Value, Value]:
        """Cycles until the host has been silent for too long, and one more.

        ``silence`` counts up from all ones less the limit, to all ones but one.
        """
        silence, heard, known = Signal.like(self.silence), self.host.heard, self.known
        most = (1 << len(silence)) - 1
        m.d.comb += silence.eq(self.silence)
        with m.If(passed != 0):
            left = most - self.silence
            m.d.comb += silence.eq(Mux(left > passed, self.silence + passed, most))
        stale = ~known | silence[1:].all()
        with m.If(heard | (passed != 0) | ~stale):
            following = count_up(silence, heard)
            m.d.sync += self.silence.eq(Mux(heard, ~self.limits[Limit.WATCHDOG], following))
        # A lower limit begins with the next good frame: until then the host is silent.
        with m.If(self.host.limit & (self.host.limit_index == Limit.WATCHDOG)):
            m.d.sync += known.eq(0)
        with m.Elif(heard):
            m.d.sync += known.eq(1)
        return Value.cast((most - silence - 1)[: len(silence)]), stale

    def _state(self, m: Module, causes: dict[Reason, Value]) -> None:
        """The safe state, its reason, and the counters of refusals."""
        host = self.host
        cause = Signal(Reason)
        for reason, value in reversed(causes.items()):
            with m.If(value):
                m.d.comb += cause.eq(reason)
        # A DAC write closes either gate as such (MOVED): no path leads from its code there.
        closing = (value for reason, value in causes.items() if reason != Reason.DAC_CODE)
        m.d.comb += [
            self.stop.eq(reduce(or_, causes.values())),
            self.closing.eq(reduce(or_, closing)),
        ]
        counters = [
            Signal(range(REFUSALS_MAX + 1), name=f"refused{i}") for i in range(len(COUNTED))
        ]
        stopped = Signal()
        m.d.sync += stopped.eq(~self.safe & self.stop)
        with m.If(~self.safe), m.If(self.stop):
            m.d.sync += [self.safe.eq(1), self.reason.eq(cause)]
        with m.Elif(host.clear & ~self.stop):
            m.d.sync += self.safe.eq(0)
        # Counted in the cycle after it, by the reason that stands then.
        with m.If(stopped):
            for counter, reasons in zip(counters, COUNTED, strict=True):
                mine = reduce(or_, (self.reason == reason for reason in reasons))
                with m.If(mine & (counter != REFUSALS_MAX)):
                    m.d.sync += counter.eq(counter + 1)

        state = Mux(
            self.safe,
            GuardState.SAFE.value,
            Mux(self.afe.ready, GuardState.OPEN.value, GuardState.STARTING.value),
        )
        m.d.comb += [
            host.safe.eq(self.safe),
            host.cause.eq(self.afe.interlock),
            host.health[0:8].eq(state),
            host.health[8:16].eq(Value.cast(self.reason)),
            *(host.health[16 + 8 * i : 24 + 8 * i].eq(c) for i, c in enumerate(counters)),
            host.health[48:64].eq(self.lowered),
        ]

    def _limits(self, m: Module) -> None:
        """A limit goes down, once, and never below what stands at its channel."""
        host, zero = self.host, self.zero
        raises, locked, excludes = Signal(), Signal(), Signal()
        # A code that is just being written does not stand yet.
        unclear = self.core.dac.valid | ~self.store.known
        # The host looks later.
        m.d.sync += [
            host.limit_raises.eq(raises),
            host.limit_locked.eq(locked),
            host.limit_excludes.eq(excludes),
        ]
        value, index, dac = host.limit_value, host.limit_index, self.core.dac
        one = Const(1, 1)

        def compared(code: Value, low: Value, high: Value) -> tuple[Value, Value]:
            """Whether it is below and above, by adding its complement, which both share."""
            reaches = (Cat(one, high) + Cat(one, ~code))[-1]
            return Value.cast((low + ~code)[-1]), ~reaches

        # With little room one comparison does for a write and for the host. With more, no
        # path leads from whether there is a write into it.
        store, code = self.store, Signal(16)
        channel, written = index[: len(store.channel)], dac.payload
        m.d.comb += [
            store.channel.eq(written.channel),
            store.host_channel.eq(channel),
            store.value.eq(value),
            code.eq(value),
        ]
        if self.geometry.compact:
            m.d.comb += [
                store.channel.eq(Mux(dac.valid, written.channel, channel)),
                code.eq(Mux(dac.valid, written.code, value)),
            ]
        weighed = code if self.geometry.compact else written.code
        m.d.comb += Cat(self.below, self.above).eq(Cat(*compared(weighed, store.low, store.high)))
        below, above = self.below, self.above
        if not self.geometry.compact:
            below, above = compared(code, store.host_low, store.host_high)
        # And those of one register at a time are compared, most of them downwards only.
        present, beyond = Signal(len(value)), Signal()
        taken = host.limit & ~raises & ~locked & ~excludes
        m.d.comb += raises.eq((value + ~present)[len(value)])
        with m.Switch(index):
            for limit in Limit:
                with m.Case(limit):
                    m.d.comb += locked.eq(self.lowered[limit])
                    with m.If(taken):
                        m.d.sync += self.lowered[limit].eq(1)
                    if limit in self.limits:
                        m.d.comb += present.eq(self.limits[limit])
                        with m.If(taken):
                            m.d.sync += self.limits[limit].eq(value)
        m.d.comb += beyond.eq(value[len(code) :].any())
        stands, under = self.codes[channel], Signal()
        m.d.comb += under.eq((stands + ~code)[-1])
        with m.If(index < Limit.HIGH_RAIL_A):
            m.d.comb += [
                store.raise_low.eq(taken),
                raises.eq(below & ~beyond),
                excludes.eq(beyond | ~(under | (code == stands)) | (code > zero) | unclear),
            ]
        with m.Elif(index < Limit.READ):
            m.d.comb += [
                store.lower.eq(taken),
                raises.eq(above | beyond),
                excludes.eq((~beyond & (under | (code < zero))) | unclear),
            ]
        with m.Elif(index == Limit.DUTY):
            m.d.comb += [
                raises.eq(value < self.limits[Limit.DUTY]),
                excludes.eq((value > DUTY_MAX) | unclear),
            ]
        with m.Else():
            m.d.comb += excludes.eq(unclear)
