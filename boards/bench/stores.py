"""Cells that store charge: currents into and out of them, and their open-circuit voltage."""

from __future__ import annotations

import math

from ...hw.charge import Charge, constant_current
from ...hw.isa import Op, PulseStatus, Train, instruction, pack_pulse, unpack_sample
from ...hw.link.protocol import Space
from ...hw.stairs import Pace
from .codes import Codes
from .controller import Controller
from .errors import BenchError
from .region import Place

SAMPLE_S = 4.0
"""Longest time between two samples of a charge: the guard wants to hear the host every 10 s,
and a board whose time jumps hears it when a sample is taken."""
SAMPLES = 255
"""Of a pulse, at most."""
SPARSE = 10
"""Samples take a tenth of the time at most; assumed."""
REST_S = 0.02
"""From a charge of nothing to the reading of the voltage; assumed: the buffer and the line
settle in microseconds."""
MARGIN = 0.01
"""Part of the mode's voltages by which a discharge may go below the lowest; assumed: more
than the buffer's offset."""


class Stores:
    """The current source on one cell after the other.

    Parameters
    ----------
    controller, codes
        What drives it, and the conversions of the mode.
    average:
        Base-two logarithm of the conversions of a sample.
    """

    def __init__(self, controller: Controller, codes: Codes, average: int) -> None:
        self.controller = controller
        self.codes = codes
        self.average = average
        self._pace = Pace(codes.gap, codes.cycles.settle[0], codes.spacing)

    def plan(self, amperes: float, seconds: float) -> list[Charge]:
        """Charges one after the other, each as long as there is room for its samples.

        They end where the voltages of the mode do: the more samples, the less far beyond.

        Raises
        ------
        ChargeError
            If the source or the controller cannot make it.
        """
        low, high = self.codes.v_range
        card, room = self.codes.converters, min(SAMPLES, self.controller.geometry.cells - 1)
        parts = max(1, math.ceil(seconds / (room * SAMPLE_S)))
        shortest = SPARSE * self._pace.spacing / self.codes.clk_hz
        charge = constant_current(
            amperes, seconds / parts, self.codes.clk_hz, self._pace,
            samples=min(max(int(seconds / parts / shortest), 1), room),
            low_volts=low - MARGIN * (high - low), high_volts=high, ohms=card.source_ohms,
            span_volts=card.dac_volts_span, adc_volts=card.adc_volts_span,
        )  # fmt: skip
        return [charge] * parts

    def charge(self, place: Place, charge: Charge) -> None:
        """Charge one cell.

        Raises
        ------
        BenchError
            If it has come to the end of the mode's voltages before.
        """
        status = self._run(place, charge.train, charge.seconds)
        if status is PulseStatus.CUT:
            low, high = self.codes.v_range
            raise BenchError(
                f"the cell in row {place[1]}, column {place[2]} has come to the end of "
                f"{low:.3g}..{high:.3g} V before {charge.seconds:g} s"
            )

    def volts(self, place: Place) -> float:
        """Open-circuit voltage of one cell [V], after a shortest pulse of 0 A."""
        card, clk_hz = self.codes.converters, self.codes.clk_hz
        nothing = constant_current(
            0.0, self.codes.cycles.pulse / clk_hz, clk_hz, self._pace, rest_seconds=REST_S,
            rest_samples=1, average=self.average, adc_volts=card.adc_volts_span,
        )  # fmt: skip
        self._run(place, nothing.train, REST_S)
        code, _ = unpack_sample(self.controller.samples(1)[0])
        return code * card.adc_lsb

    def _run(self, place: Place, train: Train, seconds: float) -> PulseStatus:
        controller, (tile, row, column) = self.controller, place
        controller.write(Space.PARAM, controller.base, pack_pulse(train))
        pulse = instruction(
            Op.PULSE, tile=tile, row=row, column=column, count=1, down=0, param=controller.base
        )
        controller.run([pulse], seconds)
        return controller.outcome()[1]
