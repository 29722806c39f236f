"""A front end in Python for the engines' tests, and the simulation that it runs in."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from ohmloom.hw.afe.interface import FrontEndTiming, SwitchGroup
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Dac

CLK_HZ = 1_000_000_000
"""One cycle is a nanosecond, so that a front end's times can be said in cycles."""


def front_end_timing(
    settle: int = 40, dac_settle: int = 12, switch: int = 5, pulse_min: int = 3
) -> FrontEndTiming:
    """A front end's times, in cycles of :data:`CLK_HZ`."""
    return FrontEndTiming(
        settle_ps=1000 * settle,
        dac_settle_ps=1000 * dac_settle,
        switch_ps=1000 * switch,
        convert_ps=1000,
        pulse_min_ps=1000 * pulse_min,
    )


@dataclass(frozen=True)
class Setting:
    """Every switch of the front end: masks of the lines on each way."""

    row_a: int = 0
    row_b: int = 0
    column: int = 0
    gate_program: int = 0
    gate_on: int = 0


_WAYS = {
    SwitchGroup.ROWS: ("row_a", "row_b"),
    SwitchGroup.COLUMNS: ("column", None),
    SwitchGroup.GATES: ("gate_program", "gate_on"),
}


@dataclass(frozen=True)
class Conversion:
    """What the inputs were when they were held: ``cycle`` of the strobe, and the name."""

    cycle: int
    setting: Setting
    gate_a: bool
    tile: int
    inference: int
    epoch: int
    index: int


@dataclass(frozen=True)
class Pulse:
    """A fast gate's pulse: ``width`` cycles from ``cycle`` on, and what stood meanwhile."""

    gate: str
    cycle: int
    width: int
    setting: Setting
    rails: tuple[int, ...]


@dataclass
class FakeFrontEnd:
    """Obeys :class:`FrontEndSignature`, remembers what it saw, and says what was wrong.

    A switch update is loaded ``load_cycles`` after it was accepted; a DAC write
    takes ``dac_cycles``; the samples of a conversion leave in a random order,
    and the next conversion may come ``readout_cycles`` after it. Inputs that are
    converted earlier than ``settle_cycles`` after a row switch still show the
    rows from before it.

    Attributes
    ----------
    code_of : codes of a conversion, one a column
    faults : what the interface forbids and yet happened
    """

    fe: object
    geometry: Geometry
    code_of: Callable[[Conversion], Sequence[int]]
    load_cycles: int = 6
    dac_cycles: int = 7
    readout_cycles: int = 20
    settle_cycles: int = 40
    ready_after: int = 0
    cycle: int = 0
    setting: Setting = Setting()
    rails: list[int] = field(default_factory=lambda: [0x8000] * len(Dac))
    updates: list[tuple[int, SwitchGroup, int, int]] = field(default_factory=list)
    latches: list[tuple[int, SwitchGroup]] = field(default_factory=list)
    conversions: list[Conversion] = field(default_factory=list)
    pulses: list[Pulse] = field(default_factory=list)
    writes: list[tuple[int, Dac, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(1)
        self._update: tuple[SwitchGroup, int, int] | None = None
        self._loaded_at = self._dac_idle_at = self._adc_idle_at = 0
        self._pending_write: tuple[Dac, int] | None = None
        self._rows_before = self.setting
        self._rows_latched_at = -self.settle_cycles
        self._samples: dict[int, tuple[int, int]] = {}
        self._gate_since: dict[str, int] = {}

    async def run(self, ctx) -> None:
        """A background testbench: what the core asked for in a cycle, then the next one."""
        fe = self.fe
        self._drive(ctx)
        while True:
            _, _, *seen = await ctx.tick().sample(
                fe.switch.valid & fe.switch.ready,
                fe.switch.payload.group,
                fe.switch.payload.a,
                fe.switch.payload.b,
                fe.latch,
                fe.dac.valid & fe.dac.ready,
                fe.dac.payload.channel,
                fe.dac.payload.code,
                fe.convert,
                fe.tag.inference,
                fe.tag.epoch,
                fe.tag.index,
                fe.gate_a,
                fe.gate_b,
                fe.tile,
            )
            self._observe(*seen)
            self.cycle += 1
            self._drive(ctx)

    def _fault(self, what: str) -> None:
        self.faults.append(f"cycle {self.cycle}: {what}")

    def _observe(
        self, switch, group, a, b, latch, dac, channel, code,
        convert, inference, epoch, index, gate_a, gate_b, tile,
    ) -> None:  # fmt: skip
        now = self.cycle
        self._gates(gate_a, gate_b, moving=bool(latch or dac or now < self._dac_idle_at))
        if convert:
            if now < self._adc_idle_at:
                self._fault("convert while the converters are busy")
            settled = now >= self._rows_latched_at + self.settle_cycles
            held = Conversion(
                now,
                self.setting if settled else self._rows_before,
                bool(gate_a),
                tile,
                inference,
                epoch,
                index,
            )
            self.conversions.append(held)
            self._adc_idle_at = now + self.readout_cycles
            codes = self.code_of(held)
            order = self._random.sample(range(len(codes)), len(codes))
            first = self._adc_idle_at - 1 - len(codes)
            assert first > now, "too short a read-out for so many columns"
            self._samples = {first + i: (c, codes[c]) for i, c in enumerate(order)}
        if latch:
            if self._update is None or now < self._loaded_at:
                self._fault("latch while nothing is loaded")
            else:
                self._latch(*self._update)
        if switch:
            self._update = (SwitchGroup(group), a, b)
            self._loaded_at = now + self.load_cycles
            self.updates.append((now, *self._update))
        if dac:
            self._pending_write = (Dac(channel), code)
            self._dac_idle_at = now + self.dac_cycles
            self.writes.append((now, *self._pending_write))
        if self._pending_write and now + 1 >= self._dac_idle_at:
            channel, code = self._pending_write
            self.rails[channel], self._pending_write = code, None

    def _latch(self, group: SwitchGroup, a: int, b: int) -> None:
        if group is SwitchGroup.ROWS:
            self._rows_before, self._rows_latched_at = self.setting, self.cycle
        ways = zip(_WAYS[group], (a, b), strict=True)
        change = {way: mask for way, mask in ways if way is not None}
        self.setting = Setting(**{**vars(self.setting), **change})
        self._update = None
        self.latches.append((self.cycle, group))

    def _gates(self, gate_a: int, gate_b: int, moving: bool) -> None:
        if gate_a and gate_b:
            self._fault("both fast gates are open")
        if gate_b and moving:
            self._fault("switches or a DAC move while gate B is open")
        for name, level in (("a", gate_a), ("b", gate_b)):
            if level:
                self._gate_since.setdefault(name, self.cycle)
            elif name in self._gate_since:
                since = self._gate_since.pop(name)
                self.pulses.append(
                    Pulse(name, since, self.cycle - since, self.setting, tuple(self.rails))
                )

    def _drive(self, ctx) -> None:
        fe, now = self.fe, self.cycle
        ctx.set(fe.ready, now >= self.ready_after)
        ctx.set(fe.switch.ready, self._update is None)
        ctx.set(fe.loaded, self._update is not None and now >= self._loaded_at)
        ctx.set(fe.dac.ready, now >= self._dac_idle_at)
        ctx.set(fe.dac_idle, now >= self._dac_idle_at)
        ctx.set(fe.adc_idle, now >= self._adc_idle_at)
        column, code = self._samples.pop(now, (None, 0))
        ctx.set(fe.samples.valid, column is not None)
        ctx.set(fe.samples.payload.column, column or 0)
        ctx.set(fe.samples.payload.code, code & 0xFFFF)


def simulate_clocked(
    dut: Elaboratable, *testbenches: Callable, background: Sequence[Callable] = (), cycles: int
) -> None:
    """Run until every testbench has ended; ``TimeoutError`` after ``cycles`` clock cycles."""
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for testbench in background:
        sim.add_testbench(testbench, background=True)
    for testbench in testbenches:
        sim.add_testbench(testbench)
    for _ in range(2 * cycles):
        if not sim.advance():
            return
    raise TimeoutError(f"the testbench is stuck after {cycles} cycles")
