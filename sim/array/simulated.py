"""The array on the device model: state per cell, exact sums per column."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..devices import Device, apply_pulse, pristine, switching
from ..numerics import (
    G_CODE_MAX,
    PLACE_BITS,
    VAR_CODE_MAX,
    Domain,
    FloatArray,
    IntArray,
    draw_normal,
    exact_matmul,
)
from .errors import ArrayError, Unsupported
from .protocol import Limits

_Z_UNIT = 1.0 / 4096.0
_MVM_INDEX = 0xFFFF
"""Draw index of :meth:`SimulatedArray.mvm`: a program's conversions never use it."""


class SimulatedArray:
    """Tiles of cells of one device, 1T1R, lines without resistance.

    Parameters
    ----------
    device:
        What every cell is.
    tiles, rows, columns:
        Size; at most 2**28 cells.
    seed:
        Seed of every draw, 0 .. 2**32 - 1.

    Attributes
    ----------
    g:
        Conductance [S], float64, shape (tiles, rows, columns), as are the others.
    g_code, var_code:
        Conductance and read-variance codes of ``g``, int32: what sums are made of.
    pulses:
        Pulses in each cell's life, uint32.
    reads:
        Single reads since the cell's last pulse, uint32.
    elapsed_s:
        Time passed in pulses, sweeps and waits [s].
    """

    def __init__(self, device: Device, tiles: int, rows: int, columns: int, seed: int) -> None:
        if min(tiles, rows, columns) < 1 or tiles * rows * columns > 1 << PLACE_BITS:
            raise ArrayError(
                f"an array of {tiles} x {rows} x {columns} cells is outside 1..2^{PLACE_BITS}"
            )
        self.device = device
        self.tiles, self.rows, self.columns = tiles, rows, columns
        self.seed = seed
        shape = (tiles, rows, columns)
        self.g = pristine(device, np.arange(tiles * rows * columns), seed).reshape(shape)
        self.g_code = device.g_codes(self.g).astype(np.int32)
        self.var_code = device.var_codes(self.g).astype(np.int32)
        self.pulses = np.zeros(shape, dtype=np.uint32)
        self.reads = np.zeros(shape, dtype=np.uint32)
        self.elapsed_s = 0.0
        self._mvms = 0

    # -- state ------------------------------------------------------------------------

    @property
    def limits(self) -> Limits:
        device = self.device
        return Limits(
            tiles=self.tiles,
            rows=self.rows,
            columns=self.columns,
            modes=(device.mode,),
            v_read_max=device.v_read,
            v_min=device.v_reset,
            v_max=device.v_set,
            i_cc_min=device.i_cc_min,
            i_cc_max=device.i_cc_max,
            width_min_s=min(device.set_width_min_s, device.reset_width_min_s),
        )

    @property
    def wear(self) -> FloatArray:
        """Used fraction of the endurance, shape (tiles, rows, columns); a cycle is two pulses."""
        return self.pulses / (2.0 * self.device.endurance)

    def tile_cells(self, tile: int) -> IntArray:
        """Cell numbers of a tile, shape (rows, columns)."""
        self._check_tile(tile)
        size = self.rows * self.columns
        return np.arange(tile * size, (tile + 1) * size).reshape(self.rows, self.columns)

    def copy_tile(self, other: SimulatedArray, tile: int) -> None:
        """Take over one tile's whole state from an array of the same size."""
        for mine, theirs in self._states(other, tile):
            mine[...] = theirs

    def tile_state_equal(self, other: SimulatedArray, tile: int) -> bool:
        """Whether one tile's whole state is the same, bit for bit, as another array's."""
        return all(np.array_equal(mine, theirs) for mine, theirs in self._states(other, tile))

    def _states(
        self, other: SimulatedArray, tile: int
    ) -> list[tuple[NDArray[np.generic], NDArray[np.generic]]]:
        self._check_tile(tile)
        if self.g.shape != other.g.shape:
            raise ArrayError(f"arrays of {self.g.shape} and {other.g.shape} cells do not match")
        names = ("g", "g_code", "var_code", "pulses", "reads")
        return [(getattr(self, name)[tile], getattr(other, name)[tile]) for name in names]

    def _check_tile(self, tile: int) -> None:
        if not 0 <= tile < self.tiles:
            raise ArrayError(f"tile {tile} is outside 0..{self.tiles - 1}")

    def _cells(self, cells: ArrayLike) -> IntArray:
        cells = np.asarray(cells)
        if cells.size and cells.dtype.kind not in "iu":
            raise ArrayError(f"cell numbers are integers, not {cells.dtype}")
        cells = cells.astype(np.int64)
        if cells.size and not 0 <= int(cells.min()) <= int(cells.max()) < self.g.size:
            raise ArrayError(
                f"cells {int(cells.min())}..{int(cells.max())} are outside 0..{self.g.size - 1}"
            )
        return cells

    def _distinct(self, cells: ArrayLike) -> IntArray:
        cells = self._cells(cells)
        if np.unique(cells).size != cells.size:
            raise ArrayError("a cell is named twice in one batch")
        return cells

    # -- what changes the state -------------------------------------------------------

    def set_mode(self, mode: str) -> None:
        """Accepts the mode that the device entry describes.

        Raises
        ------
        Unsupported
            For any other mode.
        """
        if mode != self.device.mode:
            raise Unsupported(
                f"{self.device.name} is described in its {self.device.mode} mode, not in {mode!r}"
            )

    def form(self, cells: ArrayLike) -> None:
        """Raises :class:`Unsupported`: the cell is free of forming."""
        raise Unsupported(f"{self.device.name} needs no electroforming: its first SET is a SET")

    def pulse(
        self, cells: ArrayLike, volts: ArrayLike, width_s: ArrayLike, i_cc: ArrayLike | None
    ) -> None:
        """One pulse on each cell; ``volts``, ``width_s`` and ``i_cc`` broadcast with ``cells``.

        Raises
        ------
        ArrayError
            On a cell outside the array or named twice.
        ComplianceError
            On a SET whose I_cc the device is not described for; no cell changes.
        """
        cells = self._distinct(cells)
        if not cells.size:
            return
        pulses = self.pulses.reshape(-1)
        after = apply_pulse(
            self.device, self.g.reshape(-1)[cells], pulses[cells], cells, volts, width_s, i_cc,
            self.seed,
        )  # fmt: skip
        self._store(cells, after)
        pulses[cells] += np.uint32(1)
        self.reads.reshape(-1)[cells] = 0
        self.elapsed_s += float(np.max(width_s))

    def _store(self, cells: IntArray, g: FloatArray) -> None:
        self.g.reshape(-1)[cells] = g
        self.g_code.reshape(-1)[cells] = self.device.g_codes(g)
        self.var_code.reshape(-1)[cells] = self.device.var_codes(g)

    def sweep(
        self, cells: ArrayLike, volts: ArrayLike, step_s: float, i_cc: float | None
    ) -> FloatArray:
        """A quasi-static staircase on each cell, through the same switching as :meth:`pulse`.

        The gate transistor limits the current of the SET polarity to ``i_cc``; in
        the other one it is fully on. A cell in compliance keeps only
        ``i_cc / G`` of the voltage, so it does not switch again. A step that
        switches counts as one pulse, a step below threshold as none.

        Parameters
        ----------
        cells:
            Flat cell numbers, any shape.
        volts:
            The staircase, shape (n,) [V].
        step_s:
            Time at each step [s].
        i_cc:
            Compliance current [A].

        Returns
        -------
        Current at the end of each step [A], shape (*cells.shape, n).
        """
        cells = self._distinct(cells)
        steps = np.atleast_1d(np.asarray(volts, dtype=np.float64))
        limit = np.inf if i_cc is None else float(i_cc)
        device, flat = self.device, self.g.reshape(-1)
        current = np.empty((*cells.shape, steps.size))
        for n, step in enumerate(steps):
            across = np.minimum(step, limit / flat[cells])
            sets, resets = switching(device, across, step_s)
            switched = sets | resets
            self.pulse(cells[switched], step, step_s, i_cc if step > 0 else None)
            self.elapsed_s += 0.0 if switched.any() else step_s
            current[..., n] = np.minimum(flat[cells] * step, limit)
        return current

    def wait(self, seconds: float) -> None:
        """Time passes; cells keep their state (described up to the device's retention)."""
        if not seconds >= 0:
            raise ArrayError(f"cannot wait {seconds} s")
        self.elapsed_s += seconds

    def charge(self, cells: ArrayLike, amperes: ArrayLike, seconds: float) -> None:
        """Raises :class:`Unsupported`: the cell stores no charge."""
        raise Unsupported(f"{self.device.name} has no power mode: it cannot be charged")

    def sense_voltage(self, cells: ArrayLike) -> FloatArray:
        """Raises :class:`Unsupported`: the cell has no voltage of its own."""
        raise Unsupported(f"{self.device.name} has no power mode: it has no open-circuit voltage")

    # -- what reads it ----------------------------------------------------------------

    def verify_totals(self, cells: ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
        """One single read of each cell, as the integers that a conversion takes.

        Returns
        -------
        total, variance, z:
            G code, variance code and normal deviate, of the shape of ``cells``.
        """
        cells = self._distinct(cells)
        reads = self.reads.reshape(-1)
        z = draw_normal(
            self.seed, Domain.VERIFY, cells, self.pulses.reshape(-1)[cells], reads[cells]
        )
        reads[cells] += np.uint32(1)
        total = self.g_code.reshape(-1)[cells].astype(np.int64)
        return total, self.var_code.reshape(-1)[cells].astype(np.int64), z

    def read(self, cells: ArrayLike) -> FloatArray:
        """One single read of each cell: conductance [S], read noise included."""
        total, variance, z = self.verify_totals(cells)
        sigma = np.ldexp(np.sqrt(variance.astype(np.float64)), -self.device.var_exponent)
        return (total + sigma * (z * _Z_UNIT)) * self.device.g_lsb

    def column_totals(self, tile: int, bits: ArrayLike) -> tuple[IntArray, IntArray]:
        """Exact sums of a tile's codes over the driven rows.

        Parameters
        ----------
        tile:
            Tile number.
        bits:
            Driven rows, 0 or 1, shape (n, rows).

        Returns
        -------
        total, variance:
            Sums of G codes and of variance codes, int64, shape (n, columns).
        """
        self._check_tile(tile)
        bits = np.asarray(bits)
        if bits.ndim != 2 or bits.shape[1] != self.rows:
            raise ArrayError(f"driven rows of shape {bits.shape}, expected (n, {self.rows})")
        total = exact_matmul(bits, self.g_code[tile], 1, G_CODE_MAX)
        if not self.var_code[tile].any():
            return total, np.zeros_like(total)
        return total, exact_matmul(bits, self.var_code[tile], 1, VAR_CODE_MAX)

    def mvm(self, tile: int, volts: ArrayLike) -> FloatArray:
        """Column currents [A] of row voltages [V], read noise included.

        Parameters
        ----------
        tile:
            Tile number.
        volts:
            Row voltages, shape (..., rows), within +-v_read.

        Returns
        -------
        Currents, shape (..., columns); the same bits in a batch of any size.
        """
        self._check_tile(tile)
        volts = np.asarray(volts, dtype=np.float64)
        if volts.ndim < 1 or volts.shape[-1] != self.rows:
            raise ArrayError(f"row voltages of shape {volts.shape}, expected (..., {self.rows})")
        if not (np.abs(volts) <= self.device.v_read).all():
            raise ArrayError(f"row voltages beyond V_read = {self.device.v_read:g} V would disturb")
        device = self.device
        conductance = self.g_code[tile] * device.g_lsb
        deviation = device.g_lsb * 0.5**device.var_exponent
        variance = self.var_code[tile] * (deviation * deviation)
        shape = (*volts.shape[:-1], self.columns)
        current, spread = np.zeros(shape), np.zeros(shape)
        for row in range(self.rows):  # a fixed order: float sums must not depend on BLAS
            drive = volts[..., row, None]
            current += drive * conductance[row]
            spread += drive * drive * variance[row]
        count = int(np.prod(volts.shape[:-1], dtype=np.int64))
        epoch = self._mvms + np.arange(count).reshape(*volts.shape[:-1], 1)
        place = tile * self.columns + np.arange(self.columns)
        self._mvms += count
        z = draw_normal(self.seed, Domain.INFERENCE, place, epoch, _MVM_INDEX)
        return current + np.sqrt(spread) * (z * _Z_UNIT)
