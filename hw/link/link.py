"""The command link as one block."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..geometry import Geometry
from .cobs import CobsDecoder, CobsEncoder
from .command import (
    CommandProcessor,
    GuardSignature,
    LogSignature,
    MemoryBusSignature,
    RunSignature,
)
from .frame import FrameReceiver, FrameTransmitter
from .uart import UartRx, UartTx


class Link(wiring.Component):
    """Serial port to memory bus and sequencer.

    Parameters
    ----------
    geometry : Geometry
        Sizes of the memories, reported to the host and checked in every request.
    clk_hz, baud : int
        Clock and rate; a rate that is off by more than 1 % is refused.
    front_end : str
        Name of the front end, reported to the host.

    Members
    -------
    rx, tx : In(1), Out(1)
        The serial lines, idle high.
    space, address, write_data, write, read, read_data
        See :class:`MemoryBusSignature`.
    run, run_address, run_epoch, running, done, cycles, saturations
        See :class:`RunSignature`.
    guard : Out(GuardSignature)
        To the guard.
    log : Out(LogSignature)
        To the event log; its entries are read as any other memory.
    dropped : Out(1)
        Strobe: a broken frame, the first since a good one.
    active : Out(1)
        Something in the link is not idle, the lines included.
    """

    def __init__(self, geometry: Geometry, clk_hz: int, baud: int, front_end: str = "") -> None:
        # Of these two the stream, the line and ``active`` are used; a test may wrap them.
        self.uart_rx: Any = UartRx(clk_hz, baud)
        self.uart_tx: Any = UartTx(clk_hz, baud)
        self.receiver = FrameReceiver(geometry.window)
        self.command = CommandProcessor(geometry, clk_hz, front_end)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                **MemoryBusSignature().members,
                **RunSignature().members,
                "guard": Out(GuardSignature()),
                "log": Out(LogSignature()),
                "dropped": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.uart_rx = uart_rx = self.uart_rx
        m.submodules.decoder = decoder = CobsDecoder()
        m.submodules.receiver = receiver = self.receiver
        m.submodules.command = command = self.command
        m.submodules.transmitter = transmitter = FrameTransmitter()
        m.submodules.encoder = encoder = CobsEncoder()
        m.submodules.uart_tx = uart_tx = self.uart_tx

        wiring.connect(m, uart_rx.o, decoder.i)
        wiring.connect(m, decoder.o, receiver.i)
        wiring.connect(m, receiver.o, command.i)
        wiring.connect(m, command.o, transmitter.i)
        wiring.connect(m, transmitter.o, encoder.i)
        wiring.connect(m, encoder.o, uart_tx.i)

        m.d.comb += [
            uart_rx.rx.eq(self.rx),
            self.tx.eq(uart_tx.tx),
            command.held.eq(receiver.active),
            command.length.eq(receiver.length),
            receiver.release.eq(command.release),
            command.dropped.eq(receiver.uncounted),
            receiver.counted.eq(command.counted),
            self.dropped.eq(receiver.dropped),
        ]
        for port in (command.memory, command.core):
            for name, member in port.signature.members.items():
                inside, outside = getattr(port, name), getattr(self, name)
                m.d.comb += outside.eq(inside) if member.flow is Out else inside.eq(outside)

        wiring.connect(m, command.guard, wiring.flipped(self.guard))
        wiring.connect(m, command.log, wiring.flipped(self.log))

        chain = (uart_rx, decoder, receiver, command, encoder, uart_tx)
        m.d.comb += self.active.eq(Cat(*(each.active for each in chain)) != 0)
        return m
