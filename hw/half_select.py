"""What the cells of a passive array get: a pulse between a row and biased columns.

Rail B drives the selected row, GATE_PROGRAM stands behind the selected column's line and
GATE_ON or 0 V behind the others', all of it while fast gate B is open; the other rows are
at 0 V. V/2 is half of the voltage on either side, V/3 two thirds on the row, minus one
third on the selected column and one third on the others.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

CODE_BITS = 16


class HalfSelect(wiring.Component):
    """Weighs the bias of the columns. No registers.

    Parameters
    ----------
    zero_code:
        Code of 0 V.

    Members
    -------
    rail, program, on : In(16)
        Codes of RAIL_B, GATE_PROGRAM and GATE_ON.
    on_program, on_on : In(1)
        A column's line is on GATE_PROGRAM, or on GATE_ON.
    cell : Out(16)
        Voltage of the selected cell as a code of rail B, at most the last one.
    uneven : Out(1)
        That is not the voltage, which is higher; or another cell of the tile has more than
        half of it, rounded up to a code.
    """

    def __init__(self, zero_code: int) -> None:
        self.zero = zero_code
        super().__init__(
            {
                "rail": In(CODE_BITS),
                "program": In(CODE_BITS),
                "on": In(CODE_BITS),
                "on_program": In(1),
                "on_on": In(1),
                "cell": Out(CODE_BITS),
                "uneven": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        top = (1 << CODE_BITS) - 1

        def volts(name: str, value: Value) -> Signal:
            found = Signal(signed(CODE_BITS + 2), name=name)
            m.d.comb += found.eq(value)
            return found

        row = volts("row", self.rail - self.zero)
        column = volts("column", Mux(self.on_program, self.program - self.zero, 0))
        others = volts("others", Mux(self.on_on, self.on - self.zero, 0))
        selected = volts("selected", row - column)
        along = volts("along", row - others)
        code = volts("code", selected + self.zero)
        most = (abs(selected) + 1) >> 1
        m.d.comb += [
            self.cell.eq(Mux(code < 0, 0, Mux(code > top, top, code))),
            self.uneven.eq(
                (code < 0)
                | (code > top)
                | (abs(column) > most)
                | (abs(others) > most)
                | (abs(along) > most)
            ),
        ]
        return m
