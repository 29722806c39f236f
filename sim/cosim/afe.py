"""The front end that a job's controller has: the bench around it, and what it takes."""

from __future__ import annotations

from dataclasses import replace

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...hw.afe import cards, emulated
from ...hw.afe.cards import FRONT_ENDS
from ...hw.afe.interface import PlaneStep
from ...hw.afe.kinds import FrontEndKind
from ...hw.cycles import FrontEndCycles
from ...hw.emulated_tables import EmulatedTables
from ...hw.geometry import Geometry
from ...hw.timers import FOREVER, NOW_BITS
from ...hw.top import Top
from ..devices import DeviceError
from ..emulated import emulated_tables
from .bench import Bench
from .fault import Fault
from .job import Job


class EmulatedBench(wiring.Component):
    """A controller that has its array inside: no chips, and nothing but the serial line.

    Members
    -------
    rx, tx, jump, horizon, now, skipped, busy
        Of :class:`~ohmloom.hw.top.Top`.
    """

    def __init__(self, geometry: Geometry, clk_hz: int, baud: int, tables: EmulatedTables) -> None:
        self.afe = emulated.Emulated(geometry, clk_hz, tables)
        self.top = Top(geometry, clk_hz, baud, self.afe)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "jump": In(1),
                "horizon": In(NOW_BITS, init=FOREVER),
                "now": Out(64),
                "skipped": Out(64),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.top = top = self.top
        m.d.comb += [
            top.rx.eq(self.rx),
            self.tx.eq(top.tx),
            top.jump.eq(self.jump),
            top.horizon.eq(self.horizon),
            self.now.eq(top.now),
            self.skipped.eq(top.skipped),
            self.busy.eq(top.busy),
        ]
        return m


AnyBench = Bench | EmulatedBench


def bench_of(job: Job, *, gates: bool = False) -> AnyBench:
    """What a job simulates, not elaborated; with ``gates`` a netlist in the RTL's place.

    A fault that is to be planted in an emulated array is.
    """
    geometry, baud = job.image.geometry, job.clk_hz // job.bit_cycles
    if job.afe is not FrontEndKind.EMULATED:
        return Bench(geometry, job.clk_hz, baud, FRONT_ENDS[job.afe], job.adc, gates)
    if gates:
        raise DeviceError("gates are simulated behind a card's chips, not with an emulated array")
    return EmulatedBench(geometry, job.clk_hz, baud, _planted(tables_of(job), job.fault))


def tables_of(job: Job) -> EmulatedTables:
    """The integers of a job's emulated array."""
    return emulated_tables(job.device, job.converters, job.seed)


def _planted(tables: EmulatedTables, fault: Fault | None) -> EmulatedTables:
    """Tables with a wrong entry; a job refuses the fault that there is no entry for."""
    if fault is Fault.CONDUCTANCE:
        mean = [entry + (1 << 8) * n for n, entry in enumerate(tables.mean)]
        return replace(tables, mean=tuple(min(entry, (1 << 16) - 1) for entry in mean))
    if fault is Fault.ADC:
        (mantissa, shift), *others = tables.gains
        return replace(tables, gains=((mantissa ^ 1 << 12, shift), *others))
    return tables


def front_end_of(job: Job) -> FrontEndCycles:
    """What a job's front end takes, for the cost model.

    Raises
    ------
    ValueError
        If it is not for such a geometry, or not at such a clock.
    """
    if job.afe is FrontEndKind.EMULATED:
        return emulated.front_end_cycles(job.image.geometry, job.clk_hz, tables_of(job))
    return cards.front_end_cycles(job.afe, job.image.geometry, job.clk_hz, job.adc)


def plane_period_of(job: Job, tia_range: int) -> dict[PlaneStep, int]:
    """Cycles of each step of a plane."""
    if job.afe is FrontEndKind.EMULATED:
        return emulated.plane_period_cycles(job.image.geometry, tables_of(job))
    return cards.plane_period_cycles(job.afe, job.image.geometry, job.clk_hz, tia_range, job.adc)
