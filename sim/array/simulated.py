"""The array on the device model: state per cell, exact sums per column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..devices import (
    REFERENCE_K,
    CellState,
    Device,
    DeviceError,
    Draws,
    EnduranceError,
    Health,
    Mode,
    Recipe,
    Stress,
    TemperatureError,
)
from ..devices.draws import Made, as_slice
from ..devices.family import ChargeFamily, once
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
from .blocks import Block, blocks
from .drops import Drops
from .errors import ArrayError, Unsupported
from .lines import Wires
from .operands import Lines, OperandCache, Operands
from .protocol import Limits
from .wired import Wired

_Z_UNIT = 1.0 / 4096.0
_MVM_INDEX = 0xFFFF
"""Draw index of :meth:`SimulatedArray.mvm`: a program's conversions never use it."""
_STATE = ("g", "w", "s", "q", "mode", "pulses", "cycles", "health", "written")


def _relaxed_by(seconds: FloatArray) -> Callable[[Mode, CellState, Any], CellState]:
    """What a time at 0 V makes of the cells of a mode."""
    return lambda mode, part, here: (
        mode.family.relax(mode.p, part, seconds[here]) if mode.relaxes else part
    )


def _frozen(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """A view that is not written to: sums are made of copies."""
    view = codes.view()
    view.flags.writeable = False
    return view


def _used(mode: NDArray[np.uint8]) -> list[int]:
    """Numbers that occur, ascending."""
    if mode.size and (mode == mode.flat[0]).all():
        return [int(mode.flat[0])]
    return np.flatnonzero(np.bincount(mode.reshape(-1))).tolist()


class SimulatedArray:
    """Tiles of cells of one device.

    With ``wires`` reads and products see each cell through its lines, as an effective
    conductance (:mod:`~ohmloom.sim.array.wired`), and pulses reach it through them
    (:mod:`~ohmloom.sim.array.drops`). What sweeps put on cells is what is asked for.

    Parameters
    ----------
    device:
        What every cell is.
    tiles, rows, columns:
        Size; at most 2**28 cells.
    seed:
        Seed of every draw, 0 .. 2**32 - 1.
    wires:
        Resistance of the lines of each tile; None: they have none.
    passive:
        Whether cells are 1R, without transistors; else 1T1R, gate lines along the columns.

    Attributes
    ----------
    state:
        The cells, shape (tiles, rows, columns), as are the others. A cell that
        relaxes is brought up to date when something is asked of it.
    g_code, var_code:
        Conductance and read-variance codes, int32, not to be written to: what sums are made
        of, with all gates on. 0 for a device without a mode that holds weights.
    reads:
        Single reads since the cell's last pulse, uint32.
    elapsed_s:
        Time passed in pulses, sweeps and waits [s].
    temperature_k:
        Temperature of the surroundings [K].
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
        if min(tiles, rows, columns) < 1 or tiles * rows * columns > 1 << PLACE_BITS:
            raise ArrayError(
                f"an array of {tiles} x {rows} x {columns} cells is outside 1..2^{PLACE_BITS}"
            )
        self.device = device
        self.tiles, self.rows, self.columns = tiles, rows, columns
        self.seed = seed
        self.wires = wires
        self._wired = None if wires is None else Wired(wires, passive=passive)
        self._drops = Drops(wires, rows, columns) if wires is not None and not passive else None
        self._stale = np.zeros(tiles, dtype=np.bool_)  # whose codes are to be solved for
        shape = (tiles, rows, columns)
        cells = np.arange(tiles * rows * columns)
        made = device.modes[0]
        self._made = Made(seed, cells.size)
        draws = Draws(seed, cells, np.zeros(cells.shape, dtype=np.uint32), self._made)
        self.state = made.family.pristine(made.p, draws, cells.shape).copy().reshape(*shape)
        self._g_code = np.zeros(shape, dtype=np.int32)
        self._var_code = np.zeros(shape, dtype=np.int32)
        self._operands = OperandCache()
        self.reads = np.zeros(shape, dtype=np.uint32)
        self.elapsed_s = 0.0
        self.temperature_k = REFERENCE_K
        self._left_cycles = np.zeros((len(device.modes), *shape), dtype=np.uint32)
        self._ends = {
            device.mode_index(way.start): device.mode_index(way.to)
            for way in device.transitions
            if way.at_endurance
        }
        self._stuck: FloatArray | None = None  # conductance of stuck cells, NaN for others
        self._mvms = 0
        self._relaxes = False
        self._note_modes()
        self._recode(slice(0, cells.size), self._flat)

    # -- state ------------------------------------------------------------------------

    @property
    def g(self) -> FloatArray:
        """Conductance [S] at the reference temperature, shape (tiles, rows, columns)."""
        return self.state.g

    @property
    def g_code(self) -> NDArray[np.int32]:
        self._solve_all()
        return _frozen(self._g_code)

    @property
    def var_code(self) -> NDArray[np.int32]:
        self._solve_all()
        return _frozen(self._var_code)

    def set_codes(
        self, where: Any, g_code: ArrayLike | None = None, var_code: ArrayLike | None = None
    ) -> None:
        """Give cells codes that are not those of their state, until that changes.

        For comparisons that a fault is planted in, or that need sums of their own choice. In
        lines with resistance single reads know nothing of it.

        Parameters
        ----------
        where:
            Numpy index of the cells in an array (tiles, rows, columns).
        """
        self._solve_all()
        for codes, wanted in ((self._g_code, g_code), (self._var_code, var_code)):
            if wanted is not None:
                codes[where] = wanted
        self._operands.clear()

    @property
    def pulses(self) -> NDArray[np.uint32]:
        """Pulses in each cell's life."""
        return self.state.pulses

    @property
    def health(self) -> NDArray[np.uint8]:
        """What has become of each cell: values of :class:`~ohmloom.sim.devices.Health`."""
        return self.state.health

    @property
    def limits(self) -> Limits:
        device = self.device
        used = [device.modes[index] for index in _used(self.state.mode)]
        windows = [mode.family.window(mode.p) for mode in used]
        return Limits(
            tiles=self.tiles,
            rows=self.rows,
            columns=self.columns,
            modes=tuple(mode.name for mode in device.modes),
            v_read_max=min(mode.p.read.v_read.value for mode in used),
            v_min=max(window.v_min for window in windows),
            v_max=min(window.v_max for window in windows),
            i_cc_min=max(window.i_cc_min for window in windows),
            i_cc_max=min(window.i_cc_max for window in windows),
            width_min_s=max(window.width_min_s for window in windows),
        )

    @property
    def wear(self) -> FloatArray:
        """Used fraction of the endurance of the present mode; 0 where no limit is known."""
        limits = [mode.endurance(self.temperature_k) for mode in self.device.modes]
        return self.state.cycles / np.array(limits)[self.state.mode]

    def tile_cells(self, tile: int) -> IntArray:
        """Cell numbers of a tile, shape (rows, columns)."""
        self._check_tile(tile)
        size = self.rows * self.columns
        return np.arange(tile * size, (tile + 1) * size).reshape(self.rows, self.columns)

    def copy_tile(self, other: SimulatedArray, tile: int) -> None:
        """Take over one tile's whole state from an array of the same size."""
        for mine, theirs in self._states(other, tile):
            mine[...] = theirs
        self._operands.clear()
        self._note_modes()
        age = other.elapsed_s - other.state.time[tile]
        self.state.time[tile] = self.elapsed_s - age

    def parts(self) -> dict[str, NDArray[np.generic]]:
        """Everything that makes up the cells' state, by name; not to be written to."""
        own = {"reads": self.reads, "left_cycles": self._left_cycles}
        counts = {"mvms": np.array([self._mvms], np.int64)}
        stuck = np.full(self.g.size, np.nan) if self._stuck is None else self._stuck
        state = {name: getattr(self.state, name) for name in (*_STATE, "time")}
        return {**state, **own, **counts, "stuck": stuck}

    def take_over(self, parts: Mapping[str, NDArray[np.generic]], elapsed_s: float) -> None:
        """Take over a whole state of the same size, of :meth:`parts`."""
        mine = self.parts()
        for name, part in parts.items():
            mine[name][...] = part
        self._mvms = int(mine["mvms"].astype(np.int64)[0])
        stuck = mine["stuck"].astype(np.float64)
        self._stuck = None if np.isnan(stuck).all() else stuck
        self.elapsed_s = elapsed_s
        self._note_modes()
        self._recode(slice(0, self.g.size), self._flat)

    def tile_state_equal(self, other: SimulatedArray, tile: int) -> bool:
        """Whether one tile's state is the same, bit for bit, as another array's.

        The clocks of the two do not count.
        """
        return all(np.array_equal(mine, theirs) for mine, theirs in self._states(other, tile))

    def _states(
        self, other: SimulatedArray, tile: int
    ) -> list[tuple[NDArray[np.generic], NDArray[np.generic]]]:
        self._check_tile(tile)
        if self.g.shape != other.g.shape:
            raise ArrayError(f"arrays of {self.g.shape} and {other.g.shape} cells do not match")
        if self.wires != other.wires:
            raise ArrayError("arrays whose lines differ do not match")
        self._solve(tile)
        other._solve(tile)
        own = ("_g_code", "_var_code", "reads")
        return [
            *((getattr(self.state, n)[tile], getattr(other.state, n)[tile]) for n in _STATE),
            *((getattr(self, n)[tile], getattr(other, n)[tile]) for n in own),
            (self._left_cycles[:, tile], other._left_cycles[:, tile]),
        ]

    def _check_tile(self, tile: int) -> None:
        if not 0 <= tile < self.tiles:
            raise ArrayError(f"tile {tile} is outside 0..{self.tiles - 1}")

    def _cells(self, cells: ArrayLike) -> IntArray:
        cells = np.asarray(cells)
        if cells.size and cells.dtype.kind not in "iu":
            raise ArrayError(f"cell numbers are integers, not {cells.dtype}")
        cells = cells.astype(np.int64, copy=False)
        if cells.size and not 0 <= int(cells.min()) <= int(cells.max()) < self.g.size:
            raise ArrayError(
                f"cells {int(cells.min())}..{int(cells.max())} are outside 0..{self.g.size - 1}"
            )
        return cells

    def _distinct(self, cells: ArrayLike) -> IntArray:
        cells = self._cells(cells)
        if isinstance(as_slice(cells), slice):
            return cells
        if cells.size * 8 < self.g.size:
            distinct = np.unique(cells).size
        else:  # many of them: marking is faster than sorting
            named = np.zeros(self.g.size, dtype=np.bool_)
            named[cells] = True
            distinct = np.count_nonzero(named)
        if distinct != cells.size:
            raise ArrayError("a cell is named twice in one batch")
        return cells

    # -- cells, mode by mode ----------------------------------------------------------

    @property
    def _flat(self) -> CellState:
        return self.state.reshape(-1)

    def _by_mode(self, part: CellState) -> list[tuple[Mode, Any]]:
        """The modes that cells are in, with a numpy index of the cells in each."""
        used = _used(part.mode)
        return [
            (self.device.modes[index], part.mode == index if len(used) > 1 else ...)
            for index in used
        ]

    def _changed(
        self, part: CellState, change: Callable[[Mode, CellState, Any], CellState]
    ) -> CellState:
        """Cells after ``change(mode, cells, index)`` of those in each mode."""
        modes = self._by_mode(part)
        if len(modes) == 1:
            return change(modes[0][0], part, ...)
        after = part.copy()
        for mode, here in modes:
            after.put(here, change(mode, part.take(here), here))
        return after

    def _note_modes(self) -> None:
        """Whether any cell is in a mode in which it relaxes."""
        self._relaxes = any(mode.relaxes for mode, _ in self._by_mode(self.state))

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What a family refuses begins with the device's name."""
        try:
            yield
        except DeviceError as error:
            raise type(error)(f"{self.device.name}: {error}") from error

    def _draws(
        self, cells: IntArray, part: CellState, index: slice | IntArray | None = None
    ) -> Draws:
        return Draws(self.seed, cells, part.pulses, self._made, index)

    def _fetch(self, cells: slice | IntArray) -> CellState:
        """Cells as they are now; not to be written to, they may be the array's own."""
        part = self._flat.take(cells)
        if self._relaxes:
            part = self._with_faults(cells, self._changed(part, self._relaxed))
        return part.with_(time=np.broadcast_to(self.elapsed_s, part.shape))

    def _relaxed(self, mode: Mode, part: CellState, here: Any) -> CellState:
        seconds = self.elapsed_s - part.time
        if not mode.relaxes or not (seconds > 0).any():
            return part
        return mode.family.relax(mode.p, part, seconds)

    def _store(self, cells: slice | IntArray, part: CellState) -> None:
        self._flat.put(cells, part)
        self._recode(cells, part)

    def _recode(self, cells: slice | IntArray, part: CellState) -> None:
        if self.device.weights is None:
            return
        self._operands.clear()
        if self._wired is not None:
            self._stale[self._tiles_of(cells)] = True
            return
        g = self._conductance(part)
        self._g_code.reshape(-1)[cells] = self.device.g_codes(g)
        self._var_code.reshape(-1)[cells] = self.device.var_codes(g)

    def _tiles_of(self, cells: slice | IntArray) -> slice | IntArray:
        """Numpy index of the tiles that cells, numbers or a slice without gaps, are in."""
        size = self.rows * self.columns
        if isinstance(cells, slice):
            return slice(cells.start // size, -(-cells.stop // size))
        return cells // size

    def _solve(self, tile: int) -> None:
        """Codes of a tile behind lines with resistance, if any of its cells has changed."""
        if self._wired is not None and self._stale[tile]:
            self._g_code[tile], self._var_code[tile] = self._codes(tile)
            self._stale[tile] = False

    def _solve_all(self) -> None:
        for tile in np.flatnonzero(self._stale).tolist():
            self._solve(tile)

    def _codes(
        self, tile: int, gated: NDArray[np.bool_] | None = None
    ) -> tuple[IntArray, IntArray]:
        """Conductance and variance codes of a tile behind lines, with some gates on or all."""
        assert self._wired is not None
        g = self._tile_siemens(tile)
        seen = self._wired.tile(tile, g, gated)
        return self.device.g_codes(seen), self.device.var_codes(np.minimum(seen, g))

    def _tile_siemens(self, tile: int) -> FloatArray:
        """Conductances [S] of a tile's cells as reads have them, shape (rows, columns)."""
        return self._conductance(self.state.take(tile))

    def _conductance(self, part: CellState) -> FloatArray:
        """Conductance [S] at the read voltage and the present temperature."""
        if self.temperature_k == REFERENCE_K:
            return part.g
        g = np.empty(part.shape)
        for mode, here in self._by_mode(part):
            some, v_read = part.take(here), mode.p.read.v_read.value
            volts = np.full(some.shape, v_read)
            kelvin = np.full(some.shape, self.temperature_k)
            g[here] = mode.family.current(mode.p, some, volts, kelvin) / v_read
        return g

    def _refresh(self, tile: int) -> None:
        """Bring a tile whose cells relax up to the present."""
        if self._relaxes:
            size = self.rows * self.columns
            cells = slice(tile * size, (tile + 1) * size)
            self._store(cells, self._fetch(cells))

    def single(self, cells: IntArray) -> tuple[FloatArray, FloatArray]:
        """Conductances of cells [S] as a single read sees them, and their own; without noise."""
        if self._wired is None:
            g = self._conductance(self._fetch(cells))
            return g, g
        for tile in np.unique(cells // (self.rows * self.columns)).tolist():
            self._refresh(tile)
        return self._wired.single(self._tile_siemens, cells, self.rows, self.columns)

    def _refuse(self, part: CellState, stress: Stress) -> None:
        with self._named():
            for mode, here in self._by_mode(part):
                mode.family.refuse(mode.p, part.take(here), stress.take(here))

    def _drive(self, block: Block, part: CellState, stress: Stress) -> CellState:
        """Cells of a block after an interval."""
        draws = self._draws(block.cells, part, block.index)
        after = self._changed(
            part,
            lambda mode, some, here: mode.family.drive(
                mode.p, some, stress.take(here), draws.take(here)
            ),
        )
        return self._with_faults(block.index, after)

    def _with_faults(self, cells: slice | IntArray, part: CellState) -> CellState:
        """Cells with the conductance of those that are stuck."""
        if self._stuck is None:
            return part
        at = self._stuck[cells]
        return part.with_(g=np.where(np.isnan(at), part.g, at))

    def _flowing(self, before: CellState, after: CellState, stress: Stress) -> FloatArray:
        """Currents [A] of cells at the end of an interval."""
        current = np.empty(before.shape)
        for mode, here in self._by_mode(before):
            current[here] = mode.family.flowing(
                mode.p, before.take(here), after.take(here), stress.take(here)
            )
        return current

    def _end_of_life(self, cells: IntArray, part: CellState) -> CellState:
        """Cells that have had the cycles of a mode which then turns into another."""
        for start, to in self._ends.items():
            limit = self.device.modes[start].endurance(self.temperature_k)
            worn = (part.mode == start) & (part.cycles >= limit)
            if worn.any():
                some = self._entered(cells[worn], part.take(worn), to)
                part = part.copy()
                part.put(worn, some.with_(health=np.full(some.shape, Health.OK, dtype=np.uint8)))
                self._relaxes |= self.device.modes[to].relaxes
        return part

    def _entered(self, cells: IntArray, part: CellState, to: int) -> CellState:
        """Cells that have come into mode ``to``, with the cycles that they have had there."""
        left = self._left_cycles.reshape(len(self.device.modes), -1)
        mode = self.device.modes[to]
        after = mode.family.enter(mode.p, part, self._draws(cells, part))
        wears = np.array(self.device.wears_with)
        left[wears[part.mode], cells] = part.cycles
        return self._with_faults(cells, after).with_(
            mode=np.full(part.shape, to, dtype=np.uint8),
            cycles=left[wears[to], cells],
            pulses=part.pulses + np.uint32(1),
        )

    # -- what changes the state -------------------------------------------------------

    def set_mode(
        self,
        mode: str,
        cells: ArrayLike | None = None,
        *,
        i_cc: float | None = None,
        volts: float | None = None,
        rate_v_s: float | None = None,
        atmosphere: str | None = None,
        electrode: str | None = None,
    ) -> None:
        """Bring cells into a mode, by a way that the device entry describes.

        What of the recipe is not given is done as the entry says.

        Parameters
        ----------
        mode:
            Name of a mode, or a kind of mode if none has that name.
        cells:
            Flat cell numbers; every cell without.
        i_cc, volts, rate_v_s, atmosphere, electrode:
            The recipe [A, V, V/s].

        Raises
        ------
        Unsupported
            If the device has no such mode.
        TransitionError
            If there is no way there from the mode that a cell is in, or the way
            does not take the recipe; no cell changes.
        EnduranceError
            If a cell is worn out.
        """
        targets = self.device.modes_called(mode)
        if not targets:
            names = ", ".join(found.name for found in self.device.modes)
            raise Unsupported(f"{self.device.name} has no mode {mode!r}, it has {names}")
        recipe = Recipe(i_cc, volts, rate_v_s, atmosphere, electrode)
        named = np.arange(self.g.size) if cells is None else self._distinct(cells).reshape(-1)
        part = self._fetch(named).copy()
        moving = ~np.isin(part.mode, targets)
        ways: dict[int, int] = {}
        with self._named():
            for start in _used(part.mode[moving]):
                way = self.device.transition(start, mode, recipe)
                ways[start] = self.device.mode_index(way.to)
            worn = moving & (part.health != Health.OK)
            if worn.any():
                state = Health(int(part.health[worn][0])).name.lower().replace("_", " ")
                raise EnduranceError(f"a change of mode of a cell that is {state}")
        start_mode = part.mode.copy()
        for start, to in ways.items():
            here = start_mode == start
            part.put(here, self._entered(named[here], part.take(here), to))
        self._store(named, part)
        self._note_modes()
        self.reads.reshape(-1)[named[moving]] = 0

    def set_temperature(self, kelvin: float) -> None:
        """Bring the surroundings to a temperature.

        Raises
        ------
        TemperatureError
            If a mode that cells are in is not described there; nothing changes.
        """
        for index in _used(self.state.mode):
            mode = self.device.modes[index]
            low, high = mode.temperatures
            if not low <= kelvin <= high:
                raise TemperatureError(
                    f"{self.device.name}: {kelvin:g} K is outside {low:g}..{high:g} K, "
                    f"for which its {mode.name} mode is described"
                )
        self.temperature_k = float(kelvin)
        cells = slice(0, self.g.size)
        self._store(cells, self._fetch(cells))

    def form(self, cells: ArrayLike) -> None:
        """Raises :class:`Unsupported`: electroforming is a change of mode."""
        raise Unsupported(
            f"{self.device.name} has no electroforming but what set_mode does to enter a mode"
        )

    def pulse(
        self,
        cells: ArrayLike,
        volts: ArrayLike,
        width_s: ArrayLike,
        i_cc: ArrayLike | None,
        *,
        together: bool = False,
    ) -> None:
        """One pulse on each cell; ``volts``, ``width_s`` and ``i_cc`` broadcast with ``cells``.

        In lines with resistance a cell with a transistor has what they leave of ``volts``, with
        currents as they are when the pulse begins. Of a passive array ``volts`` are those across
        the cells (:func:`~ohmloom.sim.array.pulse_lines`).

        Parameters
        ----------
        together:
            Whether cells, of one tile then, have it at the same time, else one after the other.

        Raises
        ------
        ArrayError
            On a cell outside the array or named twice.
        DeviceError
            On a pulse that a cell's mode does not allow, like a SET whose I_cc the
            device is not described for; no cell changes.
        """
        cells = self._distinct(cells)
        if not cells.size:
            return
        stress = Stress.on(cells.shape, volts, width_s, i_cc, self.temperature_k).flat()
        stress = self._behind_lines(cells.reshape(-1), stress, together=together)
        parts = [(block, self._fetch(block.index)) for block in blocks(cells.reshape(-1))]
        for block, part in parts:
            self._refuse(part, stress.take(block.where))
        for block, part in parts:
            some = stress.take(block.where)
            after = self._drive(block, part, some)
            after = after.with_(
                pulses=after.pulses + np.uint32(1),
                time=once(lambda seconds: self.elapsed_s + seconds, some.seconds),
            )
            self._store(block.index, self._end_of_life(block.cells, after))
            self.reads.reshape(-1)[block.index] = 0
        self.elapsed_s += float(np.max(width_s))

    def _behind_lines(self, cells: IntArray, stress: Stress, *, together: bool) -> Stress:
        """What lines with resistance leave of a stress (cells,)."""
        if self._drops is None:
            return stress
        tile, place = np.divmod(cells, self.rows * self.columns)
        if together and (tile != tile[0]).any():
            raise ArrayError("cells of several tiles are not pulsed together")

        def law(volts: FloatArray) -> FloatArray:
            return np.clip(self.currents(cells, volts), -stress.i_cc, stress.i_cc)

        solve = self._drops.together if together else self._drops.apart
        return replace(stress, volts=solve(law, *np.divmod(place, self.columns), stress.volts))

    def sweep(
        self, cells: ArrayLike, volts: ArrayLike, step_s: float, i_cc: float | None
    ) -> FloatArray:
        """A quasi-static staircase on each cell, through the same physics as :meth:`pulse`.

        The gate transistor limits the current of the SET polarity to ``i_cc``; in
        the other one it is fully on. A step that changes a cell's conductance, not
        just by relaxing, counts as one pulse, another as none.

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

        Raises
        ------
        DeviceError
            Where :meth:`pulse` would at the highest or the lowest step, and where a
            cell is to switch on after its last cycle; no cell changes.
        """
        cells = self._distinct(cells)
        steps = np.atleast_1d(np.asarray(volts, dtype=np.float64))
        current = np.empty((cells.size, steps.size))
        if not current.size:
            return current.reshape(*cells.shape, steps.size)
        parts = [(block, self._fetch(block.index)) for block in blocks(cells.reshape(-1))]
        for _, part in parts:
            for extreme in (float(steps.max()), float(steps.min())):
                self._refuse(part, self._step(part, extreme, step_s, i_cc))
        ends = np.add.accumulate([self.elapsed_s, *(step_s for _ in steps)])[1:]
        left, swept = self._left_cycles.copy(), []
        for block, before in parts:
            part = before
            for n, step in enumerate(steps):
                stress = self._step(part, float(step), step_s, i_cc)
                after = self._drive(block, part, stress)
                current[block.where, n] = self._flowing(part, after, stress)
                beyond = (part.health != Health.OK) & (after.cycles != part.cycles)
                if beyond.any():  # worn out on the way: the sweep has not been
                    self._left_cycles = left
                    self._note_modes()
                    had = int(part.cycles[beyond][0])
                    raise EnduranceError(
                        f"{self.device.name}: a sweep that takes a cell beyond the "
                        f"{had} cycles that it lasts"
                    )
                moved = (after.g != part.g) | (after.cycles != part.cycles)
                if self._relaxes:  # what it would have done by itself is no pulse
                    moved &= after.g != self._changed(part, _relaxed_by(stress.seconds)).g
                part = self._end_of_life(
                    block.cells,
                    after.with_(
                        pulses=after.pulses + moved.astype(np.uint32),
                        time=np.broadcast_to(ends[n], after.shape),
                    ),
                )
            swept.append((block, part, block.cells[part.pulses != before.pulses]))
        for block, part, switched in swept:
            self._store(block.index, part)
            self.reads.reshape(-1)[switched] = 0
        self.elapsed_s = float(ends[-1])
        return current.reshape(*cells.shape, steps.size)

    def _step(self, part: CellState, step: float, step_s: float, i_cc: float | None) -> Stress:
        signs = np.array([mode.family.window(mode.p).set_sign for mode in self.device.modes])
        limited = signs[part.mode] * step > 0
        limit = np.where(limited, np.inf if i_cc is None else float(i_cc), np.inf)
        return Stress.on(part.shape, step, step_s, limit, self.temperature_k, quasi_static=True)

    def wait(self, seconds: float) -> None:
        """Time passes at 0 V; cells that relax do so."""
        if not seconds >= 0:
            raise ArrayError(f"cannot wait {seconds} s")
        self.elapsed_s += seconds

    def charge(self, cells: ArrayLike, amperes: ArrayLike, seconds: float) -> None:
        """Pass a constant current through cells that store charge, for a time.

        Raises
        ------
        Unsupported
            If a cell is in a mode that stores none; no cell changes.
        """
        cells = self._distinct(cells)
        if not seconds >= 0:
            raise ArrayError(f"cannot charge for {seconds} s")
        part = self._fetch(cells).copy()
        current = np.broadcast_to(np.asarray(amperes, dtype=np.float64), cells.shape)
        stores = self._stores(part, "cannot be charged")
        with self._named():
            for mode, store, here in stores:
                part.put(here, store.charge(mode.p, part.take(here), current[here], seconds))
        self.elapsed_s += seconds
        self._store(cells, part.with_(time=np.broadcast_to(self.elapsed_s, part.shape)))

    def sense_voltage(self, cells: ArrayLike) -> FloatArray:
        """Open-circuit voltage of cells that store charge [V].

        Raises
        ------
        Unsupported
            If a cell is in a mode that stores none.
        """
        cells = self._distinct(cells)
        part = self._fetch(cells)
        volts = np.empty(cells.shape)
        for mode, store, here in self._stores(part, "has no open-circuit voltage"):
            volts[here] = store.voltage(mode.p, part.take(here))
        return volts

    def _stores(self, part: CellState, lacks: str) -> list[tuple[Mode, ChargeFamily, Any]]:
        found = []
        for mode, here in self._by_mode(part):
            if mode.store is None:
                raise Unsupported(
                    f"{self.device.name} is in its {mode.name} mode, "
                    f"not in a power mode: it {lacks}"
                )
            found.append((mode, mode.store, here))
        return found

    def stick(self, cells: ArrayLike, siemens: ArrayLike) -> None:
        """Stuck-at faults: whatever is done, these cells have this conductance [S].

        The cells do everything else as before: pulses and cycles are counted, and a
        pulse that a sound cell would refuse is refused.

        Raises
        ------
        ArrayError
            On a cell outside the array or named twice, or a conductance that is none.
        """
        cells = self._distinct(cells)
        at = np.broadcast_to(np.asarray(siemens, dtype=np.float64), cells.shape)
        if not ((at >= 0) & np.isfinite(at)).all():
            raise ArrayError(f"a cell cannot be stuck at {float(at.reshape(-1)[0]):g} S")
        if self._stuck is None:
            self._stuck = np.full(self.g.size, np.nan)
        self._stuck[cells] = at
        self._store(cells, self._with_faults(cells, self._fetch(cells)))

    # -- what reads it ----------------------------------------------------------------

    def verify_totals(self, cells: ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
        """One single read of each cell, as the integers that a conversion takes.

        Cells of a row are read side by side, with the gates of their columns on: in lines with
        resistance that counts.

        Returns
        -------
        total, variance, z:
            G code, variance code and normal deviate, of the shape of ``cells``.
        """
        cells = self._distinct(cells)
        self._check_coded()
        if self._wired is not None:
            seen, own = self.single(cells)
            variance = self.device.var_codes(np.minimum(seen, own))
            return self.device.g_codes(seen), variance, self.verify_draw(cells)
        if self._relaxes:
            self._store(cells, self._fetch(cells))
        z = self.verify_draw(cells)
        total = self.g_code.reshape(-1)[cells].astype(np.int64)
        return total, self.var_code.reshape(-1)[cells].astype(np.int64), z

    def verify_draw(self, cells: IntArray) -> IntArray:
        """The normal deviates of one single read of each cell, which is counted."""
        reads = self.reads.reshape(-1)
        z = draw_normal(
            self.seed, Domain.VERIFY, cells, self.pulses.reshape(-1)[cells], reads[cells]
        )
        reads[cells] += np.uint32(1)
        return z

    def _check_coded(self) -> None:
        if self.device.weights is None:
            raise Unsupported(f"{self.device.name} has no conductance codes: it holds no weights")

    def read(self, cells: ArrayLike) -> FloatArray:
        """One single read of each cell, in the range that fits: conductance [S] with noise."""
        cells = self._distinct(cells)
        seen, own = self.single(cells)
        mode = self.state.mode.reshape(-1)[cells]
        noise = np.array([mode.p.read.noise.value for mode in self.device.modes])[mode]
        z = self.verify_draw(cells) * _Z_UNIT
        noisy = np.minimum(seen, own)
        return (seen - noisy) + noisy * (1.0 + noise * z)

    def currents(self, cells: ArrayLike, volts: ArrayLike) -> FloatArray:
        """Currents [A] of cells at voltages [V], of their shape, as they are and without noise."""
        cells = self._distinct(cells)
        part = self._fetch(cells)
        across = np.broadcast_to(np.asarray(volts, dtype=np.float64), cells.shape)
        amperes = np.empty(cells.shape)
        for mode, here in self._by_mode(part):
            kelvin = np.full(across[here].shape, self.temperature_k)
            amperes[here] = mode.family.current(mode.p, part.take(here), across[here], kelvin)
        return amperes

    listens = False
    """Whether :meth:`drives` is to be told of products."""

    def drives(self, tile: int, first: int, driven: FloatArray) -> None:
        """Told of products that have driven rows from ``first`` on: in each row the sum of
        ``(volts / V_read)**2``, shape (rows,)."""

    def operands(self, lines: Lines) -> Operands:
        """What driven rows of a tile are multiplied with, as its cells are now."""
        self._check_tile(lines.tile)
        self._check_coded()
        tile = lines.tile
        with self._operands.lock:  # from several threads
            self._refresh(tile)
            self._solve(tile)
            return self._operands.get(
                lines, lambda: Operands.of(lines, self._g_code[tile], self._var_code[tile])
            )

    def column_totals(
        self,
        tile: int,
        bits: ArrayLike,
        columns: slice = slice(None),
        gated: NDArray[np.bool_] | None = None,
    ) -> tuple[IntArray, IntArray]:
        """Exact sums of a tile's codes over the driven rows.

        Parameters
        ----------
        tile:
            Tile number.
        bits:
            Driven rows, 0 or 1, shape (n, rows).
        columns:
            Which of them; all without it.
        gated:
            Columns whose gates are on, shape (columns,); all without it. Only in lines with
            resistance does it make a difference to the others.

        Returns
        -------
        total, variance:
            Sums of G codes and of variance codes, int64, shape (n, columns).
        """
        self._check_tile(tile)
        self._check_coded()
        self._refresh(tile)
        bits = np.asarray(bits)
        if bits.ndim != 2 or bits.shape[1] != self.rows:
            raise ArrayError(f"driven rows of shape {bits.shape}, expected (n, {self.rows})")
        if self._wired is None or gated is None or gated.all():
            self._solve(tile)
            g_code, var_code = self._g_code[tile], self._var_code[tile]
        else:
            g_code, var_code = self._codes(tile, gated)
        total = exact_matmul(bits, g_code[:, columns], 1, G_CODE_MAX)
        var_code = var_code[:, columns]
        if not var_code.any():
            return total, np.zeros_like(total)
        return total, exact_matmul(bits, var_code, 1, VAR_CODE_MAX)

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
        self._check_coded()
        self._refresh(tile)
        self._solve(tile)
        volts = np.asarray(volts, dtype=np.float64)
        if volts.ndim < 1 or volts.shape[-1] != self.rows:
            raise ArrayError(f"row voltages of shape {volts.shape}, expected (..., {self.rows})")
        if not (np.abs(volts) <= self.device.v_read).all():
            raise ArrayError(f"row voltages beyond V_read = {self.device.v_read:g} V would disturb")
        device = self.device
        conductance = self._g_code[tile] * device.g_lsb
        deviation = device.g_lsb * 0.5**device.var_exponent
        variance = self._var_code[tile] * (deviation * deviation)
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
