"""Staircases with samples, in the TIA range that fits or in a fixed one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...hw.isa import Op, Reg, Staircase, instruction, pack_sweep, unpack_sample
from ...hw.link.protocol import Space
from ...sim.devices import DeviceError
from ...sim.numerics import FloatArray
from .codes import Codes, Opening, pieces
from .controller import Controller

HEADROOM = 2.0
"""How much more than foreseen a current may be before its range is too fine; assumed: cells
that do not switch change by less from step to step."""
LEAST_CODES = 8.0
"""A reading of fewer codes says no more than that."""

Place = tuple[int, int, int]


class Sweeper:
    """Makes staircases on neighbours of a row, and samples the end of each step.

    Parameters
    ----------
    controller, codes:
        What makes them, and the conversions of the mode.
    average:
        Base-two logarithm of the conversions of a sample.
    tia_range:
        Range of all samples; None: for each step the one that fits.

    Attributes
    ----------
    saturated:
        Samples at a rail, whose currents were larger.
    """

    def __init__(
        self, controller: Controller, codes: Codes, average: int, tia_range: int | None
    ) -> None:
        self.controller = controller
        self.codes = codes
        self.average = average
        self.tia_range = tia_range
        self.saturated = 0

    def sweep(
        self, place: Place, count: int, openings: Sequence[Opening], siemens: FloatArray | None
    ) -> FloatArray:
        """Currents [A], shape (count, steps).

        Parameters
        ----------
        place, count:
            Tile, row and column of the first cell, and cells from there on along the row.
        openings:
            One for each step, of one width.
        siemens:
            Conductances of the cells before [S]; not needed in a fixed range.

        Raises
        ------
        DeviceError
            If a step is too short for a sample.
        """
        width = openings[0].width
        ranges = self.codes.ranges(width, self.average)
        if self.tia_range is not None:
            ranges = [n for n in ranges if n == self.tia_range]
        if not ranges:
            which = "any range" if self.tia_range is None else f"range {self.tia_range}"
            least = self.codes.cycles.settle[self.tia_range or 0] / self.codes.clk_hz
            raise DeviceError(
                f"{self.codes.what}: steps of {width / self.codes.clk_hz:g} s are too short for a "
                f"sample in {which}, which settles in {least:.3g} s"
            )
        if self.tia_range is None and siemens is not None:
            return self._stepwise(place, count, openings, ranges, np.abs(siemens))
        return self._whole(place, count, openings, ranges[0])

    def _stepwise(
        self, place: Place, count: int, openings: Sequence[Opening], ranges: list[int],
        siemens: FloatArray,
    ) -> FloatArray:  # fmt: skip
        current = np.empty((count, len(openings)))
        for n, opening in enumerate(openings):
            volts = abs(self.codes.converters.dac_volts(opening.rail))
            most = self._limit(opening)
            foreseen = min(HEADROOM * float(siemens.max()) * volts, most)
            chosen = self._fitting(ranges, foreseen)
            found, railed = self._step(place, count, opening, chosen)
            if railed and chosen != ranges[0]:
                coarser = ranges[: ranges.index(chosen)]
                chosen = self._fitting(coarser, most)
                found, railed = self._step(place, count, opening, chosen)
            self.saturated += railed
            current[:, n] = found
            if volts:
                least = self.codes.amperes(1, chosen) * LEAST_CODES
                siemens = np.maximum(np.abs(found), least) / volts
        return current

    def _limit(self, opening: Opening) -> float:
        """Largest current that a cell can take [A]."""
        if not opening.limit:
            return float("inf")
        return float(self.codes.converters.i_cc(opening.gate))

    def _fitting(self, ranges: list[int], amperes: float) -> int:
        """The finest range that holds a current, or the coarsest one."""
        holding = [n for n in ranges if amperes < 0.95 * self.codes.full_scale(n)]
        return holding[-1] if holding else ranges[0]

    def _step(
        self, place: Place, count: int, opening: Opening, tia_range: int
    ) -> tuple[FloatArray, int]:
        """One step: currents [A], and how many of them were at a rail."""
        stairs = self._stairs(opening, tia_range, opening.rail, 1)
        return self._run(place, count, stairs, 1, tia_range, down=False)

    def _whole(
        self, place: Place, count: int, openings: Sequence[Opening], tia_range: int
    ) -> FloatArray:
        """Staircases that the controller makes by itself, as long as cell memory is."""
        most = max(1, (self.controller.geometry.cells - 1) // count)
        current = np.empty((count, len(openings)))
        place_in = 0
        while place_in < len(openings):
            same = openings[place_in]
            ends = [
                n for n in range(place_in, len(openings))
                if (openings[n].gate, openings[n].limit) != (same.gate, same.limit)
            ]  # fmt: skip
            part = [opening.rail for opening in openings[place_in : min([*ends, len(openings)])]]
            for start, step, steps in pieces(part, most):
                stairs = self._stairs(same, tia_range, start, steps, step)
                found, railed = self._run(place, count, stairs, steps, tia_range, down=False)
                current[:, place_in : place_in + steps] = found.reshape(steps, count).T
                self.saturated += railed
                place_in += steps
        return current

    def column(self, place: Place, count: int, opening: Opening) -> float:
        """Current of ``count`` rows of a column [A] at the read voltage, which moves nothing."""
        ranges = self.codes.ranges(opening.width, self.average)
        chosen = ranges[0] if self.tia_range is None else self.tia_range
        stairs = self._stairs(opening, chosen, opening.rail, 1)
        found, railed = self._run(place, count, stairs, 1, chosen, down=True)
        if self.tia_range is None:
            least = self.codes.amperes(1, chosen) * LEAST_CODES
            finer = self._fitting(ranges, HEADROOM * max(abs(float(found[0])), least))
            if finer != chosen:
                stairs = self._stairs(opening, finer, opening.rail, 1)
                found, railed = self._run(place, count, stairs, 1, finer, down=True)
        self.saturated += railed
        return float(found[0])

    def _stairs(
        self, opening: Opening, tia_range: int, start: int, steps: int, step: int = 1
    ) -> Staircase:
        delay = self.codes.sample_delay(opening.width, self.average)
        gap = self.codes.pace(tia_range).gap
        return Staircase(
            start=start, stop=start + step * (steps - 1), step=abs(step), width=opening.width,
            interval=opening.width + gap, gate=opening.gate, limit=opening.limit, delay=delay,
            spacing=self.codes.spacing if self.average else 0, average=self.average,
        )  # fmt: skip

    def _run(
        self, place: Place, count: int, stairs: Staircase, steps: int, tia_range: int,
        *, down: bool,
    ) -> tuple[FloatArray, int]:  # fmt: skip
        controller, (tile, row, column) = self.controller, place
        controller.write(Space.PARAM, controller.base, pack_sweep(stairs))
        controller.run(
            [
                instruction(Op.SET, reg=Reg.TIA_RANGE, value=tia_range),
                instruction(Op.SWEEP, tile=tile, row=row, column=column, count=count,
                            down=int(down), param=controller.base),
            ],
            steps * stairs.interval / self.codes.clk_hz,
        )  # fmt: skip
        words = controller.samples(steps if down else steps * count)
        samples = [unpack_sample(word) for word in words]
        amperes = np.array([self.codes.amperes(code, tia_range) for code, _ in samples])
        return amperes, sum(saturated for _, saturated in samples)
