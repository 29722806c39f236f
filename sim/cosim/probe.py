"""Carries what the chips do to the analog card, and its codes back, inside cocotb."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import NextTimeStep, ReadOnly, ValueChange

from .bench import Watched
from .pins import CODES, SAMPLE, TAG, CardPins


class Probe:
    """Watches the bench's chip outputs; wakes Python only when one of them moves.

    Parameters
    ----------
    dut :
        The elaborated bench (see :class:`~ohmloom.sim.cosim.bench.Bench`).
    pins : CardPins
        What lies behind them.
    """

    def __init__(self, dut: Any, pins: CardPins) -> None:
        self._dut = dut
        self._pins = pins
        for output in pins.watched:
            cocotb.start_soon(self._follow(output))
        cocotb.start_soon(self._convert())

    def _now(self) -> int:
        return int(self._dut.now.value)

    async def _follow(self, output: Watched) -> None:
        signal = getattr(self._dut, output.name)
        while True:
            await ValueChange(signal)
            await ReadOnly()  # the other outputs of the same clock edge have settled too
            self._pins.moved(output, self._now(), int(signal.value))

    async def _convert(self) -> None:
        dut = self._dut
        sample, codes = getattr(dut, SAMPLE), getattr(dut, CODES)
        tag = [getattr(dut, name) for name in TAG]
        while True:
            await ValueChange(sample)
            await ReadOnly()
            found = self._pins.convert(self._now(), *(int(part.value) for part in tag))
            await NextTimeStep()
            codes.value = found
