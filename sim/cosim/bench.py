"""The device under test: the controller's top with the card's chips at its pins.

Simulation only. What the simulator's user needs to see or drive are flat ports
of :class:`Bench`; everything in between is RTL, so that Python is woken by
events of the analog world and not by serial clocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from amaranth import Cat, Module
from amaranth.back import verilog as backend
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...hw.afe import ad5754r, ad7606c, adgs1414d
from ...hw.afe.adc_part import CHANNELS, AdcPart
from ...hw.afe.array_card import ArrayCard
from ...hw.afe.chained_card import ChainedCard
from ...hw.afe.tia import RANGES, tau_ps
from ...hw.geometry import Geometry
from ...hw.isa import Dac
from ...hw.timers import FOREVER, NOW_BITS
from ...hw.top import Top
from .card import AnalogCard, CardFault, Lags
from .chips.array_card import FAULTS, ArrayCardChips
from .chips.pin_chain import PinChainModel
from .gates import Gates

DAC_SETTLE_TAUS = 11.8
"""ln(2^17): the data sheet's settling time is to half an LSB of 16 bits."""


def lags(clk_hz: int, adc: AdcPart = ad7606c.PART) -> Lags:
    """Analog lags of the card in clock cycles, from the parts' own numbers."""
    cycles_per_ps = clk_hz / 10**12
    single, double = (adc.filter_ps, 0) if adc.order == 1 else (0, adc.filter_ps)
    return Lags(
        input_tau=(tau_ps(0) + single) * cycles_per_ps,
        filter_tau=double * cycles_per_ps,
        range_taus=tuple((tau_ps(n) - tau_ps(0)) * cycles_per_ps for n in range(len(RANGES))),
        input_delay=adgs1414d.T_ON_PS * cycles_per_ps,
        sensor_tau=adc.sensor_ps / adc.settle_taus * cycles_per_ps,
        dac_tau=ad5754r.SETTLE_PS / DAC_SETTLE_TAUS * cycles_per_ps,
    )


@dataclass(frozen=True)
class Watched:
    """An output of the bench whose changes the analog card is told, in the order of the list.

    Attributes
    ----------
    name : str
        The output.
    tell : callable
        Tells the card: takes it, the time in cycles and the new value.
    at_once : bool
        The run must not go on before the card knows; otherwise the changes may
        be told later, each with its own time.
    """

    name: str
    tell: Callable[[AnalogCard, int, int], None]
    at_once: bool = False


def watched(geometry: Geometry) -> tuple[Watched, ...]:
    """What the card is told; a conversion, which asks it for codes, comes on top."""
    rows, columns = geometry.rows, geometry.columns

    def lines(size: int, *names: str) -> Callable[[AnalogCard, int, int], None]:
        def tell(card: AnalogCard, now: int, value: int) -> None:
            packed = np.frombuffer(value.to_bytes(-(-3 * size // 8), "little"), np.uint8)
            bits = np.unpackbits(packed, bitorder="little").astype(bool)
            card.set_lines(
                now, **{name: bits[i * size : (i + 1) * size] for i, name in enumerate(names)}
            )

        return tell

    def dac(channel: int) -> Callable[[AnalogCard, int, int], None]:
        return lambda card, now, value: card.set_dac(now, channel, value)

    def refuse(card: AnalogCard, now: int, value: int) -> None:
        if value:
            raise CardFault(f"cycle {now}: the chips complain: {broken_rules(value)}")

    return (
        Watched("rows", lines(rows, "row_a", "row_b", "row_ground")),
        Watched("columns", lines(columns, "column_tia", "column_ground")),
        # The third third are the gates' ground switches: off is all they can do.
        Watched("gates", lines(columns, "gate_program", "gate_on")),
        *(Watched(f"dac{channel.value}", dac(channel.value)) for channel in Dac),
        Watched("tile", AnalogCard.set_tile),
        Watched("source", lambda card, now, value: card.set_source(now, bool(value))),
        Watched("tia_range", AnalogCard.set_range),
        Watched("sensor", AnalogCard.set_sensor),
        Watched("train", lambda card, now, value: card.set_train(now, bool(value))),
        Watched("waiting", lambda card, now, value: card.set_waiting(now, bool(value))),
        Watched(
            "changing",
            lambda card, now, value: card.set_changing(now, bool(value & 1), value >> 1),
        ),
        Watched("gate_a", lambda card, now, value: card.set_gate_a(now, bool(value))),
        Watched("gate_b", lambda card, now, value: card.set_gate_b(now, bool(value))),
        Watched("fault", refuse, at_once=True),
    )


def broken_rules(fault: int) -> str:
    """The bench's ``fault`` in words: each part that complains, with its fault code."""
    found = {name: fault >> field.offset & (1 << field.width) - 1 for name, field in FAULTS}
    return ", ".join(f"{name} {code}" for name, code in found.items() if code)


class Bench(wiring.Component):
    """Controller and chips.

    Parameters
    ----------
    geometry, clk_hz, baud
        Of the controller.
    card, adc
        Its front end, and the card's converters.
    gates : bool
        A netlist of the controller takes its place (:class:`~ohmloom.sim.cosim.gates.Gates`).

    Members
    -------
    rx, tx, jump, horizon, now, skipped
        Of :class:`~ohmloom.hw.top.Top`; ``now`` counts skipped cycles too.
    rows, columns, gates : Out
        Switch states, one way after the other: rail A, rail B, 0 V; TIA, 0 V;
        GATE_PROGRAM, GATE_ON, 0 V.
    dac0 .. dac3 : Out(16)
        Codes of the DAC channels.
    tile, tia_range, source, gate_a, gate_b : Out
        Lines of the card's chips; a controller without the current source has no ``source``,
        and one of a single tile no ``tile_select``.
    sensor : Out(8)
        Channels of the converters that are on their temperature sensor.
    sample, codes, tag_inference, tag_epoch, tag_index
        A conversion: ``sample`` toggles, ``codes`` is wanted before it ends.
    changing : Out(4)
        Of the controller: bit 0, the recipe of a change of mode is being done on a row;
        above it the number of the new mode.
    train : Out(1)
        Of the controller: pulses of one instruction, and the time between them.
    waiting : Out(1)
        Of the controller: time passes for the cells, and nothing else happens.
    busy : Out(1)
        Of the controller: it has something to do.
    fault : Out(16)
        Sticky fault codes of the chip models.
    """

    def __init__(
        self,
        geometry: Geometry,
        clk_hz: int,
        baud: int,
        card: type[ArrayCard] | type[ChainedCard] = ArrayCard,
        adc: AdcPart = ad7606c.PART,
        gates: bool = False,
    ) -> None:
        self.geometry = geometry
        self.card = card(geometry, clk_hz, adc=adc)
        top = Top(geometry, clk_hz, baud, self.card)
        self.top = Gates(top) if gates else top
        self.chips = ArrayCardChips(geometry, clk_hz, adc)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "jump": In(1),
                "horizon": In(NOW_BITS, init=FOREVER),
                "now": Out(64),
                "skipped": Out(64),
                "rows": Out(3 * geometry.rows),
                "columns": Out(2 * geometry.columns),
                "gates": Out(3 * geometry.columns),
                **{f"dac{channel.value}": Out(16) for channel in Dac},
                "tile": Out(12),
                "tia_range": Out(3),
                "source": Out(1),
                "sensor": Out(CHANNELS),
                "gate_a": Out(1),
                "gate_b": Out(1),
                "sample": Out(1),
                "codes": In(16 * geometry.columns),
                "tag_inference": Out(1),
                "tag_epoch": Out(32),
                "tag_index": Out(32),
                "train": Out(1),
                "waiting": Out(1),
                "busy": Out(1),
                "changing": Out(4),
                "fault": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.top = top = self.top
        m.submodules.chips = chips = self.chips
        pins = chips.pins
        if isinstance(self.card, ChainedCard):
            m.submodules.chain = chain = PinChainModel(self.geometry, self.card.adc_part)
            wiring.connect(m, top.pins, chain.pins)
            wiring.connect(m, chain.card, pins)
        else:
            wiring.connect(m, top.pins, pins)
        m.d.comb += [
            top.rx.eq(self.rx),
            self.tx.eq(top.tx),
            top.jump.eq(self.jump),
            top.horizon.eq(self.horizon),
            self.now.eq(top.now),
            self.skipped.eq(top.skipped),
            chips.skipped.eq(top.skipped),
            self.rows.eq(Cat(chips.row_a, chips.row_b, chips.row_ground)),
            self.columns.eq(Cat(chips.column_tia, chips.column_ground)),
            self.gates.eq(Cat(chips.gate_program, chips.gate_on, chips.gate_ground)),
            *(getattr(self, f"dac{n.value}").eq(chips.rails[n.value]) for n in Dac),
            self.tile.eq(pins.tile_select if self.geometry.tiles > 1 else 0),
            self.tia_range.eq(pins.tia_range),
            self.source.eq(pins.source if self.geometry.has_source else 0),
            self.gate_a.eq(pins.gate_a),
            self.gate_b.eq(pins.gate_b),
            self.sensor.eq(chips.sensor),
            self.sample.eq(chips.sample),
            chips.codes.as_value().eq(self.codes),
            self.tag_inference.eq(top.tag.inference),
            self.tag_epoch.eq(top.tag.epoch),
            self.tag_index.eq(top.tag.index),
            self.train.eq(top.train),
            self.waiting.eq(top.waiting),
            self.busy.eq(top.busy),
            self.changing.eq(Cat(top.changing.on, top.changing.to)),
            self.fault.eq(chips.faults.as_value()),
        ]
        return m


def verilog(bench: wiring.Component, name: str) -> str:
    """The bench as Verilog, clock ``clk`` and reset ``rst`` among its ports."""
    return backend.convert(bench, name=name, emit_src=False)
