"""Pulses on the cells of a passive array."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...hw.isa import Staircase, Train, limited, selected_code
from ..array import pulse_lines
from ..numerics import IntArray
from .errors import EngineError
from .pulses import LinePulser

_ZERO = 0x8000


class PassivePulser(LinePulser):
    """A :class:`LinePulser` of one cell whose row and columns share the voltage.

    Attributes
    ----------
    on:
        Code of GATE_ON.
    """

    on: int = _ZERO

    def _biases(self, record: Train | Staircase, rail: int) -> tuple[int, int]:
        """Codes of the selected column and of the others."""
        column = record.gate if limited(rail, record.limit) else _ZERO
        return column, self.on if isinstance(record, Train) and record.others else _ZERO

    def _open(self, record: Train | Staircase, rail: int, moments: Iterable[int]) -> list[IntArray]:
        """One pulse, which has no conversions inside."""
        assert not list(moments)
        array, width = self.array, self._width(record, rail)
        tile, place = divmod(int(self.cells[0, 0]), array.rows * array.columns)
        row, column = divmod(place, array.columns)
        selected, others = (self.converters.dac_volts(c) for c in self._biases(record, rail))
        rows, columns = np.zeros(array.rows), np.full(array.columns, others)
        rows[row], columns[column] = self.converters.dac_volts(rail), selected
        limit = self.converters.limiter_a
        pulse_lines(array, tile, rows, columns, width / self.clk_hz, limit)
        if self.warden is not None and width < record.width:
            raise self.warden.cut(record.width)
        return []

    def _width(self, record: Train | Staircase, rail: int) -> int:
        code = selected_code(rail, *self._biases(record, rail))
        if code is None:
            raise EngineError("a cell that is not selected gets more than half of the voltage")
        if self.warden is None:
            return record.width
        return self.warden.opening(code, self.converters.limiter_code, record.width)
