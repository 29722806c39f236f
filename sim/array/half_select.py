"""A pulse on the lines of a passive array: what is not selected gets a part of it."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from .errors import ArrayError
from .lines import operate
from .simulated import SimulatedArray

HALF_SELECT_MAX = 0.05
"""Of I_cc: what the other cells of a driven row may take of it. The limiter of the row limits
the sum, so that the selected cell's own limit is uncertain by as much."""


def pulse_lines(
    array: SimulatedArray,
    tile: int,
    row_volts: ArrayLike,
    column_volts: ArrayLike,
    width_s: float,
    i_cc: float,
) -> int:
    """One pulse on every cell of a tile whose lines differ.

    In lines with resistance each cell has the voltage that the network of all cells gives it,
    with currents as they are when the pulse begins; then none is quite without.

    Parameters
    ----------
    array, tile:
        The cells.
    row_volts, column_volts:
        At the ends of each line while the pulse lasts [V], shapes (rows,) and (columns,).
    width_s:
        Width [s].
    i_cc:
        What the limiter of a driven row lets through [A].

    Returns
    -------
    How many cells were pulsed.

    Raises
    ------
    ArrayError
        If the cells of a driven row that are not selected, those but the one with the
        highest voltage, take more than 5 % of ``i_cc`` together, or if there are no voltages
        that the network can have; no cell changes.
    DeviceError
        As :meth:`SimulatedArray.pulse`.
    """
    rows, columns = (np.asarray(volts, dtype=np.float64) for volts in (row_volts, column_volts))
    cells = array.tile_cells(tile)
    if array.wires is None:
        volts = rows[:, np.newaxis] - columns
    else:
        volts = operate(partial(array.currents, cells), array.wires, rows, columns).cell_volts
    for row in np.flatnonzero(rows):
        others = np.arange(columns.size) != np.argmax(np.abs(volts[row]))
        taken = float(np.abs(array.currents(cells[row, others], volts[row, others])).sum())
        if taken > HALF_SELECT_MAX * i_cc:
            raise ArrayError(
                f"the cells of row {row} that are not selected take {taken:.3g} A, accepted is "
                f"{HALF_SELECT_MAX:.0%} of I_cc = {i_cc:.3g} A"
            )
    driven = volts != 0
    array.pulse(cells[driven], volts[driven], width_s, np.full(driven.sum(), i_cc))
    return int(driven.sum())
