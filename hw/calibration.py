"""Calibration: gain and offset of every channel in every TIA range."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import sample_layout
from .geometry import Geometry
from .ram import Ram
from .ranges import RANGE_BITS
from .readout import CODE_BITS
from .tables import (
    CALIBRATION_CYCLES,
    ENTRY_FIELDS,
    GAIN_FRACTION_BITS,
    IDENTITY,
    table_columns,
    table_depth,
)

CODE_MAX = (1 << CODE_BITS - 1) - 1
CODE_MIN = -CODE_MAX - 1


class Calibrator(wiring.Component):
    """Mends the samples of a front end on their way to the engines.

    ``code' = clamp(round_half_even(code * gain / 2^15) + offset)``; a code at a rail
    stays there. One sample a cycle with one multiplier: a sample comes out
    ``CALIBRATION_CYCLES`` cycles after it has gone in, and ``adc_idle`` rises as much later.

    Parameters
    ----------
    geometry : Geometry
        Its columns.

    Members
    -------
    i, o : In, Out(stream)
        Samples of the front end, and mended ones.
    i_idle, o_idle : In(1), Out(1)
        ``adc_idle`` of the front end, and what the engines see.
    convert : In(1)
        Strobe: ``range`` is that of the coming samples, or ``bypass`` says that they are
        no currents and stay as they are.
    range, bypass : In
        See there.
    address, word, write : In
        The table, while nothing runs: address of the link, word and strobe.
    entry : Out(32)
        The word at ``address``, a cycle later.
    reading : In(1)
        The link reads the table.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "i": In(stream.Signature(sample_layout(), always_ready=True)),
                "o": Out(stream.Signature(sample_layout(), always_ready=True)),
                "i_idle": In(1),
                "o_idle": Out(1),
                "convert": In(1),
                "range": In(RANGE_BITS),
                "bypass": In(1),
                "address": In(16),
                "word": In(32),
                "write": In(1),
                "entry": Out(32),
                "reading": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns = table_columns(self.geometry.columns)
        depth = table_depth(self.geometry)
        m.submodules.table = table = Ram(32, depth, [IDENTITY] * depth)
        read, write = table.read, table.write
        tia_range, bypass = Signal(RANGE_BITS), Signal()
        with m.If(self.convert):
            m.d.sync += [tia_range.eq(self.range), bypass.eq(self.bypass)]
        sample = self.i.payload
        of_sample = Cat(sample["column"][: columns.bit_length() - 1], tia_range)
        m.d.comb += [
            read.addr.eq(Mux(self.reading, self.address, of_sample)),
            self.entry.eq(read.data),
            write.addr.eq(self.address),
            write.data.eq(self.word),
            write.en.eq(self.write),
        ]

        # Sample and entry; product; rounded; with the offset.
        gain, offset = Signal(ENTRY_FIELDS[0].width), Signal(signed(ENTRY_FIELDS[1].width))
        m.d.comb += Cat(gain, offset).eq(read.data)
        stages = [_Stage(n) for n in range(CALIBRATION_CYCLES)]
        m.d.sync += [
            stages[0].valid.eq(self.i.valid),
            stages[0].column.eq(sample["column"]),
            stages[0].code.eq(sample["code"]),
        ]
        for before, after in zip(stages, stages[1:], strict=False):
            m.d.sync += [
                after.valid.eq(before.valid),
                after.column.eq(before.column),
                after.code.eq(before.code),
                after.kept.eq(before.kept),
            ]
        first, second, third, last = stages
        product = Signal(signed(CODE_BITS + ENTRY_FIELDS[0].width + 1))
        offsets = [Signal(signed(CODE_BITS), name=f"offset{n}") for n in range(2)]
        m.d.sync += [
            product.eq(first.code * gain),
            offsets[0].eq(offset),
            offsets[1].eq(offsets[0]),
            second.kept.eq(bypass | (first.code == CODE_MAX) | (first.code == CODE_MIN)),
        ]
        # Half to even: half of the divisor less one, and one more where the floor is odd.
        rounded = Signal(signed(len(product) - GAIN_FRACTION_BITS + 1))
        half = (1 << GAIN_FRACTION_BITS - 1) - 1
        m.d.sync += rounded.eq((product + half + product[GAIN_FRACTION_BITS]) >> GAIN_FRACTION_BITS)
        total = Signal(signed(len(rounded) + 1))
        clamped = Signal(signed(CODE_BITS))
        m.d.comb += [
            total.eq(rounded + offsets[1]),
            clamped.eq(Mux(total > CODE_MAX, CODE_MAX, Mux(total < CODE_MIN, CODE_MIN, total))),
        ]
        m.d.sync += last.code.eq(Mux(third.kept, third.code, clamped))
        m.d.comb += [
            self.o.valid.eq(last.valid),
            self.o.payload["column"].eq(last.column),
            self.o.payload["code"].eq(last.code),
        ]

        # As high as the front end's, so many cycles later; low at once.
        idle = Signal(CALIBRATION_CYCLES, init=-1)
        m.d.sync += idle.eq(Cat(self.i_idle, idle))
        m.d.comb += self.o_idle.eq(self.i_idle & idle.all())
        return m


class _Stage:
    """A sample on its way."""

    def __init__(self, number: int) -> None:
        self.valid = Signal(name=f"valid{number}")
        self.column = Signal(8, name=f"column{number}")
        self.code = Signal(signed(CODE_BITS), name=f"code{number}")
        self.kept = Signal(name=f"kept{number}")
