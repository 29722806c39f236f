"""UART, eight data bits, no parity, one stop bit (8N1)."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ...errors import OhmloomError

MIN_DIVISOR = 4
"""Fewest clock cycles of a bit: the receiver needs a middle, with a cycle to either side."""
MAX_ERROR_PERCENT = 1


class BaudError(OhmloomError):
    """A baud rate that this clock cannot make."""


def divisor(clk_hz: int, baud: int) -> int:
    """Clock cycles of a bit, the nearest integer.

    Raises
    ------
    BaudError
        If the rate is off by more than 1 %, or a bit is shorter than four cycles.
    """
    cycles = max(MIN_DIVISOR, (2 * clk_hz + baud) // (2 * baud))
    if 100 * abs(clk_hz - baud * cycles) > MAX_ERROR_PERCENT * baud * cycles:
        achieved = clk_hz / cycles
        raise BaudError(
            f"{clk_hz} Hz cannot make {baud} baud: the nearest is {achieved:.0f} baud, "
            f"{100 * (achieved / baud - 1):+.2f} %; at most {MAX_ERROR_PERCENT} % and at least "
            f"{MIN_DIVISOR} cycles a bit are accepted"
        )
    return cycles


class UartRx(wiring.Component):
    """Receiver. A byte whose stop bit is low is dropped, and the line must rise first.

    Parameters
    ----------
    clk_hz, baud : int
        See :func:`divisor`.

    Members
    -------
    rx : In(1)
        The line, asynchronous, idle high.
    o : stream of bytes
        Without back-pressure: whoever listens is always ready.
    active : Out(1)
        The line is low, or a byte is being received.
    """

    def __init__(self, clk_hz: int, baud: int) -> None:
        self.divisor = divisor(clk_hz, baud)
        # Internal state, named for proofs.
        self.line = Signal(init=1)
        self.busy = Signal()
        self.timer = Signal(range(self.divisor))
        self.bit = Signal(range(11))
        self.shift = Signal(8)
        super().__init__(
            {
                "rx": In(1, init=1),
                "o": Out(stream.Signature(8, always_ready=True)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line, busy, timer, shift = self.line, self.busy, self.timer, self.shift
        m.submodules.sync = FFSynchronizer(self.rx, line, init=1)

        # Bit under way: 0 start, 1 to 8 data, 9 stop, 10 waiting for the line to rise.
        bit = self.bit
        m.d.comb += [
            self.active.eq(busy | ~line | ~self.rx),
            self.o.payload.eq(shift),
        ]

        with m.If(~busy):
            m.d.sync += [busy.eq(~line), bit.eq(0), timer.eq(self.divisor // 2 - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self.divisor - 1), bit.eq(bit + 1)]
            with m.Switch(bit):
                with m.Case(0):
                    m.d.sync += busy.eq(~line)  # a glitch, not a start bit, when high again
                with m.Case(9):
                    m.d.comb += self.o.valid.eq(line)
                    m.d.sync += busy.eq(~line)
                with m.Case(10):
                    m.d.sync += [timer.eq(0), bit.eq(bit), busy.eq(~line)]
                with m.Default():
                    m.d.sync += shift.eq(Cat(shift[1:], line))
        return m


class UartTx(wiring.Component):
    """Transmitter.

    Parameters
    ----------
    clk_hz, baud : int
        See :func:`divisor`.

    Members
    -------
    i : stream of bytes
    tx : Out(1)
        The line, a register, high from power-up on.
    active : Out(1)
        A byte is being sent; low only after the whole of its stop bit.
    """

    def __init__(self, clk_hz: int, baud: int) -> None:
        self.divisor = divisor(clk_hz, baud)
        # Internal state, named for proofs.
        self.timer = Signal(range(self.divisor))
        self.bits = Signal(range(11))
        self.shift = Signal(9)
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "tx": Out(1, init=1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer, shift = self.timer, self.shift
        bits = self.bits  # still to be finished, the one on the line included
        m.d.comb += [self.active.eq(bits != 0), self.i.ready.eq(bits == 0)]

        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.tx.eq(0),
                shift.eq(Cat(self.i.payload, 1)),
                bits.eq(10),
                timer.eq(self.divisor - 1),
            ]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(bits != 0):
            m.d.sync += [
                bits.eq(bits - 1),
                self.tx.eq(shift[0]),
                shift.eq(Cat(shift[1:], 1)),
            ]
            with m.If(bits != 1):
                m.d.sync += timer.eq(self.divisor - 1)
        return m
