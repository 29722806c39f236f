"""Lines by themselves: each a ladder of segments, with its cells to points of known voltage."""

from __future__ import annotations

import numpy as np

from ...numerics import FloatArray


class Ladders:
    """Lines that are alike, ready to be solved for any currents into them.

    Parameters
    ----------
    load:
        Conductance of each cell [S], shape (cells, lines), those at the near ends first.
    segment, near:
        Resistance between two cells, and from the first one to the end [ohm].
    both:
        Whether the far ends are connected, as the near ones are, or in the air.
    """

    def __init__(self, load: FloatArray, segment: float, near: float, *, both: bool) -> None:
        step, self._end, self._both = 1.0 / segment, 1.0 / near, both
        own = load + 2.0 * step
        own[0] += self._end - step
        own[-1] += self._end * both - step
        self._down = np.empty_like(own)
        for n in range(1, len(own)):
            np.divide(step, own[n - 1], out=self._down[n])
            own[n] -= self._down[n] * step
        self._scale = 1.0 / own
        self._up = step * self._scale

    def solve(self, currents: FloatArray, volts: float = 0.0) -> FloatArray:
        """Voltages at the cells [V], shape (n, cells, lines).

        Parameters
        ----------
        currents:
            Into the lines at each cell [A], shape (n, cells, lines), n settings.
        volts:
            At all connected ends.
        """
        found = currents.copy()
        found[:, 0] += volts * self._end
        found[:, -1] += volts * self._end * self._both
        for n in range(1, found.shape[1]):
            found[:, n] += self._down[n] * found[:, n - 1]
        found *= self._scale
        for n in range(found.shape[1] - 2, -1, -1):
            found[:, n] += self._up[n] * found[:, n + 1]
        return found

    def amperes(self, volts: FloatArray) -> FloatArray:
        """Out of ends at 0 V [A], shape (n, lines), from voltages at the cells."""
        out = volts[:, 0] * self._end
        return out + volts[:, -1] * self._end if self._both else out
