"""Staircases with samples, in the TIA range that fits or in a fixed one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np

from ...hw.isa import Op, Reg, Staircase, instruction, pack_sweep, unpack_sample
from ...hw.link.protocol import Space
from ...sim.devices import DeviceError
from ...sim.numerics import FloatArray, IntArray
from .codes import Codes, Opening, pieces
from .controller import Controller
from .errors import BenchError
from .region import Place

HEADROOM = 2.0
"""How much more than foreseen a current may be before its range is too fine; assumed: cells
that do not switch change by less from step to step."""
LEAST_CODES = 8.0
"""A reading of fewer codes says no more than that."""

RAILED = -1
"""In place of the TIA range of a sample at a rail: its current was larger."""


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
    watch:
        Told the number of the first step that has been made, and currents [A] from there on,
        shape (count, steps).
    """

    def __init__(
        self,
        controller: Controller,
        codes: Codes,
        average: int,
        tia_range: int | None,
        watch: Callable[[int, FloatArray], None] = lambda first, amperes: None,
    ) -> None:
        self.controller = controller
        self.codes = codes
        self.average = average
        self.tia_range = tia_range
        self.watch = watch

    def sweep(
        self, place: Place, count: int, openings: Sequence[Opening], siemens: FloatArray | None
    ) -> tuple[FloatArray, IntArray]:
        """Currents [A] and the TIA ranges of their samples, :data:`RAILED` where one was at a
        rail; shapes (count, steps).

        Parameters
        ----------
        place, count:
            Tile, row and column of the first cell, and cells from there on along the row.
        openings:
            One for each step, of one width.
        siemens:
            Conductances of the cells before [S]; not needed in a fixed range.
        """
        ranges = self.require(openings[0])
        if self.tia_range is None and siemens is not None:
            return self._stepwise(place, count, openings, ranges, np.abs(siemens))
        return self._whole(place, count, openings, ranges[0])

    def require(self, opening: Opening) -> list[int]:
        """TIA ranges in which such an opening can be sampled, the coarsest one first.

        Raises
        ------
        DeviceError
            If it is too short for any, or for the fixed one.
        """
        width = opening.width
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
        return ranges

    def _stepwise(
        self, place: Place, count: int, openings: Sequence[Opening], ranges: list[int],
        siemens: FloatArray,
    ) -> tuple[FloatArray, IntArray]:  # fmt: skip
        current = np.empty((count, len(openings)))
        which = np.empty(current.shape, dtype=np.int64)
        for n, opening in enumerate(openings):
            volts = abs(self.codes.converters.dac_volts(opening.rail))
            most = self._limit(opening)
            foreseen = min(HEADROOM * float(siemens.max()) * volts, most)
            chosen = self._fitting(ranges, foreseen)
            found, seen = self._run(place, count, self._stairs(opening, opening.rail), chosen)
            if (seen == RAILED).any() and chosen != ranges[0]:
                chosen = self._fitting(ranges[: ranges.index(chosen)], most)
                found, seen = self._run(place, count, self._stairs(opening, opening.rail), chosen)
            current[:, n], which[:, n] = found, seen
            self.watch(n, current[:, n : n + 1])
            if volts:
                least = self.codes.amperes(1, chosen) * LEAST_CODES
                siemens = np.maximum(np.abs(found), least) / volts
        return current, which

    def _limit(self, opening: Opening) -> float:
        """Largest current that a cell can take [A]."""
        if not opening.limit:
            return float("inf")
        return float(self.codes.converters.i_cc(opening.gate))

    def _fitting(self, ranges: list[int], amperes: float) -> int:
        """The finest range that holds a current, or the coarsest one."""
        holding = [n for n in ranges if amperes < 0.95 * self.codes.full_scale(n)]
        return holding[-1] if holding else ranges[0]

    def _whole(
        self, place: Place, count: int, openings: Sequence[Opening], tia_range: int
    ) -> tuple[FloatArray, IntArray]:
        """Staircases that the controller makes by itself, as long as cell memory is."""
        most = max(1, (self.controller.geometry.cells - 1) // count)
        current = np.empty((count, len(openings)))
        which = np.empty(current.shape, dtype=np.int64)
        done = 0
        for _, alike in groupby(openings, key=lambda opening: (opening.gate, opening.limit)):
            part = list(alike)
            for start, step, steps in pieces([opening.rail for opening in part], most):
                stairs = self._stairs(part[0], start, steps, step)
                found, seen = self._run(place, count, stairs, tia_range)
                current[:, done : done + steps] = found.reshape(steps, count).T
                which[:, done : done + steps] = seen.reshape(steps, count).T
                self.watch(done, current[:, done : done + steps])
                done += steps
        return current, which

    def column(self, place: Place, count: int, opening: Opening) -> float:
        """Current of ``count`` rows of a column [A] at a voltage that moves nothing.

        Raises
        ------
        BenchError
            If it is beyond the coarsest range.
        """
        ranges = self.codes.ranges(opening.width, self.average)
        chosen = ranges[0] if self.tia_range is None else self.tia_range
        stairs = self._stairs(opening, opening.rail)
        found, seen = self._run(place, count, stairs, chosen, down=True)
        if self.tia_range is None and seen[0] != RAILED:
            least = self.codes.amperes(1, chosen) * LEAST_CODES
            finer = self._fitting(ranges, HEADROOM * max(abs(float(found[0])), least))
            if finer != chosen:
                found, seen = self._run(place, count, stairs, finer, down=True)
        if seen[0] == RAILED:
            raise BenchError(
                f"a column takes more than {self.codes.full_scale(chosen):.3g} A: drive fewer rows"
            )
        return float(found[0])

    def _stairs(self, opening: Opening, start: int, steps: int = 1, step: int = 1) -> Staircase:
        delay = self.codes.sample_delay(opening.width, self.average)
        return Staircase(
            start=start, stop=start + step * (steps - 1), step=abs(step), width=opening.width,
            interval=opening.width + self.codes.gap, gate=opening.gate, limit=opening.limit,
            delay=delay, spacing=self.codes.spacing if self.average else 0, average=self.average,
        )  # fmt: skip

    def _run(
        self, place: Place, count: int, stairs: Staircase, tia_range: int, *, down: bool = False
    ) -> tuple[FloatArray, IntArray]:
        """Currents [A] of the samples in the order in which they were taken, and their ranges."""
        controller, (tile, row, column) = self.controller, place
        steps = len(stairs.codes())
        sweep = instruction(
            Op.SWEEP, tile=tile, row=row, column=column, count=count, down=int(down),
            param=controller.base,
        )  # fmt: skip
        controller.write(Space.PARAM, controller.base, pack_sweep(stairs))
        controller.run(
            [instruction(Op.SET, reg=Reg.TIA_RANGE, value=tia_range), sweep],
            steps * stairs.interval / self.codes.clk_hz,
        )
        words = controller.samples(steps if down else steps * count)
        samples = [unpack_sample(word) for word in words]
        amperes = np.array([self.codes.amperes(code, tia_range) for code, _ in samples])
        return amperes, np.array([RAILED if railed else tia_range for _, railed in samples])
