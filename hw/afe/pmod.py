"""A front end of off-the-shelf parts for a few 1T1R cells on a breadboard.

A Pmod DA4 (AD5628) gives the two rails and the mid-rail that is the array's 0 V; analog
switches on FPGA pins put each row on a rail or on mid-rail and each column on its TIA or
on the compliance node; the gate of every column is an FPGA pin; Pmod AD1 boards (two
AD7476A each) read the TIAs, all at the same moment, or a ULX3S's own MAX11125 does, one
after the other. I_cc is one of a few fixed resistors
between compliance node and mid-rail. The parts' numbers are in their drivers;
``docs/pmod.md`` has bill of materials, wiring and limits.

Codes are left-aligned: a 16-bit rail code loses its lowest four bits, and a 12-bit
conversion is the upper 12 bits of a two's-complement code whose lower four are zero. A
conversion within ``CLIP_CODES`` of either end is reported as the 16-bit rail, since the
amplifier before the converter does not reach the end itself.
"""

from __future__ import annotations

import math
from enum import Enum

from amaranth import Array, Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ..cycles import FrontEndCycles
from ..geometry import Geometry, GeometryError
from ..isa import Dac
from ..settle import settle_by_range
from . import ad5628, ad7476a, max11125
from .interface import (
    Ceilings,
    FrontEndSignature,
    FrontEndTiming,
    PlaneStep,
    SwitchGroup,
    TimerChannel,
    cycles_from_ps,
)

STEP = 2
"""Lines come in twos: a Pmod AD1 has two converters."""
MAX_LINES = 8
"""Rows and columns at most: 2R + 3C + 8 pins, and what a breadboard holds."""

T_ON_PS = 100_000
"""assumed: ADG733 and ADG704 at 3.3 V, above their sheets' 40 ns class; break before make."""
TIA_BANDWIDTH_HZ = 30_000
"""assumed: by choice of the feedback capacitor, C_f = 1 / (2 pi R_f 30 kHz)."""
STAGE_BANDWIDTH_HZ = 400_000
"""assumed: MCP6002, 1 MHz gain-bandwidth, as inverting stage of gain 1.5: 1 MHz / 2.5."""
FILTER_BANDWIDTH_HZ = 500_000
FILTER_POLES = 2
"""assumed: the two-pole 500 kHz filter before each converter of a Pmod AD1."""
SETTLE_TAUS = math.log(2**17)
"""Time constants until the remainder of a full-scale step is half an LSB of 16 bits, so
that it changes a 12-bit code in one conversion of 32 at most."""
PULSE_MIN_PS = 1_000_000
"""assumed: ten switching times, so that their spread is 10 % of the shortest pulse at most."""
CLIP_CODES = 64
"""assumed: 52 mV of 3.3 V; an MCP6002 reaches 25 mV from its supplies."""

ZERO_CODE = 0x8000
READ_CODES = round(0.5 * ZERO_CODE / (ad5628.FULL_SCALE_V / 2))
"""assumed: 0.5 V of 1.25 V, above the read voltage of every device that could be served."""
GATE_CODES = 0x4000
"""What a gate that is on is worth, above the resistors' 0x1000 to 0x3000."""
PULSE_MAX_PS = 10 * 10**12
"""assumed: 10 s, as on the array card."""
BUDGET_PS = 1000 * 10**12
BUDGET_DUTY = 1
"""assumed: as on the array card; nothing on the breadboard gets warm at 1.25 V."""
ENERGY_PS = ZERO_CODE * GATE_CODES * 10**12
"""assumed: full rail through a gate that is on, for one second."""
WATCHDOG_PS = 10 * 10**12
"""assumed: as on the array card."""

RESERVOIR_BANDWIDTH_HZ = 482_000
"""330 ohm and 1 nF before each input of a MAX11125, which has no amplifier of its own."""
RESERVOIR_FARADS = 1e-9
SAMPLING_FARADS = 36e-12
"""assumed: of the MAX11125's input; it takes its charge from the reservoir."""

LIMITS = 3
"""Fixed resistors for I_cc; the fourth way of the ADG704 is a wire."""
LIMIT_BASE = 0x8
"""The upper four bits of a GATE_PROGRAM code are this number plus the resistor's (1 to
``LIMITS``); any other code leaves the gates of a programmed column off."""
MID = 7
"""Channel of the AD5628 that makes mid-rail; the rails are channels 0 and 1."""


def tau_ps(bandwidth_hz: int) -> int:
    """Time constant of a single-pole low-pass, rounded up to a picosecond."""
    return math.ceil(10**12 / (2 * math.pi * bandwidth_hz))


class PmodAdc(Enum):
    """What reads the TIAs."""

    AD7476A = "AD7476A"
    """Two on each Pmod AD1, one for each column, all at the same moment."""
    MAX11125 = "MAX11125"
    """The one on a ULX3S, one column after the other."""


def input_taus_ps(adc: PmodAdc = PmodAdc.AD7476A) -> tuple[int, ...]:
    """Time constants between a cell's current and its converter."""
    if adc is PmodAdc.MAX11125:
        filters = [tau_ps(RESERVOIR_BANDWIDTH_HZ)]
    else:
        filters = [tau_ps(FILTER_BANDWIDTH_HZ)] * FILTER_POLES
    return (tau_ps(TIA_BANDWIDTH_HZ), tau_ps(STAGE_BANDWIDTH_HZ), *filters)


def acquire_ps() -> int:
    """Of a MAX11125: until a reservoir has recovered from the sampling capacitor.

    The capacitor comes from another column, a full scale away at most: that times the ratio
    of the capacitors, to half an LSB of 16 bits, with reservoir and stage.
    """
    step = SAMPLING_FARADS / (SAMPLING_FARADS + RESERVOIR_FARADS)
    taus = tau_ps(RESERVOIR_BANDWIDTH_HZ) + tau_ps(STAGE_BANDWIDTH_HZ)
    return math.ceil(math.log(2**17 * step) * taus)


def settle_ps(adc: PmodAdc = PmodAdc.AD7476A) -> int:
    """From the switches to the sampling edge.

    Turn-on, then ``ln(2^17)`` times the sum of the time constants, which bounds the
    settling of their cascade.
    """
    return T_ON_PS + math.ceil(SETTLE_TAUS * sum(input_taus_ps(adc)))


def pins_signature(geometry: Geometry, adc: PmodAdc = PmodAdc.AD7476A) -> wiring.Signature:
    """The card's pins, as the controller drives them; ``init`` is their safe state."""
    scan = adc is PmodAdc.MAX11125
    rows, columns = geometry.rows, geometry.columns
    return wiring.Signature(
        {
            "row_drive": Out(rows),
            "row_rail": Out(rows),
            "column_sense": Out(columns),
            "column_gate": Out(columns),
            "limit": Out(2),
            "dac_sync": Out(1, init=1),
            "dac_sclk": Out(1, init=1),
            "dac_din": Out(1),
            "adc_cs": Out(1, init=1),
            "adc_sclk": Out(1, init=1),
            **({"adc_din": Out(1)} if scan else {}),
            "adc_sdata": In(1 if scan else columns),
            "interlock": In(1, init=1),
        }
    )


def plane_period_cycles(
    geometry: Geometry, clk_hz: int, adc: PmodAdc = PmodAdc.AD7476A
) -> dict[PlaneStep, int]:
    """Cycles of each step of a plane, by the parts' data sheets.

    With a MAX11125 a plane cannot settle before the last column of the one before it has
    been sampled: that is part of its settling.
    """
    columns, settle = geometry.columns, cycles_from_ps(settle_ps(adc), clk_hz)
    if adc is PmodAdc.MAX11125:
        settle += max11125.hold_cycles(columns, clk_hz, acquire_ps())
        readout = max11125.readout_cycles(columns, clk_hz, acquire_ps())
    else:
        readout = ad7476a.readout_cycles(columns, clk_hz)
    return {
        PlaneStep.SETTLE: settle,
        PlaneStep.READOUT: readout,
        # Accepted in one cycle, latched in the next.
        PlaneStep.SWITCH: 2,
    }


class PmodCard(wiring.Component):
    """Front-end provider for the breadboard.

    Parameters
    ----------
    geometry : Geometry
        At most 8 rows and 8 columns, in steps of 2, and one tile.
    clk_hz : int
        Clock that is really there; every wait is computed from it, rounded up.
    adc : PmodAdc
        What reads the TIAs. A MAX11125 needs a geometry without ``pulse``: a gate that
        closes does not wait for it.

    Members
    -------
    core : In(FrontEndSignature)
        The controller core. ``tile`` and ``range`` go nowhere: one tile, one TIA range.
    timer : Out(TimerChannel)
        For the waits of the initialisation.
    row_drive, row_rail : Out(rows)
        Row on a rail (else on mid-rail), and on which one: 0 rail A, 1 rail B. The rails'
        fast gates are part of ``row_drive``.
    column_sense : Out(columns)
        Column on its TIA, else on the compliance node.
    column_gate : Out(columns)
        Gates of a column's transistors.
    limit : Out(2)
        What joins compliance node and mid-rail: 0 a wire, 1 to 3 a resistor.
    dac_sync, dac_sclk, dac_din : Out(1)
        AD5628; sync is active low.
    adc_cs, adc_sclk, adc_sdata : Out(1), Out(1), In(columns)
        AD7476A of all columns; cs is active low. A MAX11125 has one data line each way,
        ``adc_din`` and ``adc_sdata``.
    interlock : In(1)
        High while the interlock is closed.

    Raises
    ------
    GeometryError
        If there are more lines or tiles than such a breadboard has.
    ValueError
        If the clock is not positive, or too slow for the converters.
    """

    PAIRS_APART = False

    def __init__(self, geometry: Geometry, clk_hz: int, adc: PmodAdc = PmodAdc.AD7476A) -> None:
        if clk_hz <= 0:
            raise ValueError(f"a clock of {clk_hz} Hz is not positive")
        geometry.require_step(STEP, "the pmod front end")
        for name in ("rows", "columns"):
            if getattr(geometry, name) > MAX_LINES:
                raise GeometryError(
                    f"{name} = {getattr(geometry, name)}: the pmod front end has "
                    f"{MAX_LINES} at most"
                )
        if geometry.tiles != 1:
            raise GeometryError(f"tiles = {geometry.tiles}: the pmod front end has one")
        self.scan = adc is PmodAdc.MAX11125
        if self.scan and geometry.pulse:
            raise GeometryError(
                "pulse = True: the MAX11125 samples one column after the other, which a pulse "
                "does not wait for"
            )
        self.geometry = geometry
        self.clk_hz = clk_hz
        self.adc_part = adc
        self.dac = ad5628.OctalDac(clk_hz)
        self.adc = (
            max11125.ScanAdc(geometry.columns, clk_hz, acquire_ps())
            if self.scan
            else ad7476a.AdcBank(geometry.columns, clk_hz)
        )
        super().__init__(
            {
                "core": In(FrontEndSignature(geometry)),
                "timer": Out(TimerChannel()),
                **pins_signature(geometry, adc).members,
            }
        )

    def timing(self) -> FrontEndTiming:
        """What the core must wait for."""
        cycle_ps = -(-(10**12) // self.clk_hz)
        return FrontEndTiming(
            settle_ps=settle_ps(self.adc_part),
            dac_settle_ps=ad5628.SETTLE_PS,
            switch_ps=T_ON_PS,
            pulse_min_ps=max(PULSE_MIN_PS, cycle_ps),
        )

    def ceilings(self) -> Ceilings:
        """What the card may ever be asked to drive."""
        zero, top = ZERO_CODE, (1 << 16) - 1
        # In the order of isa.Dac: rail A, rail B, GATE_PROGRAM, GATE_ON.
        return Ceilings(
            low=(zero - READ_CODES, 0, zero, zero),
            high=(zero + READ_CODES, top, zero + GATE_CODES - 1, zero + GATE_CODES),
            read=READ_CODES,
            sense=zero,
            width_ps=PULSE_MAX_PS,
            budget_ps=BUDGET_PS,
            duty=BUDGET_DUTY,
            energy_ps=ENERGY_PS,
            watchdog_ps=WATCHDOG_PS,
            zero_code=zero,
        )

    def plane_period_cycles(self) -> dict[PlaneStep, int]:
        """Cycles of each step that an MVM plane consists of; the longest one bounds it."""
        return plane_period_cycles(self.geometry, self.clk_hz, self.adc_part)

    def cycles(self) -> FrontEndCycles:
        """What its handshakes and settling take, for the cost model.

        Only the rails are a DAC's; a resistor is chosen at once.
        """
        clk_hz, columns, waits = self.clk_hz, self.geometry.columns, self.timing()
        rail = ad5628.write_cycles(clk_hz)
        return FrontEndCycles(
            settle=settle_by_range(waits, clk_hz),
            load=1,
            recover=1,
            readout=self.plane_period_cycles()[PlaneStep.READOUT],
            hold=max11125.hold_cycles(columns, clk_hz, acquire_ps()) if self.scan else 1,
            write=tuple(rail if dac in (Dac.RAIL_A, Dac.RAIL_B) else 1 for dac in Dac),
            dac_settle=cycles_from_ps(waits.dac_settle_ps, clk_hz),
            drive=cycles_from_ps(max(waits.dac_settle_ps, waits.switch_ps), clk_hz),
            pulse=max(1, cycles_from_ps(waits.pulse_min_ps, clk_hz)),
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dac = self.dac
        m.submodules.adc = self.adc
        ready = Signal()
        setup = stream.Signature(ad5628.frame_layout).create(path=("setup",))
        wake, waiting = Signal(), Signal()
        self._converters(m, ready)
        with m.If(~ready):
            m.d.comb += [
                self.core.active.eq(~waiting),
                self.dac.frame.valid.eq(setup.valid),
                self.dac.frame.payload.eq(setup.payload),
                setup.ready.eq(self.dac.frame.ready),
                (self.adc.wake if self.scan else self.adc.convert).eq(wake),
            ]
        self._switches(m, ready)
        initialisation = Module()
        self._initialise(initialisation, setup, ready, wake, waiting)
        # While it is held in its first state the switches are off; then the rails go the
        # way of a fresh start, and that state outlasts a frame that was under way.
        m.submodules.initialisation = ResetInserter(self.core.safe)(initialisation)
        closed = Signal()
        m.submodules.interlock = FFSynchronizer(self.interlock, closed, init=1)
        m.d.comb += self.core.interlock.eq(~closed)
        return m

    def _converters(self, m: Module, ready: Signal) -> None:
        """Pins of the converters, and the core's requests once they are initialised."""
        dac, adc, core = self.dac, self.adc, self.core
        m.d.comb += [
            self.dac_sclk.eq(dac.sclk),
            self.dac_sync.eq(dac.sync_n),
            self.dac_din.eq(dac.din),
            self.adc_cs.eq(adc.cs_n),
            self.adc_sclk.eq(adc.sclk),
            (adc.dout if self.scan else adc.sdata).eq(self.adc_sdata),
            core.ready.eq(ready),
            core.dac_idle.eq(dac.idle & ready),
            core.adc_idle.eq(adc.idle & ready),
        ]
        if self.scan:
            m.d.comb += self.adc_din.eq(adc.din)
        raw = adc.words.payload["code"]
        low, high = raw < CLIP_CODES, raw >= (1 << ad7476a.CODE_BITS) - CLIP_CODES
        # Straight binary around mid-scale, turned into two's complement and left-aligned.
        aligned = Cat(0, 0, 0, 0, raw ^ 1 << ad7476a.CODE_BITS - 1)
        channel = core.dac.payload.channel
        rail = (channel == Dac.RAIL_A) | (channel == Dac.RAIL_B)
        with m.If(ready):
            m.d.comb += [
                core.active.eq(~dac.idle | ~adc.idle),
                core.dac.ready.eq(dac.frame.ready),
                dac.frame.valid.eq(core.dac.valid & rail),
                dac.frame.payload["command"].eq(ad5628.Command.WRITE_UPDATE),
                dac.frame.payload["address"].eq(channel),
                dac.frame.payload["data"].eq(
                    Cat(*[0] * 8, core.dac.payload.code[16 - ad5628.CODE_BITS :])
                ),
                adc.convert.eq(core.convert),
                core.samples.valid.eq(adc.words.valid),
                core.samples.payload["column"].eq(adc.words.payload["chip"]),
                core.samples.payload["code"].eq(Mux(low, 0x8000, Mux(high, 0x7FFF, aligned))),
            ]

    def _switches(self, m: Module, ready: Signal) -> None:
        """Two-step updates, and pins that follow by one cycle."""
        core, geometry = self.core, self.geometry
        rows, columns = geometry.rows, geometry.columns
        waiting = Signal()
        pending = Signal.like(core.switch.payload)
        m.d.comb += [core.switch.ready.eq(ready & ~waiting), core.loaded.eq(waiting)]
        if self.scan:
            # Nothing moves before the inputs of columns that are still to be sampled.
            m.d.comb += core.loaded.eq(waiting & ~self.adc.holding)
        with m.If(core.switch.valid & core.switch.ready):
            m.d.sync += [pending.eq(core.switch.payload), waiting.eq(1)]
        latch = Signal()
        m.d.comb += latch.eq(core.latch & waiting)
        with m.If(latch):
            m.d.sync += waiting.eq(0)

        settings: list[Signal] = []

        def setting(name: str, group: SwitchGroup, value: Signal) -> Signal:
            """What holds from the next cycle on."""
            kept, following = Signal(len(value), name=name), Signal(len(value), name=f"{name}_next")
            m.d.comb += following.eq(Mux(latch & (pending.group == group), value, kept))
            m.d.sync += kept.eq(following)
            settings.append(kept)
            return following

        # A line asked onto both ways goes to neither.
        only_a, only_b = pending.a & ~pending.b, pending.b & ~pending.a
        rail_a = setting("rail_a", SwitchGroup.ROWS, only_a[:rows])
        rail_b = setting("rail_b", SwitchGroup.ROWS, only_b[:rows])
        sense = setting("sense", SwitchGroup.COLUMNS, pending.a[:columns])
        program = setting("program", SwitchGroup.GATES, only_a[:columns])
        gate_on = setting("gate_on", SwitchGroup.GATES, only_b[:columns])

        chosen = Signal(2)
        code = core.dac.payload.code
        write = core.dac.valid & core.dac.ready
        with m.If(write & (core.dac.payload.channel == Dac.GATE_PROGRAM)):
            m.d.sync += chosen.eq(Mux(code[14:] == LIMIT_BASE >> 2, code[12:14], 0))
        with m.If(ready & ~core.safe):
            m.d.sync += [
                self.row_drive.eq(Mux(core.gate_a, rail_a, 0) | Mux(core.gate_b, rail_b, 0)),
                self.row_rail.eq(rail_b),
                self.column_sense.eq(sense),
                self.column_gate.eq(gate_on | Mux(chosen != 0, program, 0)),
                self.limit.eq(Mux(program.any(), chosen, 0)),
            ]
        with m.Else():
            pins = (self.row_drive, self.row_rail, self.column_sense, self.column_gate, self.limit)
            m.d.sync += [
                *(pin.eq(0) for pin in pins),
                *(kept.eq(0) for kept in settings),
                chosen.eq(0),
                waiting.eq(0),
            ]

    def _initialise(
        self, m: Module, setup: stream.Interface, ready: Signal, wake: Signal, waiting: Signal
    ) -> None:
        """From power-up to rails and mid-rail at 1.25 V, every row on mid-rail.

        ``setup`` and ``wake`` are a DAC frame and a conversion; ``waiting`` is high while
        only the timer runs.
        """
        timer = self.timer
        index = Signal(range(len(ad5628.CONFIGURATION) + 1))
        frames = Array([*ad5628.CONFIGURATION, ad5628.CONFIGURATION[-1]])

        def wait(state: str, duration_ps: int, then: str) -> None:
            """State ``state`` ends after ``duration_ps``."""
            with m.State(state):
                m.d.comb += [
                    timer.start.eq(1),
                    timer.cycles.eq(cycles_from_ps(duration_ps, self.clk_hz)),
                ]
                m.next = f"{state}-WAIT"
            with m.State(f"{state}-WAIT"):
                m.d.comb += waiting.eq(1)
                with m.If(timer.done):
                    m.next = then

        with m.FSM():
            adc_ps = max11125.POWER_UP_PS if self.scan else ad7476a.POWER_UP_PS
            wait("POWER-UP", max(ad5628.POWER_UP_PS, adc_ps), "DAC-SETUP")
            with m.State("DAC-SETUP"):
                m.d.comb += [
                    setup.valid.eq(index != len(ad5628.CONFIGURATION)),
                    setup.payload.eq(frames[index]),
                ]
                with m.If(setup.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == len(ad5628.CONFIGURATION)):
                        m.d.sync += index.eq(0)
                        m.next = "REFERENCE"
            wait("REFERENCE", ad5628.REFERENCE_PS + ad5628.SETTLE_PS, "ADC-WAKE")
            # The first conversion after power-up is thrown away; a MAX11125 is set up.
            with m.State("ADC-WAKE"):
                m.d.comb += wake.eq(1)
                m.next = "ADC-AWAKE"
            with m.State("ADC-AWAKE"), m.If(self.adc.idle):
                m.next = "READY"
            with m.State("READY"):
                m.d.comb += ready.eq(1)
