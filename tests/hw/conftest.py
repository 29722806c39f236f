"""A front end in Python for the engines' tests, and the simulation that it runs in.

Cycles are counted by the timer service's ``now``, so that a time jump moves the
front end by the same time as the core.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from amaranth.hdl import Elaboratable, Signal
from amaranth.sim import Simulator

from ohmloom.hw.afe.interface import FrontEndTiming, SwitchGroup
from ohmloom.hw.isa import Dac

WAYS = {
    SwitchGroup.ROWS: ("row_a", "row_b"),
    SwitchGroup.COLUMNS: ("column",),
    SwitchGroup.GATES: ("gate_program", "gate_on"),
}
"""The masks of a switch group, as :class:`Setting` calls them."""


@dataclass(frozen=True)
class Times:
    """A front end's times in clock cycles; the clock has a period of one nanosecond.

    What the core is told (see :class:`FrontEndTiming`) comes first. Then what it
    must find out from the handshakes: a switch update is loaded ``load`` cycles
    after it was accepted and ``hold`` after a conversion, the next one is accepted
    ``recover`` cycles after its latch, a DAC write takes ``shift`` cycles, and
    conversions may come every ``readout`` cycles.
    """

    settle: int = 40
    dac_settle: int = 12
    switch: int = 5
    pulse_min: int = 3
    load: int = 6
    shift: int = 7
    readout: int = 20
    source: int = 25
    recover: int = 1
    hold: int = 1

    CLK_HZ = 1_000_000_000

    @property
    def timing(self) -> FrontEndTiming:
        return FrontEndTiming(
            settle_ps=1000 * self.settle,
            dac_settle_ps=1000 * self.dac_settle,
            switch_ps=1000 * self.switch,
            pulse_min_ps=1000 * self.pulse_min,
            source_ps=1000 * self.source,
        )


@dataclass(frozen=True)
class Setting:
    """Every switch of the front end: masks of the lines on each way."""

    row_a: int = 0
    row_b: int = 0
    column: int = 0
    gate_program: int = 0
    gate_on: int = 0


@dataclass(frozen=True)
class Conversion:
    """The inputs that were held at ``cycle``, and the name of the conversion."""

    cycle: int
    setting: Setting
    gate_a: int
    tile: int
    tag: tuple[int, int, int]
    """inference, epoch, index"""


@dataclass(frozen=True)
class Pulse:
    """An opening of gate B: ``width`` cycles from ``cycle`` on, and what stood meanwhile."""

    cycle: int
    width: int
    setting: Setting
    rails: dict[Dac, int]
    source: int | None = None
    """Range of the current source, if that is what drove."""


class FakeFrontEnd:
    """Obeys ``FrontEndSignature``, remembers what it saw, and says what was wrong.

    What was switched less than ``settle`` cycles before a conversion has no effect
    on it yet: whoever converts too early gets the codes of the rows before.

    Parameters
    ----------
    fe : interface of ``Out(FrontEndSignature)``
    now : time base of the timer service
    code_of : codes of a conversion, one a column
    times : of this front end, whatever the core has been told
    ready_after : cycle from which on ``ready`` is high

    Attributes
    ----------
    updates, latches, writes, conversions, pulses, sources
        What happened, in order, the first three and the last with their cycle.
    faults : what the interface forbids and yet happened
    """

    def __init__(
        self,
        fe: Any,
        now: Signal,
        code_of: Callable[[Conversion], Sequence[int]],
        times: Times,
        ready_after: int = 0,
    ) -> None:
        self.fe = fe
        self.now = now
        self.code_of = code_of
        self.times = times
        self.ready_after = ready_after
        self.setting = Setting()
        self.rails = dict.fromkeys(Dac, 0x8000)
        self.updates: list[tuple[int, SwitchGroup, int, int]] = []
        self.latches: list[tuple[int, SwitchGroup]] = []
        self.writes: list[tuple[int, Dac, int]] = []
        self.conversions: list[Conversion] = []
        self.pulses: list[Pulse] = []
        self.faults: list[str] = []
        self._random = random.Random(1)
        self._update: tuple[SwitchGroup, int, int] | None = None
        self._write: tuple[Dac, int] | None = None
        self._loaded_at = self._dac_idle_at = self._adc_idle_at = 0
        self._accepts_at = self._sampled_at = 0
        self._rows_before = self.setting
        self._latched_at = dict.fromkeys(SwitchGroup, -times.settle)
        self._samples: dict[int, tuple[int, int]] = {}
        self._opened_at: int | None = None
        self._source: tuple[int, int] = (0, 0)
        self._sourced_at = -times.source
        self.sources: list[tuple[int, int, int]] = []
        self._reading_since = 0

    async def run(self, ctx) -> None:
        """A background testbench."""
        fe = self.fe
        switch, dac, tag = fe.switch.payload, fe.dac.payload, fe.tag
        self._drive(ctx)
        while True:
            # Fixed points of one cycle, so that the order of testbenches does not matter.
            _, _, now, updated, group, a, b, latch, wrote, channel, code, *rest = (
                await ctx.tick().sample(
                    self.now,
                    fe.switch.valid & fe.switch.ready, switch.group, switch.a, switch.b,
                    fe.latch,
                    fe.dac.valid & fe.dac.ready, dac.channel, dac.code,
                    fe.gate_a, fe.gate_b, fe.source, fe.source_range,
                    fe.convert, fe.tile, tag.inference, tag.epoch, tag.index,
                )
            )  # fmt: skip
            gate_a, gate_b, source, source_range, convert, tile, *name = rest
            self._select(now, source, source_range, gate_b)
            self._gates(now, gate_a, gate_b, moving=updated or latch or wrote)
            if convert:
                self._convert(now, gate_a, tile, tuple(name))
            if latch:
                self._latch(now)
            if updated:
                self._update = (SwitchGroup(group), a, b)
                self._loaded_at = now + self.times.load
                self.updates.append((now, *self._update))
            if wrote:
                self._write = (Dac(channel), code)
                self._dac_idle_at = now + self.times.shift
                self.writes.append((now, *self._write))
            self._drive(ctx)

    def _drive(self, ctx) -> None:
        """The inputs of the core in the cycle that begins."""
        fe, now = self.fe, ctx.get(self.now)
        dac_idle, adc_idle = now >= self._dac_idle_at, now >= self._adc_idle_at
        loaded = self._update is not None and now >= max(self._loaded_at, self._sampled_at)
        if dac_idle and self._write is not None:
            self.rails[self._write[0]] = self._write[1]
            self._write = None
        column, code = self._samples.pop(now, (None, 0))
        ctx.set(fe.ready, now >= self.ready_after)
        ctx.set(fe.switch.ready, self._update is None and now >= self._accepts_at)
        ctx.set(fe.loaded, loaded)
        ctx.set(fe.dac.ready, dac_idle)
        ctx.set(fe.dac_idle, dac_idle)
        ctx.set(fe.adc_idle, adc_idle)
        ctx.set(fe.samples.valid, column is not None)
        ctx.set(fe.samples.payload["column"], column or 0)
        ctx.set(fe.samples.payload["code"], code & 0xFFFF)
        loading = self._update is not None and not loaded
        ctx.set(fe.active, loading or not dac_idle or not adc_idle)

    def _latch(self, now: int) -> None:
        if self._update is None or now < max(self._loaded_at, self._sampled_at):
            self.faults.append(f"cycle {now}: latch while nothing is loaded")
            return
        group, *masks = self._update
        if group is SwitchGroup.ROWS:
            self._rows_before = self.setting
        ways = WAYS[group]
        self.setting = replace(self.setting, **dict(zip(ways, masks[: len(ways)], strict=True)))
        self._latched_at[group] = now
        self._accepts_at = now + self.times.recover
        self.latches.append((now, group))
        self._update = None

    def _convert(self, now: int, gate_a: int, tile: int, name: tuple) -> None:
        if now < self._adc_idle_at:
            self.faults.append(f"cycle {now}: convert while the converters are busy")
        if now < max(*self._latched_at.values(), self._reading_since) + self.times.settle:
            self.faults.append(f"cycle {now}: convert before the inputs have settled")
            held = self._rows_before
        else:
            held = self.setting
        conversion = Conversion(now, held, gate_a, tile, name)
        self.conversions.append(conversion)
        self._adc_idle_at = now + self.times.readout
        self._sampled_at = now + self.times.hold
        codes = self.code_of(conversion)
        first = self._adc_idle_at - 1 - len(codes)
        assert first > now, "too short a read-out for so many columns"
        for i, column in enumerate(self._random.sample(range(len(codes)), len(codes))):
            self._samples[first + i] = (column, codes[column])

    def _select(self, now: int, source: int, source_range: int, gate_b: int) -> None:
        chosen = (source, source_range if source else 0)
        if chosen == self._source:
            return
        if gate_b or self._opened_at is not None:
            self.faults.append(f"cycle {now}: the source moves while gate B is open")
        self._source, self._sourced_at = chosen, now
        self.sources.append((now, *chosen))

    def _gates(self, now: int, gate_a: int, gate_b: int, moving: bool) -> None:
        if gate_a and gate_b:
            self.faults.append(f"cycle {now}: both fast gates are open")
        if not gate_a:
            self._reading_since = now + 1
        if not gate_b:
            if self._opened_at is not None:
                width = now - self._opened_at
                source = self._source[1] if self._source[0] else None
                self.pulses.append(
                    Pulse(self._opened_at, width, self.setting, dict(self.rails), source)
                )
                self._opened_at = None
            return
        if moving or now < self._dac_idle_at:
            self.faults.append(f"cycle {now}: switches or rails move while gate B is open")
        switched = max(self._latched_at.values()) + self.times.switch
        sourced = self._sourced_at + self.times.source
        if now < max(switched, sourced, self._dac_idle_at + self.times.dac_settle):
            self.faults.append(f"cycle {now}: gate B is open before the lines have settled")
        if self._opened_at is None:
            self._opened_at = now


def _simulate(
    dut: Elaboratable,
    *testbenches: Callable,
    background: Sequence[Callable] = (),
    cycles: int = 100_000,
) -> None:
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


async def _handshakes(ctx, core: Any) -> dict[str, Any]:
    """Cycles of a front end's handshakes, by the names of ``FrontEndCycles``."""

    async def until(signal) -> int:
        """Cycles from the one before this to that in which ``signal`` is high."""
        for waited in range(1, 10_000):
            if ctx.get(signal):
                return waited
            await ctx.tick()
        raise AssertionError(f"{signal.name} never came")

    async def strobe(signal) -> None:
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def accepted(port) -> None:
        ctx.set(port.valid, 1)
        await until(port.ready)
        await ctx.tick()
        ctx.set(port.valid, 0)

    found: dict[str, Any] = {"write": []}
    for dac in Dac:
        ctx.set(core.dac.payload.channel, dac)
        ctx.set(core.dac.payload.code, 0x8000)
        await accepted(core.dac)
        found["write"].append(await until(core.dac_idle))
    await accepted(core.switch)
    found["load"] = await until(core.loaded)
    await strobe(core.latch)
    found["recover"] = await until(core.switch.ready)
    await accepted(core.switch)
    await until(core.loaded)
    await strobe(core.convert)
    found["hold"] = await until(core.loaded)
    found["readout"] = found["hold"] - 1 + await until(core.adc_idle)
    return found | {"write": tuple(found["write"])}


@pytest.fixture(scope="session")
def handshakes() -> Callable:
    """``await handshakes(ctx, core)``: what a front end that is ready takes."""
    return _handshakes


# Fixtures of the session, since property tests run many examples with one.


@pytest.fixture(scope="session")
def simulate() -> Callable:
    """``simulate(dut, *testbenches, background=(), cycles=...)`` under a watchdog."""
    return _simulate


@pytest.fixture(scope="session")
def front_end() -> type[FakeFrontEnd]:
    """See :class:`FakeFrontEnd`."""
    return FakeFrontEnd


@pytest.fixture(scope="session")
def front_end_times() -> type[Times]:
    """See :class:`Times`."""
    return Times
