"""Words out of data lines that bring a bit of each at a time."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..ram import Ram
from .spi import SerialClock

WORD_BITS = 16


def _members(lines: int, clock: SerialClock) -> dict[str, wiring.Member]:
    words = clock.max_bits // WORD_BITS
    return {
        "lines": In(lines),
        "enable": In(1),
        "valid": Out(1),
        "place": Out(range(lines * words)),
        "word": Out(WORD_BITS),
        "busy": Out(1),
    }


class ParallelGatherer(wiring.Component):
    """Takes the bits of all lines at once; complete words leave while the next ones arrive.

    Parameters
    ----------
    lines : int
        Data lines.
    clock : SerialClock
        Of the frame, which has a whole number of words: a power of two.

    Members
    -------
    lines, enable : In
        The data lines, and whether the present frame brings words.
    valid, place, word : Out
        A word, highest bit first on its line: number ``k`` of line ``n`` has the place
        ``n * words + k``.
    busy : Out(1)
        Words are still to come when the frame is over.
    """

    def __init__(self, lines: int, clock: SerialClock) -> None:
        self.count = lines
        self.clock = clock
        super().__init__(_members(lines, clock))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n, clock = self.count, self.clock
        bit, word = clock.left[:4], ~clock.left[4:]
        # Bit-sliced: the same bit of every line lies side by side.
        arriving = Signal(WORD_BITS * n)
        ready = Signal(WORD_BITS * n)
        emitting = Signal(range(n + 1))
        line = Signal(range(n))
        emitted = Signal.like(word)
        with m.If(emitting != 0):
            m.d.sync += [
                emitting.eq(emitting - 1),
                line.eq(line + 1),
                ready.eq(ready >> WORD_BITS),
            ]
        with m.If(self.enable & clock.active):
            arrived = Cat(self.lines, arriving[:-n])
            m.d.sync += arriving.eq(arrived)
            with m.If(bit == 0):
                m.d.sync += [
                    ready.eq(Cat(arrived[i::n] for i in range(n))),
                    emitting.eq(n),
                    line.eq(0),
                    emitted.eq(word),
                ]
        m.d.comb += [
            self.busy.eq(emitting != 0),
            self.valid.eq(emitting != 0),
            self.place.eq(Cat(emitted, line)),
            self.word.eq(ready[:WORD_BITS]),
        ]
        return m


class SerialGatherer(wiring.Component):
    """Takes the bits of the lines one after the other, into words in a block RAM.

    A period of the serial clock, and the time before its first edge, have a cycle for each
    line: in the first half the lower lines come, in the second the higher ones, the
    highest of each first. In its cycle a line's word is fetched, gets the bit, and goes back.

    Parameters and members are those of :class:`ParallelGatherer`; it is never busy.
    """

    def __init__(self, lines: int, clock: SerialClock) -> None:
        self.count = lines
        self.clock = clock
        super().__init__(_members(lines, clock))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clock, half = self.clock, self.clock.timing.half
        bit, word = clock.left[:4], ~clock.left[4:]
        m.submodules.words = words = Ram(WORD_BITS, 2 * half)
        words.memory.attrs["ram_style"] = "block"
        line = Signal(range(2 * half))
        taking = Signal()
        m.d.comb += [
            line.eq(clock.wait + Mux(clock.high, half, 0)),
            taking.eq(self.enable & clock.select & ~clock.ended & (line < self.count)),
            words.read.addr.eq(Mux(line == 0, 2 * half - 1, line - 1)),
            words.write.addr.eq(line),
            words.write.data.eq(Cat(Array(self.lines)[line], words.read.data)),
            words.write.en.eq(taking),
            self.valid.eq(taking & (bit == 0)),
            self.place.eq(Cat(word, line)),
            self.word.eq(words.write.data),
        ]
        return m
