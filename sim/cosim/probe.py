"""Carries what the chips do to the analog card, and its codes back, inside cocotb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import NextTimeStep, ReadOnly, ValueChange

from ...hw.geometry import Geometry
from .card import AnalogCard, ConversionTag


class Probe:
    """Watches the bench's chip outputs; wakes Python only when one of them moves.

    Parameters
    ----------
    dut :
        The elaborated bench (see :class:`~ohmloom.sim.cosim.bench.Bench`).
    card : AnalogCard
        What lies behind the pins.
    geometry : Geometry
        Dimensions of the bench.
    corrupt : callable or None
        Applied to the codes of every conversion: the place to plant an ADC fault.
    """

    def __init__(
        self,
        dut: Any,
        card: AnalogCard,
        geometry: Geometry,
        corrupt: Callable[[int, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self._dut = dut
        self._card = card
        self._geometry = geometry
        self._corrupt = corrupt
        rows, columns = geometry.rows, geometry.columns
        self._watch(dut.rows, lambda v: self._lines(v, rows, ("row_a", "row_b", "row_ground")))
        self._watch(dut.columns, lambda v: self._lines(v, columns, ("column_tia", "column_ground")))
        self._watch(
            dut.gates,
            # The third third are the gates' ground switches: off is all they can do.
            lambda v: self._lines(v, columns, ("gate_program", "gate_on")),
        )
        for channel in range(4):
            self._watch(
                getattr(dut, f"dac{channel}"),
                lambda v, channel=channel: card.set_dac(self._now(), channel, v),
            )
        self._watch(dut.tile, lambda v: card.set_tile(self._now(), v))
        self._watch(dut.tia_range, lambda v: card.set_range(self._now(), v))
        self._watch(dut.gate_a, lambda v: card.set_gate_a(self._now(), bool(v)))
        self._watch(dut.gate_b, lambda v: card.set_gate_b(self._now(), bool(v)))
        cocotb.start_soon(self._convert())

    def _watch(self, signal: Any, react: Callable[[int], None]) -> None:
        async def follow() -> None:
            while True:
                await ValueChange(signal)
                await ReadOnly()  # the other outputs of the same clock edge have settled too
                react(int(signal.value))

        cocotb.start_soon(follow())

    def _now(self) -> int:
        return int(self._dut.now.value)

    def _lines(self, value: int, size: int, names: tuple[str, ...]) -> None:
        bits = np.unpackbits(
            np.frombuffer(value.to_bytes(-(-size * 3 // 8), "little"), np.uint8),
            bitorder="little",
        ).astype(bool)
        lines = {name: bits[i * size : (i + 1) * size] for i, name in enumerate(names)}
        self._card.set_lines(self._now(), **lines)

    async def _convert(self) -> None:
        dut = self._dut
        while True:
            await ValueChange(dut.sample)
            await ReadOnly()
            tag = ConversionTag(
                bool(dut.tag_inference.value), int(dut.tag_epoch.value), int(dut.tag_index.value)
            )
            codes = self._card.convert(self._now(), tag)
            if self._corrupt is not None:
                codes = self._corrupt(self._card.conversions, codes)
            await NextTimeStep()
            dut.codes.value = int.from_bytes(codes.astype("<i2").tobytes(), "little")
