"""The reference front end: rails, switches and converters around a 1T1R array.

One AD5754R gives the two rails and the two gate voltages; ADGS1414D switches put
each row on rail A, rail B or 0 V, each column on its TIA or 0 V, and each gate on
GATE_PROGRAM, GATE_ON or 0 V; AD7606C-16 converters read the TIAs. The parts'
numbers are in their drivers; ``docs/array-card.md`` has pins, wiring and timing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ..geometry import Geometry
from . import ad5754r, ad7606c, adgs1414d
from .interface import (
    Ceilings,
    FrontEndSignature,
    FrontEndTiming,
    PlaneStep,
    SwitchGroup,
    TimerChannel,
    cycles_from_ps,
)
from .tia import RANGES, settle_ps

PULSE_MIN_PS = 500_000
"""assumed: twice the turn-on and turn-off time of a fast +-15 V analog switch."""

SWITCH_RESET_PS = 100_000_000
WAITS_PS = (
    SWITCH_RESET_PS,
    adgs1414d.RESET_PS,
    ad7606c.RESET_DRIVEN_PS,
    ad7606c.SETUP_DRIVEN_PS,
    ad5754r.POWER_UP_PS,
)
"""Waits of the initialisation."""
"""assumed: RESET/VL of the switch chips is their logic supply (DS ADGS1414D, "Pin
Configuration"), so a load switch discharges it; 100 us for 32 chips' capacitors."""

CODES_PER_V = ad5754r.ZERO_CODE / ad5754r.FULL_SCALE_V
READ_CODES = round(2.5 * CODES_PER_V)
"""assumed: 2.5 V, above every read voltage of the device catalogue (1 V)."""
RAIL_CODES = ad5754r.ZERO_CODE
"""AD5754R: the +-10 V range, inside the switches' +-15 V supplies (DS ADGS1414D, Table 1)."""
GATE_CODES = round(6 * CODES_PER_V)
"""assumed: 6 V, above the 5 V that turn a logic-level gate transistor fully on."""
PULSE_MAX_PS = 10 * 10**12
"""assumed: 10 s, longer than any step of a 50 mV/s sweep in steps of up to 0.5 V."""
BUDGET_PS = 1000 * 10**12
BUDGET_DUTY = 1
"""assumed: 1000 s of pulses at once, one half of the time in the long run: what a card
without forced cooling is built for."""
ENERGY_PS = RAIL_CODES * GATE_CODES // 4 * 10**12
"""assumed: a quarter of full rail and full gate voltage for a second, 5 V at 3 V."""
WATCHDOG_PS = 10 * 10**12
"""assumed: 10 s, twenty times the interval in which a host asks for the status."""
SOURCE_OHMS = (1e6, 1e7, 1e8, 1e9)
"""assumed: scaling resistors of the current source, by range; full scale 10 uA to 10 nA.
I = V_B / R of an improved Howland pump with four of them (TI SNOA474A, sections 3, 8)."""
SOURCE_PS = 3 * 10**9
"""Reed relays, 1 and 2 Form C: 1.5 ms to operate, bounce included, 2.0 ms to release
(Coto 2300 series data sheet, typical); 3 ms is assumed to bound them."""
STOP_CYCLES = 2
"""Cycles from the guard's decision until DAC clear and switch reset are at the pins; the
fast gates take one."""

GROUPS = len(SwitchGroup)


def chips_of_group(group: SwitchGroup, geometry: Geometry) -> int:
    """Switch chips of a group: three per eight rows or gates, two per eight columns."""
    lines = geometry.rows if group is SwitchGroup.ROWS else geometry.columns
    ways = 2 if group is SwitchGroup.COLUMNS else 3
    return ways * lines // adgs1414d.SWITCHES


def sdi_lines(geometry: Geometry) -> int:
    """Data lines that the groups share: chips of the largest one."""
    return max(chips_of_group(group, geometry) for group in SwitchGroup)


def pins_signature(geometry: Geometry) -> wiring.Signature:
    """The card's pins, as the controller drives them; ``init`` is their safe state."""
    return wiring.Signature(
        {
            "sw_sclk": Out(1),
            "sw_sdi": Out(sdi_lines(geometry)),
            "sw_cs_rows": Out(1, init=1),
            "sw_cs_columns": Out(1, init=1),
            "sw_cs_gates": Out(1, init=1),
            "sw_reset": Out(1),
            "dac_sclk": Out(1, init=1),
            "dac_sync": Out(1, init=1),
            "dac_sdin": Out(1),
            "dac_ldac": Out(1, init=1),
            "dac_clr": Out(1),
            "adc_convst": Out(1),
            "adc_busy": In(1),
            "adc_reset": Out(1),
            "adc_cs": Out(1, init=1),
            "adc_sclk": Out(1, init=1),
            "adc_sdi": Out(1),
            "adc_dout": In(ad7606c.LINES * geometry.columns // ad7606c.CHANNELS),
            "gate_a": Out(1),
            "gate_b": Out(1),
            "tile_select": Out(12),
            "tia_range": Out(3),
            **({"source": Out(1)} if geometry.has_source else {}),
            "interlock": In(1, init=1),
        }
    )


def plane_period_cycles(
    geometry: Geometry, clk_hz: int, tia_range: int = 0
) -> dict[PlaneStep, int]:
    """Cycles of each step of a plane in a TIA range, by the parts' data sheets."""
    return {
        PlaneStep.SETTLE: cycles_from_ps(settle_ps(tia_range), clk_hz),
        PlaneStep.READOUT: ad7606c.readout_cycles(geometry.columns // ad7606c.CHANNELS, clk_hz),
        PlaneStep.SWITCH: adgs1414d.update_cycles(clk_hz),
    }


class ArrayCard(wiring.Component):
    """Front-end provider for the array card.

    Parameters
    ----------
    geometry : Geometry
        Rows and columns of the array.
    clk_hz : int
        Clock that is really there; every wait is computed from it, rounded up.
    edge_cycles : int
        Shortest time between two changes of a line to the switches.

    Members
    -------
    core : In(FrontEndSignature)
        The controller core.
    timer : Out(TimerChannel)
        For the waits of the initialisation.
    sw_sclk, sw_sdi, sw_cs_rows, sw_cs_columns, sw_cs_gates : Out
        Switches: shared clock and data lines (line ``i`` goes to chip ``i`` of each
        group), one active-low select per group.
    sw_reset : Out(1)
        Reset of all switch chips, active low: every switch opens.
    dac_sclk, dac_sync, dac_sdin, dac_ldac, dac_clr : Out(1)
        DAC; sync, ldac and clr are active low. clr stays low until the rails are set up.
    adc_convst, adc_reset, adc_cs, adc_sclk, adc_sdi : Out(1)
        ADCs; cs is active low.
    adc_busy, adc_dout : In
        OR of the BUSY outputs; two data lines per chip.
    gate_a, gate_b : Out(1)
        Fast gates of the rails, low until ready.
    tile_select, tia_range : Out
        Tile bus and TIA range; while ``source`` is high, that of the current source.
    source : Out(1)
        The current source stands for rail B, and its buffer for column 0's TIA; only
        with ``Geometry.has_source``.
    interlock : In(1)
        High while the interlock is closed.

    Raises
    ------
    ValueError
        If the clock is not positive, or too many columns are to be read for it.
    """

    PAIRS_APART = True
    """Samples come by channel, and a pair has two of them."""

    def __init__(self, geometry: Geometry, clk_hz: int, edge_cycles: int = 1) -> None:
        if clk_hz <= 0:
            raise ValueError(f"a clock of {clk_hz} Hz is not positive")
        geometry.require_step(adgs1414d.SWITCHES, "the array card")
        self.geometry = geometry
        self.clk_hz = clk_hz
        chips = geometry.columns // ad7606c.CHANNELS
        self.switches = adgs1414d.SwitchBanks(GROUPS, sdi_lines(geometry), clk_hz, edge_cycles)
        self.dac = ad5754r.QuadDac(clk_hz)
        self.adc = ad7606c.AdcBank(chips, clk_hz)
        waits = [cycles_from_ps(duration, clk_hz) for duration in WAITS_PS]
        super().__init__(
            {
                "core": In(FrontEndSignature(geometry)),
                "timer": Out(TimerChannel.lasting(*waits)),
                **pins_signature(geometry).members,
            }
        )

    def timing(self) -> FrontEndTiming:
        """What the core must wait for."""
        cycle_ps = -(-(10**12) // self.clk_hz)
        return FrontEndTiming(
            settle_ps=settle_ps(),
            range_settle_ps=tuple(settle_ps(n) for n in range(len(RANGES))),
            dac_settle_ps=ad5754r.SETTLE_PS,
            switch_ps=adgs1414d.T_ON_PS,
            pulse_min_ps=max(PULSE_MIN_PS, cycle_ps),
            source_ps=SOURCE_PS if self.geometry.has_source else None,
        )

    def ceilings(self) -> Ceilings:
        """What the card may ever be asked to drive."""
        zero = ad5754r.ZERO_CODE
        # In the order of isa.Dac: rail A, rail B, GATE_PROGRAM, GATE_ON.
        return Ceilings(
            low=(zero - READ_CODES, zero - RAIL_CODES, zero, zero),
            high=(zero + READ_CODES, zero + RAIL_CODES - 1, zero + GATE_CODES, zero + GATE_CODES),
            read=READ_CODES,
            sense=RAIL_CODES,
            width_ps=PULSE_MAX_PS,
            budget_ps=BUDGET_PS,
            duty=BUDGET_DUTY,
            energy_ps=ENERGY_PS,
            watchdog_ps=WATCHDOG_PS,
            zero_code=zero,
        )

    def plane_period_cycles(self) -> dict[PlaneStep, int]:
        """Cycles of each step that an MVM plane consists of; the longest one bounds it."""
        return plane_period_cycles(self.geometry, self.clk_hz)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.switches = self.switches
        m.submodules.dac = self.dac
        m.submodules.adc = self.adc
        ready = Signal()
        self._pins(m, ready)
        self._core(m, ready)
        self._initialise(m, ready)
        return m

    def _pins(self, m: Module, ready: Signal) -> None:
        switches, dac, adc, core = self.switches, self.dac, self.adc, self.core
        m.d.comb += [
            self.sw_sclk.eq(switches.sclk),
            self.sw_sdi.eq(switches.sdi),
            self.sw_cs_rows.eq(switches.cs_n[SwitchGroup.ROWS.value]),
            self.sw_cs_columns.eq(switches.cs_n[SwitchGroup.COLUMNS.value]),
            self.sw_cs_gates.eq(switches.cs_n[SwitchGroup.GATES.value]),
            self.dac_sclk.eq(dac.sclk),
            self.dac_sync.eq(dac.sync_n),
            self.dac_sdin.eq(dac.sdin),
            self.dac_ldac.eq(dac.ldac_n),
            self.adc_convst.eq(adc.convst),
            self.adc_cs.eq(adc.cs_n),
            self.adc_sclk.eq(adc.sclk),
            self.adc_sdi.eq(adc.sdi),
            adc.busy.eq(self.adc_busy),
            adc.dout.eq(self.adc_dout),
        ]
        # Registered like latch and convert, so that all of them have one cycle of delay.
        m.d.sync += [
            self.gate_a.eq(core.gate_a & ready),
            self.gate_b.eq(core.gate_b & ready),
            self.tile_select.eq(core.tile),
            self.tia_range.eq(core.range),
        ]
        if self.geometry.has_source:
            m.d.sync += self.source.eq(core.source & ready)
            with m.If(core.source & ready):
                m.d.sync += self.tia_range.eq(core.source_range)
        closed = Signal()
        m.submodules.interlock = FFSynchronizer(self.interlock, closed, init=1)
        m.d.comb += core.interlock.eq(~closed)

    def _core(self, m: Module, ready: Signal) -> None:
        """The core's requests, taken once the parts are initialised."""
        switches, dac, adc, core = self.switches, self.dac, self.adc, self.core
        m.d.comb += [
            core.ready.eq(ready),
            core.loaded.eq(switches.loaded & ready),
            core.dac_idle.eq(dac.idle & ready),
            core.adc_idle.eq(adc.idle & ready),
            core.samples.valid.eq(adc.samples.valid),
            core.samples.payload.eq(adc.samples.payload),
        ]
        with m.If(ready):
            m.d.comb += [
                core.active.eq(switches.moving | ~dac.idle | ~adc.idle),
                core.switch.ready.eq(switches.frame.ready),
                switches.frame.valid.eq(core.switch.valid),
                switches.latch.eq(core.latch),
                core.dac.ready.eq(dac.frame.ready),
                dac.frame.valid.eq(core.dac.valid),
                dac.frame.payload["register"].eq(ad5754r.Register.DAC),
                dac.frame.payload["address"].eq(core.dac.payload.channel),
                dac.frame.payload["data"].eq(core.dac.payload.code),
                adc.convert.eq(core.convert),
            ]
            self._switch_frame(m, core.switch.payload)

    def _switch_frame(self, m: Module, update: data.View) -> None:
        """The frame of a switch update. A line asked onto both ``a`` and ``b`` goes to 0 V."""
        payload = self.switches.frame.payload
        a, b, ground = update.a & ~update.b, update.b & ~update.a, ~(update.a ^ update.b)
        rows, columns = self.geometry.rows, self.geometry.columns
        settings = {
            SwitchGroup.ROWS: Cat(a[:rows], b[:rows], ground[:rows]),
            SwitchGroup.COLUMNS: Cat(update.a[:columns], ~update.a[:columns]),
            SwitchGroup.GATES: Cat(a[:columns], b[:columns], ground[:columns]),
        }
        m.d.comb += [
            payload["register"].eq(adgs1414d.Register.SW_DATA),
            payload["crc"].eq(1),
        ]
        with m.Switch(update.group):
            for group, lines in settings.items():
                with m.Case(group):
                    m.d.comb += [
                        payload["groups"].eq(1 << group.value),
                        payload["data"].eq(lines),
                    ]

    def _register_frame(self, register: adgs1414d.Register, value: int, crc: bool) -> data.Const:
        """The same write to all switch chips of all groups."""
        chips = self.switches.chips
        return adgs1414d.frame_layout(GROUPS, chips).const(
            {"groups": -1, "register": register, "data": [value] * chips, "crc": crc}
        )

    def _ground_frame(self, group: SwitchGroup) -> data.Const:
        """Every line of a group at 0 V: its ground chips, which are the last ones, closed."""
        chips = self.switches.chips
        used = chips_of_group(group, self.geometry)
        grounding = used // (2 if group is SwitchGroup.COLUMNS else 3)
        closed = [0] * (used - grounding) + [0xFF] * grounding + [0] * (chips - used)
        return adgs1414d.frame_layout(GROUPS, chips).const(
            {
                "groups": 1 << group.value,
                "register": adgs1414d.Register.SW_DATA,
                "data": closed,
                "crc": 1,
            }
        )

    def _initialise(self, m: Module, ready: Signal) -> None:
        """From power-up to all lines at 0 V, rails at 0 V and the ADCs configured.

        ``safe`` brings its first state from every other one: DACs cleared, switches in
        reset, for longer than the drivers take to end what it has found them at.
        """
        switches, dac, adc, timer = self.switches, self.dac, self.adc, self.timer
        waiting = Signal()
        index = Signal(range(len(ad7606c.CONFIGURATION) + 1))
        with m.If(~ready):
            # What ``safe`` has found the drivers at goes on.
            moving = switches.moving | ~dac.idle | ~adc.idle
            m.d.comb += [self.core.active.eq(~waiting | moving), switches.latch.eq(1)]

        @contextmanager
        def state(name: str) -> Iterator[None]:
            with m.State(name):
                yield
                with m.If(self.core.safe):
                    m.next = "RESET"

        def send(
            name: str, port: stream.Interface, values: Sequence[data.Const | int], then: str
        ) -> None:
            """State ``name`` sends ``values`` and ends when the last one has been shifted out."""
            with state(name):
                m.d.comb += [
                    port.valid.eq(index != len(values)),
                    port.payload.eq(Array(values)[index]),
                ]
                with m.If(port.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == len(values)):
                        m.d.sync += index.eq(0)
                        m.next = then

        def wait(name: str, duration_ps: int, then: str) -> None:
            """State ``name`` ends after ``duration_ps``."""
            with state(name):
                cycles = cycles_from_ps(duration_ps, self.clk_hz)
                assert cycles >> timer.signature.bits == 0
                m.d.comb += [timer.start.eq(1), timer.cycles.eq(cycles)]
                m.next = f"{name}-WAIT"
            with state(f"{name}-WAIT"):
                m.d.comb += waiting.eq(1)
                with m.If(timer.done):
                    m.next = then

        # With CRC: a chip that a former run has left in CRC mode takes the reset, and so
        # does one that expects 16 bits, since it writes at the 16th edge regardless.
        resets = [
            self._register_frame(adgs1414d.Register.SOFT_RESETB, value, crc=True)
            for value in adgs1414d.SOFT_RESET
        ]
        enable_crc = self._register_frame(
            adgs1414d.Register.ERR_CONFIG, adgs1414d.ERR_CONFIG_ALL, crc=False
        )
        grounds = [self._ground_frame(group) for group in SwitchGroup]
        with m.FSM():
            wait("RESET", SWITCH_RESET_PS, "RESET-END")
            with state("RESET-END"):
                m.d.sync += self.sw_reset.eq(1)
                m.next = "POWER-UP"
            wait("POWER-UP", adgs1414d.RESET_PS, "SWITCH-RESET")
            send("SWITCH-RESET", switches.frame, resets, "ADC-RESET")
            with state("ADC-RESET"):
                m.d.sync += self.adc_reset.eq(1)
                m.next = "RESET-WIDTH"
            wait("RESET-WIDTH", ad7606c.RESET_DRIVEN_PS, "ADC-RESET-END")
            with state("ADC-RESET-END"):
                m.d.sync += self.adc_reset.eq(0)
                m.next = "SETUP"
            # The converters take longer to come up than the switches.
            wait("SETUP", max(ad7606c.SETUP_DRIVEN_PS, adgs1414d.RESET_PS), "SWITCH-SETUP")
            send("SWITCH-SETUP", switches.frame, [enable_crc, *grounds], "DAC-SETUP")
            send("DAC-SETUP", dac.frame, ad5754r.CONFIGURATION, "DAC-CLEAR-END")
            with state("DAC-CLEAR-END"):
                m.d.sync += self.dac_clr.eq(1)
                m.next = "DAC-POWER"
            wait("DAC-POWER", ad5754r.POWER_UP_PS, "DAC-ZERO")
            send("DAC-ZERO", dac.frame, [ad5754r.ZERO_ALL], "ADC-SETUP")
            send("ADC-SETUP", adc.command, ad7606c.CONFIGURATION, "READY")
            with state("READY"):
                m.d.comb += ready.eq(1)
        with m.If(self.core.safe):
            m.d.sync += [
                self.sw_reset.eq(0),
                self.dac_clr.eq(0),
                # A reset of the converters that has begun goes on: it must not be too short.
                index.eq(0),
            ]
