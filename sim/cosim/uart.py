"""The host's end of the serial line, for cocotb: a transport of the link's async client."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import FallingEdge, SimTimeoutError, Timer, with_timeout
from cocotb.utils import get_sim_time

BITS_PER_BYTE = 8


class Uart:
    """Sends and receives 8N1 bytes on two pins.

    Parameters
    ----------
    rx, tx :
        The controller's pins: this end drives ``rx`` and watches ``tx``.
    bit_cycles : int
        Length of a bit in clock cycles.
    cycle_steps : int
        Length of a clock cycle in simulator steps; its rising edges are at multiples.
    clk_hz : int
        The controller's clock.
    """

    def __init__(self, rx: Any, tx: Any, bit_cycles: int, cycle_steps: int, clk_hz: int) -> None:
        self._rx = rx
        self._tx = tx
        self._bit = bit_cycles * cycle_steps
        self._cycle = cycle_steps
        self._steps_per_second = clk_hz * cycle_steps
        self._received: Queue[int] = Queue()
        rx.value = 1
        cocotb.start_soon(self._listen())

    async def write(self, data: bytes) -> None:
        """Send bytes back to back, in the middle of cycles: never in a race with an edge."""
        if get_sim_time("step") % self._cycle == 0:
            await Timer(self._cycle // 2, "step")
        for byte in data:
            frame = [0, *((byte >> i) & 1 for i in range(BITS_PER_BYTE)), 1]
            start = 0
            # One wake per change of level, not per bit.
            for end in range(1, len(frame) + 1):
                if end == len(frame) or frame[end] != frame[start]:
                    self._rx.value = frame[start]
                    await Timer((end - start) * self._bit, "step")
                    start = end

    async def read(self, timeout: float) -> bytes:
        """The bytes that have arrived, at least one, or none after ``timeout`` seconds."""
        try:
            steps = round(timeout * self._steps_per_second)
            first = await with_timeout(self._received.get(), steps, "step")
        except SimTimeoutError:
            return b""
        rest = [self._received.get_nowait() for _ in range(self._received.qsize())]
        return bytes([first, *rest])

    async def _listen(self) -> None:
        while True:
            await FallingEdge(self._tx)
            await Timer(self._bit + self._bit // 2, "step")
            byte = 0
            for i in range(BITS_PER_BYTE):
                byte |= int(self._tx.value) << i
                await Timer(self._bit, "step")
            self._received.put_nowait(byte)
