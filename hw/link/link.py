"""The command link as one block."""

from __future__ import annotations

from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..geometry import Geometry
from .cobs import CobsDecoder, CobsEncoder
from .command import CommandProcessor, GuardSignature, MemoryBusSignature, RunSignature
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
    active : Out(1)
        Something in the link is not idle, the lines included.
    """

    def __init__(self, geometry: Geometry, clk_hz: int, baud: int) -> None:
        self.uart_rx = UartRx(clk_hz, baud)
        self.uart_tx = UartTx(clk_hz, baud)
        self.command = CommandProcessor(geometry, clk_hz)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                **MemoryBusSignature().members,
                **RunSignature().members,
                "guard": Out(GuardSignature()),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.uart_rx = uart_rx = self.uart_rx
        m.submodules.decoder = decoder = CobsDecoder()
        m.submodules.receiver = receiver = FrameReceiver()
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
            command.length.eq(receiver.length),
            command.good.eq(receiver.good),
            command.bad.eq(receiver.bad),
        ]
        for port in (command.memory, command.core):
            for name, member in port.signature.members.items():
                inside, outside = getattr(port, name), getattr(self, name)
                m.d.comb += outside.eq(inside) if member.flow is Out else inside.eq(outside)

        wiring.connect(m, command.guard, wiring.flipped(self.guard))

        chain = (uart_rx, decoder, receiver, command, transmitter, encoder, uart_tx)
        m.d.comb += self.active.eq(Cat(*(each.active for each in chain)) != 0)
        return m
