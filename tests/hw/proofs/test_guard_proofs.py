"""What the guard guarantees, stated at its outputs, for every behaviour of everything around it.

Each specification holds a guard whose inputs are free in every cycle: engines,
front end and host may do what they like. What it compares with it keeps itself, from
what leaves the guard; it looks inside only for helper invariants, which are proven
with it. The guard is a small one, so that every limit is reached within a few cycles.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import or_
from types import SimpleNamespace

import pytest
from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from ohmloom.hw.afe.interface import Ceilings, FrontEndTiming, SwitchGroup
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.guard import DUTY_MAX, CodeLimits, Guard
from ohmloom.hw.isa import Dac
from ohmloom.hw.link.protocol import RISING, Limit, Reason
from ohmloom.hw.ram import Ram

CLK_HZ = 1_000_000_000
ZERO = 0x8000
GEOMETRY = Geometry(rows=8, columns=8)
TIMING = FrontEndTiming(
    settle_ps=6000, dac_settle_ps=4000, switch_ps=3000, pulse_min_ps=2000, source_ps=5000
)
CEILINGS = Ceilings(
    low=(ZERO - 2, ZERO - 7, ZERO, ZERO - 1),
    high=(ZERO + 3, ZERO + 6, ZERO + 7, ZERO + 5),
    read=2,
    sense=4,
    width_ps=6000,
    budget_ps=9000,
    duty=1,
    energy_ps=40_000,
    watchdog_ps=14_000,
    zero_code=ZERO,
)
PASSIVE_CEILINGS = replace(CEILINGS, low=(ZERO - 2, ZERO - 7, ZERO - 4, ZERO - 3), limiter=5)


class Registers(wiring.Component):
    """A :class:`~ohmloom.hw.ram.Ram` whose words a specification can see."""

    def __init__(self, width: int, depth: int, init: list[int]) -> None:
        self.words = Signal(data.ArrayLayout(width, depth), init=init)
        self.memory = SimpleNamespace(attrs={})
        super().__init__(Ram(width, depth).signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        read, write = self.read, self.write
        same = write.en & (write.addr == read.addr)
        word = self.words[read.addr]
        m.d.sync += read.data.eq(Mux(same, ~word, word))
        with m.If(write.en):
            m.d.sync += self.words[write.addr].eq(write.data)
        return m


class VisibleLimits(CodeLimits):
    memory = Registers


def guard(
    kind: type[Guard] = Guard, compact: bool = False, passive: bool = False, **faults: object
) -> Guard:
    """A small guard, in which the energy limit counts single code x code x cycles."""
    visible = type(kind.__name__, (kind,), {"code_limits": VisibleLimits})
    geometry = replace(GEOMETRY, compact=compact, passive=passive)
    ceilings = PASSIVE_CEILINGS if passive else CEILINGS
    return visible(geometry, TIMING, ceilings, CLK_HZ, energy_shift=0, **faults)


def present_limits(guard: Guard) -> dict[Limit, Value]:
    """The limits as they are, wherever they are kept."""
    low, high = (
        getattr(words, "words", words)
        for words in (guard.store.words["low"], guard.store.words["high"])
    )
    codes: dict[Limit, Value] = {Limit(Limit.LOW_RAIL_A + dac): Value.cast(low[dac]) for dac in Dac}
    codes |= {Limit(Limit.HIGH_RAIL_A + dac): Value.cast(high[dac]) for dac in Dac}
    return codes | guard.limits


class GuardSpec(wiring.Component):
    """A guard with free inputs. A subclass adds assertions in ``check``."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.present = present_limits(guard)
        self.free = {
            "_".join(map(str, path)): value
            for path, member, value in guard.signature.flatten(guard)
            if member.flow is In
            and path[0] not in ("timer", "skipped")
            and not isinstance(value, Const)
        }
        super().__init__({name: In(len(Value.cast(value))) for name, value in self.free.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.guard = self.guard
        for name, value in self.free.items():
            m.d.comb += Value.cast(value).eq(getattr(self, name))
        self.check(m)
        return m

    def check(self, m: Module) -> None:
        raise NotImplementedError

    # What the specification keeps for itself.

    def codes(self, m: Module) -> list[Signal]:
        """The codes that have left, since the front end was ready the last time."""
        afe = self.guard.afe
        codes = [Signal(16, init=ZERO, name=f"sent{n}") for n in range(len(Dac))]
        for n, code in enumerate(codes):
            with m.If(afe.dac.valid & afe.dac.ready & (afe.dac.payload.channel == n)):
                m.d.sync += code.eq(afe.dac.payload.code)
            with m.If(~afe.ready):
                m.d.sync += code.eq(ZERO)
            m.d.comb += Assert(code == self.guard.codes[n])
        return codes

    def lines(self, m: Module) -> dict[SwitchGroup, tuple[Signal, Signal]]:
        """Whether any line of a group is on its way a, and on b."""
        afe = self.guard.afe
        group = Signal(SwitchGroup)
        loaded = [Signal(name=f"loaded_{way}") for way in "ab"]
        with m.If(afe.switch.valid & afe.switch.ready):
            m.d.sync += group.eq(afe.switch.payload.group)
            m.d.sync += [
                way.eq(mask.any())
                for way, mask in zip(
                    loaded, (afe.switch.payload.a, afe.switch.payload.b), strict=True
                )
            ]
        update = self.guard.update
        m.d.comb += [Assert(Value.cast(group) == Value.cast(update.group))]
        m.d.comb += [Assert(loaded[0] == update.a), Assert(loaded[1] == update.b)]
        ways = {}
        for each in SwitchGroup:
            ways[each] = tuple(Signal(name=f"{each.name}_{way}") for way in "ab")
            for way, there in zip(ways[each], loaded, strict=True):
                with m.If(afe.latch & afe.loaded & (group == each)):
                    m.d.sync += way.eq(there)
                with m.If(~afe.ready):
                    m.d.sync += way.eq(0)
        m.d.comb += [
            Assert(ways[SwitchGroup.COLUMNS][0] == self.guard.sensing),
            Assert(ways[SwitchGroup.GATES][0] == self.guard.on_program),
            Assert(ways[SwitchGroup.GATES][1] == self.guard.on_on),
        ]
        return ways

    def limits(self, m: Module) -> None:
        """Helper: the limits are never laxer than the ceilings, and 0 V is always allowed."""
        store = self.guard.store
        if store.compact:
            for words in store.words.values():
                word = words.words[store.asked]
                m.d.comb += Assert(store.unread | (words.read.data == word))
        for limit, present in self.present.items():
            ceiling = self.guard.ceilings[limit]
            m.d.comb += Assert(present >= ceiling if limit in RISING else present <= ceiling)
            if limit < Limit.HIGH_RAIL_A:
                m.d.comb += Assert(present <= ZERO)
            elif limit < Limit.READ:
                m.d.comb += Assert(present >= ZERO)
            elif limit is Limit.DUTY:
                m.d.comb += Assert(present <= DUTY_MAX)

    def standing(self, m: Module, codes: list[Signal]) -> None:
        """Helper: the codes are within the limits."""
        limits = self.present
        for n, code in enumerate(codes):
            low, high = Limit(Limit.LOW_RAIL_A + n), Limit(Limit.HIGH_RAIL_A + n)
            m.d.comb += Assert((code >= limits[low]) & (code <= limits[high]))

    def limit_of_pulse(self, m: Module, limit: Limit) -> Signal:
        """A limit as it stood before the pulse, in which it does not change."""
        guard, most = self.guard, ceiling(limit)
        held = Signal(range(most + 1), init=most, name=f"{limit.name.lower()}_before")
        with m.If(~guard.core.gate_b | guard.afe.source | guard.safe):
            m.d.sync += held.eq(guard.limits[limit])
        m.d.comb += Assert(held <= most)
        self.started = Signal()
        m.d.sync += self.started.eq(1)
        return held

    def distance(self, code: Signal) -> Value:
        return Mux(code > ZERO, code - ZERO, ZERO - code)

    def biases(self, codes: list[Signal], lines: dict) -> tuple[Value, Value, Value]:
        """Rail B, the columns on GATE_PROGRAM and those on GATE_ON, in codes from 0 V."""
        on_program, on_on = lines[SwitchGroup.GATES]
        rail, program, on = (
            codes[dac] - ZERO for dac in (Dac.RAIL_B, Dac.GATE_PROGRAM, Dac.GATE_ON)
        )
        return rail, Mux(on_program, program, 0), Mux(on_on, on, 0)

    def uneven(self, codes: list[Signal], lines: dict) -> Value:
        """In a passive array: whether a cell that is not selected gets too much."""
        rail, program, on = self.biases(codes, lines)
        others = (rail - on, program, on)
        beyond = (2 * abs(value) > abs(rail - program) + 1 for value in others)
        biased = Cat(lines[SwitchGroup.GATES]).any()
        return reduce(or_, beyond) | (lines[SwitchGroup.COLUMNS][0] & biased)

    def known(self, m: Module, fact: Value) -> None:
        """Helper: what follows by one register from codes, and with bias from lines."""
        guard = self.guard
        waiting = guard.dac_left < guard.dac_cycles
        if guard.geometry.passive:
            waiting &= guard.switch_left < guard.switch_cycles
        with m.If(waiting):
            m.d.comb += Assert(fact)

    def volts(self, codes: list[Signal], lines: dict) -> Value:
        """Distance from 0 V of what a selected cell gets."""
        if not self.guard.geometry.passive:
            return self.distance(codes[Dac.RAIL_B])
        rail, program, _ = self.biases(codes, lines)
        return Value.cast(abs(rail - program))


def ceiling(limit: Limit) -> int:
    """The small guard's ceiling, from :data:`CEILINGS` and not from the guard."""
    if limit < Limit.HIGH_RAIL_A:
        return CEILINGS.low[limit]
    if limit < Limit.READ:
        return CEILINGS.high[limit - Limit.HIGH_RAIL_A]
    return {
        Limit.READ: CEILINGS.read,
        Limit.SENSE: CEILINGS.sense,
        Limit.WIDTH: 6,
        Limit.BUDGET: 9,
        Limit.DUTY: CEILINGS.duty,
        Limit.ENERGY: 40,
        Limit.WATCHDOG: 14,
    }[limit]


class CodesAreWithinLimits(GuardSpec):
    """No code leaves that is outside its channel's ceiling or present limit, none stands there."""

    def check(self, m: Module) -> None:
        afe, limits = self.guard.afe, self.present
        self.limits(m)
        for n, code in enumerate(self.codes(m)):
            low, high = Limit(Limit.LOW_RAIL_A + n), Limit(Limit.HIGH_RAIL_A + n)
            m.d.comb += [
                Assert((code >= ceiling(low)) & (code <= ceiling(high))),
                Assert((code >= limits[low]) & (code <= limits[high])),
                Cover(code == ceiling(low)),
                Cover(code == ceiling(high)),
            ]
            with m.If(afe.dac.valid & (afe.dac.payload.channel == n)):
                sent = afe.dac.payload.code
                m.d.comb += Assert((sent >= ceiling(low)) & (sent <= ceiling(high)))
                m.d.comb += Assert((sent >= limits[low]) & (sent <= limits[high]))


class WhatPassesIsWhatWasAsked(GuardSpec):
    """Nothing leaves that was not asked in that cycle, and it leaves unchanged."""

    def check(self, m: Module) -> None:
        core, afe = self.guard.core, self.guard.afe
        for out, asked in ((afe.dac, core.dac), (afe.switch, core.switch)):
            with m.If(out.valid):
                m.d.comb += [
                    Assert(asked.valid),
                    Assert(Value.cast(out.payload) == Value.cast(asked.payload)),
                    Cover(out.ready),
                ]
        with m.If(afe.switch.valid):
            m.d.comb += Assert((afe.switch.payload.a & afe.switch.payload.b) == 0)
        for name in ("latch", "convert", "gate_a", "gate_b"):
            with m.If(getattr(afe, name)):
                m.d.comb += [Assert(getattr(core, name)), Cover(getattr(core, name))]
        m.d.comb += [Assert(afe.tile == core.tile), Assert(afe.range == core.range)]
        m.d.comb += Assert(afe.source == core.source)
        m.d.comb += Assert(afe.source_range == core.source_range)


class GatesExcludeEachOther(GuardSpec):
    """The two gates are never open together."""

    def check(self, m: Module) -> None:
        afe = self.guard.afe
        m.d.comb += [Assert(~(afe.gate_a & afe.gate_b)), Cover(afe.gate_a), Cover(afe.gate_b)]


class NothingMovesInAPulse(GuardSpec):
    """While gate B is open no DAC, switch, latch, tile or source moves; while A is, no DAC does."""

    def check(self, m: Module) -> None:
        afe = self.guard.afe
        tile, source, source_range = Signal(12), Signal(), Signal(2)
        m.d.sync += [
            tile.eq(afe.tile),
            source.eq(afe.source),
            source_range.eq(afe.source_range),
        ]
        with m.If(afe.gate_b):
            m.d.comb += Assert(~afe.dac.valid & ~afe.switch.valid & ~afe.latch)
            m.d.comb += Assert((afe.source == source) & (afe.source_range == source_range))
            m.d.comb += [Assert(afe.tile == tile), Cover(afe.convert)]
        with m.If(afe.gate_a):
            m.d.comb += [Assert(~afe.dac.valid), Cover(afe.latch)]


class OpenGatesHaveSettled(GuardSpec):
    """Before gate B opens, all DACs and lines have settled; before gate A, its own rail."""

    def check(self, m: Module) -> None:
        guard, afe = self.guard, self.guard.afe
        dac_cycles, switch_cycles, source_cycles = 4, 3, 5

        def since(moving: Value, cycles: int, name: str, init: int = 0) -> Signal:
            """Cycles since ``moving``, up to ``cycles``."""
            passed = Signal(range(cycles + 1), name=name, init=init)
            with m.If(moving):
                m.d.sync += passed.eq(0)
            with m.Elif(passed != cycles):
                m.d.sync += passed.eq(passed + 1)
            m.d.comb += Assert(passed <= cycles)
            return passed

        written = afe.dac.valid & afe.dac.ready
        to_a = afe.dac.payload.channel == Dac.RAIL_A
        a_last = Signal()
        with m.If(written):
            m.d.sync += a_last.eq(to_a)
        m.d.comb += Assert(a_last == guard.read_written)
        busy = ~afe.dac_idle | ~afe.ready
        a_busy = (a_last & ~afe.dac_idle) | ~afe.ready
        any_dac = since(written | busy, dac_cycles, "any_dac")
        rail_a = since((written & to_a) | a_busy, dac_cycles, "rail_a")

        tile = Signal(12)
        m.d.sync += tile.eq(afe.tile)
        pending = Signal()
        with m.If(afe.switch.valid & afe.switch.ready):
            m.d.sync += pending.eq(1)
        with m.If((afe.latch & afe.loaded) | ~afe.ready):
            m.d.sync += pending.eq(0)
        m.d.comb += [Assert(pending == guard.pending), Assert(tile == guard.tile)]
        moving = afe.latch | (afe.tile != tile) | pending | ~afe.ready
        lines = since(moving, switch_cycles, "lines")

        source, source_range, turning = Signal(), Signal(2), Signal()
        m.d.sync += [source.eq(afe.source), source_range.eq(afe.source_range)]
        m.d.comb += turning.eq((afe.source != source) | (afe.source_range != source_range))
        m.d.comb += [Assert(source == guard.source), Assert(source_range == guard.source_range)]
        # Before its first change it has been where it is for ever.
        line = since(turning, source_cycles, "line", init=source_cycles)

        # Invariants: what the guard still waits for makes up for what has not passed.
        m.d.comb += [
            Assert(any_dac + guard.dac_left >= dac_cycles),
            Assert(rail_a + guard.read_left >= dac_cycles),
            Assert(lines + guard.switch_left >= switch_cycles),
            Assert(line + guard.source_left >= source_cycles),
        ]
        with m.If(afe.gate_b):
            m.d.comb += [
                Assert(any_dac == dac_cycles),
                Assert(lines == switch_cycles),
                Assert((line == source_cycles) & ~turning),
                Assert(~pending & ~busy),
                Cover(guard.sensing),
                Cover(source),
            ]
        with m.If(afe.gate_a):
            m.d.comb += [Assert(rail_a == dac_cycles), Assert(~a_busy), Cover(busy)]


class ReadingIsGentle(GuardSpec):
    """Gate A is open only under the read limit; gate B, while a column senses, under its own."""

    def check(self, m: Module) -> None:
        guard, afe = self.guard, self.guard.afe
        self.limits(m)
        codes, lines = self.codes(m), self.lines(m)
        sensing = lines[SwitchGroup.COLUMNS][0]
        self.standing(m, codes)
        self.pipeline(m, codes, lines)
        rail_a, rail_b = (self.distance(codes[n]) for n in (Dac.RAIL_A, Dac.RAIL_B))
        with m.If(afe.gate_a):
            m.d.comb += [Assert(rail_a <= ceiling(Limit.READ)), Cover(rail_a == 2)]
            m.d.comb += Assert(rail_a <= guard.limits[Limit.READ])
        with m.If(afe.gate_b & sensing):
            highest = 1 if guard.geometry.passive else 4
            m.d.comb += [Assert(rail_b <= ceiling(Limit.SENSE)), Cover(rail_b == highest)]
            m.d.comb += Assert(rail_b <= guard.limits[Limit.SENSE])

    def pipeline(self, m: Module, codes: list[Signal], lines: dict) -> None:
        """Helper: once a code has stood for a cycle, its distance is known."""
        guard = self.guard
        with m.If(guard.read_left < guard.dac_cycles):
            m.d.comb += Assert(guard.distance_a == self.distance(codes[Dac.RAIL_A]))
        self.known(m, guard.distance_b == self.volts(codes, lines))
        if guard.geometry.passive:
            self.known(m, guard.uneven == self.uneven(codes, lines))


class OthersGetHalf(GuardSpec):
    """In a passive array no cell gets more than half of what the selected one gets.

    Cells of the selected row see rail B against the other columns, those of the selected
    column GATE_PROGRAM, all others what the other columns have. Half is rounded up to a
    code. A biased column is on no TIA.
    """

    def check(self, m: Module) -> None:
        guard, afe = self.guard, self.guard.afe
        self.limits(m)
        codes, lines = self.codes(m), self.lines(m)
        self.standing(m, codes)
        self.known(m, guard.uneven == self.uneven(codes, lines))
        rail, program, on = self.biases(codes, lines)
        selected = abs(rail - program)
        with m.If(afe.gate_b):
            for volts in (rail - on, program, on):
                m.d.comb += Assert(2 * abs(volts) <= selected + 1)
            m.d.comb += Assert(
                ~lines[SwitchGroup.COLUMNS][0] | ~Cat(lines[SwitchGroup.GATES]).any()
            )
            m.d.comb += [Cover((selected == 6) & (on == 0)), Cover((selected == 6) & (on == 2))]


class PulsesAreShort(GuardSpec):
    """Gate B is never open on the rail for longer than the width limit."""

    def check(self, m: Module) -> None:
        guard, afe = self.guard, self.guard.afe
        longest = ceiling(Limit.WIDTH)
        opened = Signal(range(2 * longest + 2))
        m.d.sync += opened.eq(Mux(afe.gate_b & ~afe.source, opened + 1, 0))
        self.limits(m)
        m.d.comb += [
            Assert(~guard.safe | (opened == 0)),
            Assert(opened <= longest),
            Cover(opened == longest),
        ]
        # In a pulse no limit changes but for the next one.
        limit = self.limit_of_pulse(m, Limit.WIDTH)
        with m.If(self.started & ~guard.safe):
            m.d.comb += Assert(opened + guard.width_left == limit)
        with m.If(afe.gate_b & ~afe.source):
            m.d.comb += Assert(opened < limit)
        # What the limit is not for.
        long = Signal(4)
        m.d.sync += long.eq(Mux(afe.gate_b, Mux(long == 15, 15, long + 1), 0))
        m.d.comb += Cover(long > longest)


class PulsesAreRare(GuardSpec):
    """In every span of time gate B is open on the rail for the budget plus its refill at most.

    A leaky bucket into which each open cycle goes and from which the refill leaks is,
    at its fullest, how far any span so far has been ahead of its refill.
    """

    def check(self, m: Module) -> None:
        guard, afe = self.guard, self.guard.afe
        one = 1 << DUTY_MAX
        cap, refill = ceiling(Limit.BUDGET) << DUTY_MAX, one >> ceiling(Limit.DUTY)
        bucket, following = Signal(24), Signal(25)
        m.d.comb += following.eq(bucket + Mux(afe.gate_b & ~afe.source, one, 0))
        m.d.sync += bucket.eq(Mux(following > refill, following - refill, 0))
        self.limits(m)
        spent, refilled, duty = guard.spent, guard.refilled, guard.limits[Limit.DUTY]
        m.d.comb += [
            Assert(bucket <= cap),
            Assert(bucket + refilled <= spent << DUTY_MAX),
            Assert(spent <= ceiling(Limit.BUDGET)),
            # What was refilled is a multiple of the refill.
            Assert((refilled & ((one >> duty) - 1)[:DUTY_MAX]) == 0),
            Cover(bucket >= 4 << DUTY_MAX),
        ]


class PulsesHaveLittleEnergy(GuardSpec):
    """|V| of rail B, times the highest gate voltage that is on, times the width is bounded.

    Of the rail's pulses: the current source is no voltage.
    """

    def check(self, m: Module) -> None:
        guard, afe = self.guard, self.guard.afe
        self.limits(m)
        codes, lines = self.codes(m), self.lines(m)
        on_program, on_on = lines[SwitchGroup.GATES]

        def above(code: Signal) -> Value:
            return Mux(code > ZERO, code - ZERO, 0)

        program = Mux(on_program, above(codes[Dac.GATE_PROGRAM]), 0)
        on = Mux(on_on, above(codes[Dac.GATE_ON]), 0)
        gate = Signal(3)
        volts = Signal(4)
        power = Signal(7)
        passive = guard.geometry.passive
        m.d.comb += [
            gate.eq(PASSIVE_CEILINGS.limiter if passive else Mux(program > on, program, on)),
            volts.eq(self.volts(codes, lines)),
            power.eq(gate * volts),
        ]
        energy = Signal(12)
        on_the_rail = afe.gate_b & ~afe.source
        m.d.sync += energy.eq(Mux(on_the_rail, energy + power, 0))
        limit = self.limit_of_pulse(m, Limit.ENERGY)
        m.d.comb += [
            Assert(energy <= ceiling(Limit.ENERGY)),
            Assert(guard.safe | ~self.started | (energy + guard.energy_left == limit)),
            Cover((energy == ceiling(Limit.ENERGY)) & (power == (10 if passive else 8))),
        ]
        with m.If(on_the_rail):
            m.d.comb += Assert(energy + power <= limit)
        # Invariants: the codes are known, and each register follows the one before it.
        self.standing(m, codes)
        self.known(m, guard.distance_b == volts)
        with m.If((guard.dac_left < guard.dac_cycles) & (guard.switch_left < guard.switch_cycles)):
            m.d.comb += Assert(guard.gate_volts == gate)
        with m.If(
            (guard.dac_left < guard.dac_cycles - 1) & (guard.switch_left < guard.switch_cycles - 1)
        ):
            m.d.comb += Assert(guard.power == power)


class StopsCloseAtOnce(GuardSpec):
    """An open interlock, an abort or a request closes both gates in its own cycle.

    So does a host that has been silent for the watchdog's time, for gate B. In the next
    cycle the guard is safe, and nothing leaves it then.
    """

    def check(self, m: Module) -> None:
        guard, afe, host = self.guard, self.guard.afe, self.guard.host
        longest = ceiling(Limit.WATCHDOG)
        self.limits(m)
        silence = Signal(range(longest + 1), init=longest)
        with m.If(host.heard):
            m.d.sync += silence.eq(1)
        with m.Elif(silence != longest):
            m.d.sync += silence.eq(silence + 1)
        present = guard.limits[Limit.WATCHDOG]
        # What is left, and one more; a lower limit begins with the next good frame.
        left = (1 << len(guard.silence)) - 1 - guard.silence
        counted = Mux(left > 1, silence + left == present + 1, silence >= present)
        m.d.comb += [Assert(silence <= longest), Assert(~guard.known | counted)]
        stop = Signal()
        stopped, was_open = Signal(), Signal()
        m.d.comb += stop.eq(afe.interlock | host.abort | guard.core.safe)
        m.d.sync += [stopped.eq(stop), was_open.eq(afe.gate_b)]
        refused = guard.core.gate_b & ~afe.gate_b & ~guard.safe
        refused_before = Signal()
        m.d.sync += refused_before.eq(refused)
        quiet = ~(afe.gate_a | afe.gate_b | afe.dac.valid | afe.switch.valid | afe.latch)
        m.d.comb += [
            Assert(~stop | ~(afe.gate_a | afe.gate_b)),
            Assert(~stopped | guard.safe),
            Assert(~refused_before | guard.safe),
            Assert(~guard.safe | (quiet & ~afe.convert)),
            Assert(afe.safe == guard.safe),
            Assert(~afe.gate_b | ((silence < longest) & (silence < present))),
            Cover(was_open & stop),
            Cover(was_open & refused & (guard.reason == Reason.NONE) & (silence >= 2)),
            Cover(was_open & (silence == longest)),
        ]


class TheSafeStateIsLeftOnlyByTheHost(GuardSpec):
    """The safe state ends only in the cycle after a clear, with the cause gone."""

    def check(self, m: Module) -> None:
        guard, afe, host = self.guard, self.guard.afe, self.guard.host
        was_safe, cleared = Signal(), Signal()
        m.d.sync += [
            was_safe.eq(guard.safe),
            cleared.eq(host.clear & ~afe.interlock & ~host.abort),
        ]
        ended = was_safe & ~guard.safe
        m.d.comb += [Assert(~ended | cleared), Cover(ended)]
        m.d.comb += Assert(~was_safe | ~ended | ~afe.gate_b | ~afe.gate_a)


class LimitsGoDownOnce(GuardSpec):
    """No limit ever becomes laxer, and each changes once at most."""

    def check(self, m: Module) -> None:
        guard = self.guard
        self.limits(m)
        for limit, present in self.present.items():
            before = Signal(len(present), init=ceiling(limit), name=f"before_{limit.name}")
            changes = Signal(2, name=f"changes_{limit.name}")
            changed = present != before
            m.d.sync += before.eq(present)
            with m.If(changed & (changes != 3)):
                m.d.sync += changes.eq(changes + 1)
            m.d.comb += [
                Assert(present >= before if limit in RISING else present <= before),
                Assert(changes + changed <= 1),
                Assert(~(changed | (changes != 0)) | guard.lowered[limit]),
            ]
            # GATE_PROGRAM begins at 0 V, below which no limit can come.
            if limit is not Limit.LOW_GATE_PROGRAM:
                m.d.comb += Cover(changed)
            # Invariants: what has not been written is the ceiling.
            with m.If(~guard.lowered[limit]):
                m.d.comb += Assert(present == ceiling(limit))


# Guards with a planted fault, one for each specification.


class Without(Guard):
    """A planted fault: one reason is overlooked."""

    def __init__(self, *arguments, overlooked: Reason, **options) -> None:
        super().__init__(*arguments, **options)
        self.overlooked = overlooked

    def _state(self, m: Module, causes: dict[Reason, Value]) -> None:
        super()._state(
            m, {reason: value for reason, value in causes.items() if reason != self.overlooked}
        )


class Loose(Without):
    """A planted fault: one reason is overlooked, and no request is held back by itself."""

    def _codes(self, m: Module) -> dict[Reason, Value]:
        causes = super()._codes(m)
        core, afe = self.core, self.afe
        m.d.comb += [
            afe.dac.valid.eq(core.dac.valid & ~self.safe),
            afe.switch.valid.eq(core.switch.valid & ~self.safe),
            afe.latch.eq(core.latch & ~self.safe),
        ]
        return causes


class Impatient(Guard):
    """A planted fault: DACs get a cycle less than they need."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.dac_cycles -= 1


class Hasty(Guard):
    """A planted fault: the source gets a cycle less than it needs."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.source_cycles -= 1


class Generous(Guard):
    """A planted fault: the budget is refilled in every cycle."""

    def _pulse(self, m: Module, passed: Signal) -> dict[Reason, Value]:
        causes = super()._pulse(m, passed)
        m.d.sync += self.spent.eq(0)
        return causes


class Sluggish(Guard):
    """A planted fault: a stop takes effect a cycle late."""

    def _state(self, m: Module, causes: dict[Reason, Value]) -> None:
        late = Signal()
        m.d.sync += late.eq(causes[Reason.ABORT])
        super()._state(m, causes | {Reason.ABORT: late})


class Forgiving(Guard):
    """A planted fault: an abort after a while is no longer a reason."""

    def _state(self, m: Module, causes: dict[Reason, Value]) -> None:
        super()._state(m, causes)
        with m.If(self.safe & ~self.stop & ~self.afe.dac_idle):
            m.d.sync += self.safe.eq(0)


class Lax(Guard):
    """A planted fault: a profile may raise the width."""

    def _limits(self, m: Module) -> None:
        super()._limits(m)
        width = self.limits[Limit.WIDTH]
        with m.If(self.host.limit & (self.host.limit_index == Limit.WIDTH)):
            m.d.sync += width.eq(self.host.limit_value)


class Twice(Guard):
    """A planted fault: a limit can be lowered again and again."""

    def _limits(self, m: Module) -> None:
        super()._limits(m)
        read = self.limits[Limit.READ]
        mine = self.host.limit & (self.host.limit_index == Limit.READ)
        with m.If(mine & (self.host.limit_value < read)):
            m.d.sync += read.eq(self.host.limit_value)


class Rewriting(Guard):
    """A planted fault: one bit of a DAC code is lost on its way."""

    def _codes(self, m: Module) -> dict[Reason, Value]:
        causes = super()._codes(m)
        m.d.comb += self.afe.dac.payload.code.eq(self.core.dac.payload.code & 0xFFFE)
        return causes


SPECS = {
    CodesAreWithinLimits: 2,
    WhatPassesIsWhatWasAsked: 1,
    GatesExcludeEachOther: 1,
    NothingMovesInAPulse: 1,
    OpenGatesHaveSettled: 2,
    ReadingIsGentle: 3,
    PulsesAreShort: 2,
    PulsesAreRare: 2,
    PulsesHaveLittleEnergy: 4,
    StopsCloseAtOnce: 2,
    TheSafeStateIsLeftOnlyByTheHost: 2,
    LimitsGoDownOnce: 2,
}
"""Depth of the induction of each specification."""
COVER_DEPTH = 40
FAST = CodesAreWithinLimits
"""The one whose proof is part of every test run."""

FAULTS = [
    (CodesAreWithinLimits, Loose, {"overlooked": Reason.DAC_CODE}),
    (WhatPassesIsWhatWasAsked, Rewriting, {}),
    (WhatPassesIsWhatWasAsked, Loose, {"overlooked": Reason.SWITCH_CODE}),
    (GatesExcludeEachOther, Without, {"overlooked": Reason.BOTH_GATES}),
    (NothingMovesInAPulse, Loose, {"overlooked": Reason.MOVED}),
    (OpenGatesHaveSettled, Impatient, {}),
    (OpenGatesHaveSettled, Hasty, {}),
    (OpenGatesHaveSettled, Without, {"overlooked": Reason.UNSETTLED}),
    (ReadingIsGentle, Without, {"overlooked": Reason.READ_VOLTAGE}),
    (PulsesAreShort, Without, {"overlooked": Reason.WIDTH}),
    (PulsesAreRare, Generous, {}),
    (PulsesAreRare, Without, {"overlooked": Reason.DUTY}),
    (PulsesHaveLittleEnergy, Without, {"overlooked": Reason.ENERGY}),
    (StopsCloseAtOnce, Sluggish, {}),
    (StopsCloseAtOnce, Without, {"overlooked": Reason.INTERLOCK}),
    (StopsCloseAtOnce, Without, {"overlooked": Reason.LINK_LOST}),
    (TheSafeStateIsLeftOnlyByTheHost, Forgiving, {}),
    (LimitsGoDownOnce, Lax, {}),
    (LimitsGoDownOnce, Twice, {}),
]


PASSIVE = {OthersGetHalf: 3, ReadingIsGentle: 3, PulsesHaveLittleEnergy: 4}
"""What is different in the guard of a passive array, and the depth of its induction."""
PASSIVE_FAULTS = [
    (OthersGetHalf, Reason.BIAS),
    (ReadingIsGentle, Reason.READ_VOLTAGE),
    (PulsesHaveLittleEnergy, Reason.ENERGY),
]


def slow_but(fast: type[GuardSpec] | None, specs) -> list:
    return [
        pytest.param(spec, id=spec.__name__, marks=() if spec is fast else pytest.mark.slow)
        for spec in specs
    ]


SIZES = pytest.mark.parametrize("compact", [False, True], ids=["fast", "compact"])


@SIZES
@pytest.mark.parametrize("spec", slow_but(FAST, SPECS))
def test_it_holds_for_ever(assert_formal, spec, compact):
    assert_formal(spec(guard(compact=compact)), depth=SPECS[spec])


@SIZES
@pytest.mark.parametrize("spec", slow_but(None, SPECS))
def test_what_it_speaks_of_can_happen(assert_formal, spec, compact):
    assert_formal(spec(guard(compact=compact)), depth=COVER_DEPTH, mode="cover")


@SIZES
@pytest.mark.parametrize(
    ("spec", "kind", "options"),
    [
        pytest.param(
            spec,
            kind,
            options,
            id="-".join([spec.__name__, kind.__name__, *(o.name for o in options.values())]),
            marks=pytest.mark.slow,
        )
        for spec, kind, options in FAULTS
    ],
)
def test_it_finds_a_guard_that_does_not(assert_formal, spec, kind, options, compact):
    with pytest.raises(AssertionError, match="failed assertion"):
        assert_formal(spec(guard(kind, compact, **options)), depth=COVER_DEPTH, mode="bmc")


@pytest.mark.parametrize("spec", slow_but(OthersGetHalf, PASSIVE))
def test_it_holds_for_ever_in_a_passive_array(assert_formal, spec):
    assert_formal(spec(guard(passive=True)), depth=PASSIVE[spec])


@pytest.mark.parametrize("spec", slow_but(None, PASSIVE))
def test_what_it_speaks_of_can_happen_in_a_passive_array(assert_formal, spec):
    assert_formal(spec(guard(passive=True)), depth=COVER_DEPTH, mode="cover")


@pytest.mark.parametrize(
    ("spec", "overlooked"),
    [
        pytest.param(spec, reason, id=f"{spec.__name__}-{reason.name}", marks=pytest.mark.slow)
        for spec, reason in PASSIVE_FAULTS
    ],
)
def test_it_finds_a_guard_of_a_passive_array_that_does_not(assert_formal, spec, overlooked):
    kind = guard(Without, passive=True, overlooked=overlooked)
    with pytest.raises(AssertionError, match="failed assertion"):
        assert_formal(spec(kind), depth=COVER_DEPTH, mode="bmc")


def test_every_specification_has_a_planted_fault():
    assert {spec for spec, _ in PASSIVE_FAULTS} == set(PASSIVE)
    assert {spec for spec, _, _ in FAULTS} == set(SPECS)
