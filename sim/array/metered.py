"""The simulated array with a meter: what its cells take in pulses, and which rows were driven."""

from __future__ import annotations

from threading import Lock

import numpy as np
from numpy.typing import ArrayLike

from ..devices import Device
from ..numerics import FloatArray
from .lines import Wires
from .simulated import SimulatedArray


class MeteredArray(SimulatedArray):
    """A :class:`SimulatedArray` that does the same, and counts.

    Attributes
    ----------
    pulse_joules:
        Energy [J] that each cell and the transistor in series have had in pulses, at most,
        shape (tiles, rows, columns): |V| I t with the larger one of the cell's currents
        before and after, since nothing says when in a pulse it switches, within compliance.
    pulse_seconds:
        How long each cell has been in pulses [s], likewise.
    driven:
        How often each row has been driven at V_read in products, shape (tiles, rows); at
        another voltage by its square.
    """

    def __init__(
        self,
        device: Device,
        tiles: int,
        rows: int,
        columns: int,
        seed: int,
        *,
        wires: Wires | None = None,
        passive: bool = False,
    ) -> None:
        super().__init__(device, tiles, rows, columns, seed, wires=wires, passive=passive)
        self.pulse_joules: FloatArray = np.zeros((tiles, rows, columns))
        self.pulse_seconds: FloatArray = np.zeros((tiles, rows, columns))
        self.driven: FloatArray = np.zeros((tiles, rows))
        self._lock = Lock()

    def pulse(
        self,
        cells: ArrayLike,
        volts: ArrayLike,
        width_s: ArrayLike,
        i_cc: ArrayLike | None,
        *,
        together: bool = False,
    ) -> None:
        named = self._cells(cells)
        before = np.abs(self.currents(named, volts))
        super().pulse(named, volts, width_s, i_cc, together=together)
        amperes = np.maximum(before, np.abs(self.currents(named, volts)))
        if i_cc is not None:
            amperes = np.minimum(amperes, i_cc)
        joules = np.abs(np.asarray(volts, np.float64)) * amperes * width_s
        self.pulse_joules.reshape(-1)[named] += joules
        self.pulse_seconds.reshape(-1)[named] += np.asarray(width_s, np.float64)

    listens = True

    def drives(self, tile: int, first: int, driven: FloatArray) -> None:
        with self._lock:  # from several threads
            self.driven[tile, first : first + len(driven)] += driven

    def product_joules(self, volts: float, seconds: ArrayLike) -> FloatArray:
        """Energy [J] of the products so far in the cells of each row, shape (tiles, rows).

        Ohm's law at the cells' present conductances: V^2 G t for each time that a row was
        driven.

        Parameters
        ----------
        volts:
            On a driven row [V].
        seconds:
            How long a row is driven at a time [s], shape (tiles, rows) or one for all.
        """
        siemens = self.g.sum(axis=2)  # of all columns, which are at 0 V
        return volts * volts * self.driven * siemens * np.asarray(seconds)
