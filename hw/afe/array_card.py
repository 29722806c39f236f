"""The reference front end: rails, switches and converters around a 1T1R array.

One AD5754R gives the two rails and the two gate voltages; ADGS1414D switches put
each row on rail A, rail B or 0 V, each column on its TIA or 0 V, and each gate on
GATE_PROGRAM, GATE_ON or 0 V; AD7606C-16 converters read the TIAs, or AD7606, which are
slower and cheaper. The parts' numbers are in their drivers; ``docs/array-card.md`` has
pins, wiring and timing.

In :data:`~ohmloom.hw.ranges.TEMPERATURE_RANGE` AD7606C-16 converters are on their own
temperature sensors, and the TIAs in range 0. Their settings are sent when the range is
entered or left; until then no switch takes its setting and no conversion may begin, so the
settling that comes before every conversion begins afterwards. AD7606 have no such sensor:
the range pins show that number, as they show any that has no TIA.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ..cycles import FrontEndCycles
from ..geometry import Geometry
from ..ranges import TEMPERATURE_RANGE
from ..settle import settle_by_range
from . import ad5754r, ad7606, ad7606c, adgs1414d
from .adc_part import CHANNELS, LINES, AdcPart
from .interface import (
    Ceilings,
    FrontEndSignature,
    FrontEndTiming,
    PlaneStep,
    SwitchGroup,
    TimerChannel,
    cycles_from_ps,
)
from .power import SUPPLY_V, Consumer, Power
from .tia import AMPLIFIER_POWER, RANGES, settle_ps

PULSE_MIN_PS = 500_000
"""assumed: twice the turn-on and turn-off time of a fast +-15 V analog switch."""

SWITCH_RESET_PS = 100_000_000
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
LIMITER_CODES = round(1.5 * CODES_PER_V)
"""assumed: 1.5 V, the fixed gate voltage of the limiter on the backplane of a passive array;
62.5 uA, inside the compliance window of every nonvolatile mode of the device catalogue but
that of 1 uA, and of no volatile one (``tests/sim/converters/test_half_select.py``)."""
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

BUFFER_A = 50e-3
"""assumed: what rail B's buffer gives the cells of a row that are pulsed together."""
BUFFER_POWER = Power(
    watts=5e-3 * 2 * SUPPLY_V,
    origin=f"assumed: rail B's buffer of {BUFFER_A * 1e3:g} mA, 5 mA of +-15 V while nothing is "
    "driven",
)

ADCS = {part.name: part for part in (ad7606c.PART, ad7606.PART)}
"""Converters that the card can carry."""
WAIT_PS = max(
    SWITCH_RESET_PS,
    adgs1414d.RESET_PS,
    *(max(part.reset_driven_ps, part.setup_driven_ps) for part in ADCS.values()),
    ad5754r.POWER_UP_PS,
)
"""Every wait of the initialisation: the longest one, so that there is one number."""


def banks(geometry: Geometry) -> dict[SwitchGroup, adgs1414d.Bank]:
    """The switch chips of each group."""
    return {
        SwitchGroup.ROWS: adgs1414d.Bank(geometry.rows, ways=3),
        SwitchGroup.COLUMNS: adgs1414d.Bank(geometry.columns, ways=2),
        SwitchGroup.GATES: adgs1414d.Bank(geometry.columns, ways=3),
    }


def chips_of_group(group: SwitchGroup, geometry: Geometry) -> int:
    """Switch chips of a group: three per eight rows or gates, two per eight columns."""
    return banks(geometry)[group].chips


def sdi_lines(geometry: Geometry) -> int:
    """Data lines that the groups share: chips of the largest one."""
    return max(bank.chips for bank in banks(geometry).values())


def pins_signature(geometry: Geometry, adc: AdcPart = ad7606c.PART) -> wiring.Signature:
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
            **({"adc_sdi": Out(1)} if adc.configuration else {}),
            "adc_dout": In(LINES * geometry.columns // CHANNELS),
            "gate_a": Out(1),
            "gate_b": Out(1),
            **({"tile_select": Out(12)} if geometry.tiles > 1 else {}),
            "tia_range": Out(3),
            **({"source": Out(1)} if geometry.has_source else {}),
            "interlock": In(1, init=1),
        }
    )


def plane_period_cycles(
    geometry: Geometry, clk_hz: int, tia_range: int = 0, adc: AdcPart = ad7606c.PART
) -> dict[PlaneStep, int]:
    """Cycles of each step of a plane in a TIA range, by the parts' data sheets."""
    return {
        PlaneStep.SETTLE: cycles_from_ps(settle_ps(tia_range, adc), clk_hz),
        PlaneStep.READOUT: adc.readout_cycles(
            geometry.columns // CHANNELS, clk_hz, geometry.compact
        ),
        PlaneStep.SWITCH: adgs1414d.update_cycles(clk_hz),
    }


def timing(geometry: Geometry, clk_hz: int, adc: AdcPart = ad7606c.PART) -> FrontEndTiming:
    """What the core must wait for."""
    cycle_ps = -(-(10**12) // clk_hz)
    return FrontEndTiming(
        settle_ps=settle_ps(0, adc),
        range_settle_ps=tuple(settle_ps(n, adc) for n in range(len(RANGES))),
        dac_settle_ps=ad5754r.SETTLE_PS,
        switch_ps=adgs1414d.T_ON_PS,
        pulse_min_ps=max(PULSE_MIN_PS, cycle_ps),
        source_ps=SOURCE_PS if geometry.has_source else None,
    )


def consumers(geometry: Geometry, adc: AdcPart = ad7606c.PART) -> tuple[Consumer, ...]:
    """What takes power on the card.

    The current source, the ranges' and fast switches, relays and resistors are left out:
    they take nothing that counts while an array is read or written. A cell's current comes
    from a rail of +15 V and goes into a TIA's output stage and -15 V, or the other way round.
    """
    converters = geometry.columns // CHANNELS
    switches = sum(bank.chips for bank in banks(geometry).values())
    return (
        Consumer.of("DACs", 1, ad5754r.POWER, SUPPLY_V, feeds=True),
        Consumer.of("rail buffer", 1, BUFFER_POWER),
        Consumer.of("TIAs", geometry.columns, AMPLIFIER_POWER, SUPPLY_V),
        Consumer.of("ADCs", converters, adc.power),
        Consumer.of("switches", switches, adgs1414d.POWER),
    )


def front_end_cycles(
    geometry: Geometry, clk_hz: int, adc: AdcPart = ad7606c.PART
) -> FrontEndCycles:
    """What the card's handshakes and settling take, for the cost model (:mod:`ohmloom.hw.cycles`).

    Raises
    ------
    ValueError
        If the card is not for such a geometry, or not at such a clock.
    """
    geometry.require_step(adgs1414d.SWITCHES, "the array card")
    update = adgs1414d.serial_timing(clk_hz)
    waits = timing(geometry, clk_hz, adc)
    return FrontEndCycles(
        settle=settle_by_range(waits, clk_hz),
        load=adgs1414d.load_cycles(update),
        recover=adgs1414d.recover_cycles(update),
        readout=plane_period_cycles(geometry, clk_hz, adc=adc)[PlaneStep.READOUT],
        write=(ad5754r.write_cycles(clk_hz),) * ad5754r.CHANNELS,
        dac_settle=cycles_from_ps(waits.dac_settle_ps, clk_hz),
        drive=cycles_from_ps(max(waits.dac_settle_ps, waits.switch_ps), clk_hz),
        pulse=max(1, cycles_from_ps(waits.pulse_min_ps, clk_hz)),
    )


class ArrayCard(wiring.Component):
    """Front-end provider for the array card.

    Parameters
    ----------
    geometry : Geometry
        Rows and columns of the array.
    clk_hz : int
        Clock that is really there; every wait is computed from it, rounded up.
    edge_cycles : int
        Shortest time between two changes of a line to the switches. More than one cycle:
        what is behind these lines, tile bus and TIA range samples them, so the latter two
        have no register here.
    adc : AdcPart
        The converters, one of :data:`ADCS`.

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
        ADCs; cs is active low. Parts without registers have no ``adc_sdi``.
    adc_busy, adc_dout : In
        OR of the BUSY outputs; two data lines per chip.
    gate_a, gate_b : Out(1)
        Fast gates of the rails, low until ready.
    tile_select, tia_range : Out
        Tile bus, where there is more than one tile, and TIA range; while ``source`` is
        high, that of the current source.
    source : Out(1)
        The current source stands for rail B, and its buffer for column 0's TIA; only
        with ``Geometry.has_source``.
    interlock : In(1)
        High while the interlock is closed.

    Raises
    ------
    ValueError
        If the clock is not positive, too many columns are to be read for it, or the longest
        settling is too short for the converters' temperature sensors.
    """

    PAIRS_APART = True
    """Samples come by channel, and a pair has two of them."""

    def __init__(
        self,
        geometry: Geometry,
        clk_hz: int,
        edge_cycles: int = 1,
        adc: AdcPart = ad7606c.PART,
    ) -> None:
        if clk_hz <= 0:
            raise ValueError(f"a clock of {clk_hz} Hz is not positive")
        geometry.require_step(adgs1414d.SWITCHES, "the array card")
        self.geometry = geometry
        self.clk_hz = clk_hz
        self.sampled = edge_cycles > 1
        self.adc_part = adc
        each = [banks(geometry)[group] for group in SwitchGroup]
        self.switches = adgs1414d.SwitchBanks(each, clk_hz, edge_cycles)
        self.dac = ad5754r.QuadDac(clk_hz)
        self.adc = ad7606c.AdcBank(geometry.columns // CHANNELS, clk_hz, adc, geometry.compact)
        # A range that the card says nothing of takes the longest settling.
        longest = max(settle_ps(n, adc) for n in range(len(RANGES)))
        if adc.sensing and not (len(RANGES) <= TEMPERATURE_RANGE and adc.sensor_ps <= longest):
            raise ValueError(
                f"the temperature sensors of {adc.name} take {adc.sensor_ps} ps and range "
                f"{TEMPERATURE_RANGE}; the {len(RANGES)} TIA ranges settle in {longest} ps at most"
            )
        super().__init__(
            {
                "core": In(FrontEndSignature(geometry)),
                "timer": Out(TimerChannel.lasting(cycles_from_ps(WAIT_PS, clk_hz))),
                **pins_signature(geometry, adc).members,
            }
        )

    def timing(self) -> FrontEndTiming:
        """What the core must wait for."""
        return timing(self.geometry, self.clk_hz, self.adc_part)

    def ceilings(self) -> Ceilings:
        """What the card may ever be asked to drive."""
        zero = ad5754r.ZERO_CODE
        passive = self.geometry.passive  # the gates' lines bias columns, either way
        gate_low = zero - GATE_CODES if passive else zero
        # In the order of isa.Dac: rail A, rail B, GATE_PROGRAM, GATE_ON.
        return Ceilings(
            low=(zero - READ_CODES, zero - RAIL_CODES, gate_low, gate_low),
            high=(zero + READ_CODES, zero + RAIL_CODES - 1, zero + GATE_CODES, zero + GATE_CODES),
            read=READ_CODES,
            sense=RAIL_CODES,
            width_ps=PULSE_MAX_PS,
            budget_ps=BUDGET_PS,
            duty=BUDGET_DUTY,
            energy_ps=ENERGY_PS,
            watchdog_ps=WATCHDOG_PS,
            limiter=LIMITER_CODES if passive else None,
            zero_code=zero,
        )

    def plane_period_cycles(self) -> dict[PlaneStep, int]:
        """Cycles of each step that an MVM plane consists of; the longest one bounds it."""
        return plane_period_cycles(self.geometry, self.clk_hz, adc=self.adc_part)

    def cycles(self) -> FrontEndCycles:
        """What its handshakes and settling take, for the cost model."""
        return front_end_cycles(self.geometry, self.clk_hz, self.adc_part)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.switches = self.switches
        m.submodules.dac = self.dac
        m.submodules.adc = self.adc
        ready, setting = Signal(), Signal()
        self._pins(m, ready)
        self._core(m, ready, setting)
        self._initialise(m, ready, setting)
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
            adc.busy.eq(self.adc_busy),
            adc.dout.eq(self.adc_dout),
        ]
        if self.adc_part.configuration:
            m.d.comb += self.adc_sdi.eq(adc.sdi)
        # Registered like latch and convert, so that all of them have one cycle of delay.
        m.d.sync += [
            self.gate_a.eq(core.gate_a & ready),
            self.gate_b.eq(core.gate_b & ready),
        ]
        slow = m.d.comb if self.sampled else m.d.sync
        sensor = core.range == TEMPERATURE_RANGE if self.adc_part.sensing else 0
        slow += self.tia_range.eq(Mux(sensor, 0, core.range))
        if self.geometry.tiles > 1:
            slow += self.tile_select.eq(core.tile)
        if self.geometry.has_source:
            m.d.sync += self.source.eq(core.source & ready)
            with m.If(core.source & ready):
                slow += self.tia_range.eq(core.source_range)
        closed = Signal()
        m.submodules.interlock = FFSynchronizer(self.interlock, closed, init=1)
        m.d.comb += core.interlock.eq(~closed)

    def _core(self, m: Module, ready: Signal, setting: Signal) -> None:
        """The core's requests, taken once the parts are initialised.

        While the converters are being set, nothing takes effect that a conversion follows.
        """
        switches, dac, adc, core = self.switches, self.dac, self.adc, self.core
        m.d.comb += [
            core.ready.eq(ready),
            core.loaded.eq(switches.loaded & ready & ~setting),
            core.dac_idle.eq(dac.idle & ready),
            core.adc_idle.eq(adc.idle & ready & ~setting),
            core.samples.valid.eq(adc.samples.valid),
            core.samples.payload.eq(adc.samples.payload),
            core.switch.ready.eq(switches.frame.ready & ready),
            core.dac.ready.eq(dac.frame.ready & ready),
            switches.frame.payload.a.eq(core.switch.payload.a),
            switches.frame.payload.b.eq(core.switch.payload.b),
            dac.frame.payload.channel.eq(core.dac.payload.channel),
            dac.frame.payload.code.eq(core.dac.payload.code),
        ]
        with m.If(ready):
            m.d.comb += [
                switches.frame.valid.eq(core.switch.valid),
                switches.frame.payload.bank.eq(core.switch.payload.group),
                switches.latch.eq(core.latch),
                dac.frame.valid.eq(core.dac.valid),
                adc.convert.eq(core.convert),
            ]

    def _initialise(self, m: Module, ready: Signal, setting: Signal) -> None:
        """From power-up to all lines at 0 V, rails at 0 V and the ADCs configured.

        Its last steps, the converters' settings, are done again while the card is ready, with
        ``setting`` high, when their temperature sensors are to be read or no longer.

        ``safe`` brings its first step from every other one: DACs cleared, switches in
        reset, for longer than the drivers take to end what it has found them at.
        """
        switches, dac, adc, timer = self.switches, self.dac, self.adc, self.timer
        write = adgs1414d.Write
        steps: list[tuple[stream.Interface, Value, dict[str, object]] | None] = []

        def wait() -> int:
            """A step that lasts :data:`WAIT_PS`; its number."""
            steps.append(None)
            return len(steps) - 1

        def to_switches(**values: object) -> None:
            """A step that sends a frame, as the next two are."""
            steps.append((switches.frame, switches.frame.ready, values))

        def to_dac(setup: int) -> None:
            steps.append((dac.frame, dac.idle, {"setup": setup}))

        def to_adcs(setup: int) -> None:
            steps.append((adc.command, adc.idle, {"setup": setup}))

        reset = wait()
        wait()
        # With CRC: a chip that a former run has left in CRC mode takes the reset, and so
        # does one that expects 16 bits, since it writes at the 16th edge regardless.
        to_switches(write=write.SOFT_RESET_1)
        to_switches(write=write.SOFT_RESET_2)
        adc_reset = wait()
        adc_reset_end = wait()
        to_switches(write=write.ENABLE_CRC)
        for group in SwitchGroup:
            to_switches(bank=group, ground=1)
        for setup in range(1, len(ad5754r.CONFIGURATION)):
            to_dac(setup)
        clear_end = wait()
        to_dac(len(ad5754r.CONFIGURATION))
        settings = len(steps)
        for setup in range(len(self.adc_part.configuration)):
            to_adcs(setup)

        step, started = Signal(range(len(steps) + 1)), Signal()
        waiting, free = Signal(), Signal()
        again, sensing = Signal(), Signal()
        m.d.comb += [
            adc.sensor.eq(sensing),
            timer.start.eq(waiting & ~started),
            timer.cycles.eq(cycles_from_ps(WAIT_PS, self.clk_hz)),
            # A frame that ``safe`` has found goes on, and so does what it waits for.
            self.core.active.eq(
                switches.moving | ~dac.idle | ~adc.idle | setting | ~(ready | (waiting & started))
            ),
        ]
        with m.Switch(step):
            for number, frame in enumerate(steps):
                with m.Case(number):
                    if frame is None:
                        m.d.comb += [waiting.eq(1), free.eq(~started | timer.done)]
                    else:
                        port, idle, values = frame
                        m.d.comb += [port.valid.eq(~started), free.eq(idle)]
                        m.d.comb += [port.payload[name].eq(value) for name, value in values.items()]
        with m.If(~ready):
            m.d.comb += switches.latch.eq(1)
        with m.If(free):
            m.d.sync += started.eq(~started)
            with m.If(started):
                m.d.sync += [step.eq(step + 1), ready.eq(ready | (step == len(steps) - 1))]
        m.d.sync += [self.sw_reset.eq(step != reset), self.dac_clr.eq(step >= clear_end)]
        # A reset of the converters that has begun goes on: it must not be too short.
        with m.If(step == adc_reset):
            m.d.sync += self.adc_reset.eq(1)
        with m.If(step == adc_reset_end):
            m.d.sync += self.adc_reset.eq(0)
        if self.adc_part.sensing:
            wanted = Signal()
            m.d.sync += wanted.eq(self.core.range == TEMPERATURE_RANGE)
            m.d.comb += setting.eq(ready & (again | (wanted != sensing)))
            with m.If(step == len(steps)):
                m.d.sync += again.eq(0)
                with m.If((wanted != sensing) & adc.idle & ~self.core.convert):
                    m.d.sync += [again.eq(1), sensing.eq(wanted), step.eq(settings)]
        with m.If(self.core.safe):
            m.d.sync += [step.eq(0), started.eq(0), ready.eq(0)]
            m.d.sync += [self.sw_reset.eq(0), self.dac_clr.eq(0)]
            # The converters' reset takes them off the sensors.
            m.d.sync += [again.eq(0), sensing.eq(0)]
