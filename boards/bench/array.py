"""The :class:`~ohmloom.sim.array.Array` protocol over the command link.

What an array of the model is asked for is asked of cells behind a controller, in the same
words and units. Everything is looked at before anything is driven; what the hardware cannot
do raises :class:`~ohmloom.sim.array.Unsupported`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from ...compiler.profile import unwritten_range
from ...hw.afe.tia import uncertainty
from ...hw.isa import CYCLE_BITS, Op, instruction
from ...hw.link.protocol import Space
from ...sim.array import ArrayError, Limits, Unsupported
from ...sim.converters import Converters
from ...sim.devices import (
    REFERENCE_K,
    Device,
    DeviceError,
    EnduranceError,
    Mode,
    Recipe,
    WriteOnceError,
)
from ...sim.numerics import FloatArray, IntArray
from ..link import LinkClient
from ..reader import LinkReader
from .controller import Controller
from .errors import BenchError
from .modes import Modes
from .pulses import drive
from .region import Region
from .stores import Stores
from .sweeps import RAILED, Sweeper

log = logging.getLogger(__name__)

Watch = Callable[[IntArray, int, FloatArray], None]


@dataclass(frozen=True)
class Forming:
    """How cells are formed: a staircase on each that ends when it conducts.

    Attributes
    ----------
    volts, step_volts, step_s:
        Where it ends at the latest, and its steps [V, V, s].
    i_cc:
        Compliance current [A].
    siemens:
        Conductance from which on a cell is formed [S].
    """

    volts: float
    step_volts: float
    step_s: float
    i_cc: float | None
    siemens: float


class LinkArray:
    """Cells of one device behind a controller, as an array.

    The cells are ``shape`` of them, numbered from the first cell of tile ``first`` on, row by
    row. Nothing is known of their state: the tiles are in the mode in which cells are made,
    or in ``mode``, unless the controller knows better.

    Parameters
    ----------
    client : LinkClient
        The link; nothing else may use it meanwhile.
    device, converters
        What the cells are, and the card's transfer functions.
    shape:
        Tiles, rows and columns to be seen; those of the controller without.
    first:
        The first tile.
    mode:
        Mode that the tiles are in, where the controller does not know it.
    armed:
        Whether irreversible changes of mode may be made.
    tia_range:
        Range in which sweeps are sampled, each as a whole then; None: the one that fits,
        step by step.
    average:
        Base-two logarithm of the conversions of a sample or a read.
    beat_s:
        Seconds on the line after which a long run is asked for its status; a board whose time
        jumps needs it.
    forming:
        How :meth:`form` forms cells.

    Attributes
    ----------
    cycles:
        Pulses and sweeps in SET polarity of each cell since this object was made, or since it
        was told: what its endurance is compared with, shape (cells,).
    watch:
        Told of a sweep's steps when they have been made: the cells, the number of the first
        step, and currents [A] from there on, shape (cells, steps).
    sampled:
        TIA range of each sample of the last sweep, shape (..., steps); ``RAILED`` of one that
        was at a rail: its current was larger.

    Raises
    ------
    BenchError
        If the controller has not as many cells, or is not for this device.
    """

    def __init__(
        self,
        client: LinkClient,
        device: Device,
        converters: Converters | None = None,
        *,
        shape: tuple[int, int, int] | None = None,
        first: int = 0,
        mode: str | None = None,
        armed: bool = False,
        tia_range: int | None = None,
        average: int = 0,
        beat_s: float | None = None,
        forming: Forming | None = None,
    ) -> None:
        self.device = device
        self.converters = converters or Converters()
        self.controller = Controller(client, device, self.converters, beat_s)
        self.reader = LinkReader(client)
        geometry = self.controller.geometry
        self._whole = (geometry.tiles - first, geometry.rows, geometry.columns)
        self.tiles, self.rows, self.columns = shape or self._whole
        size, there = self.tiles * self.rows * self.columns, self._whole[0] * geometry.cells
        if not 1 <= size <= there:
            raise BenchError(
                f"an array of {self.tiles} x {self.rows} x {self.columns} cells, the controller "
                f"has {max(there, 0)} from tile {first} on"
            )
        self.region = Region(geometry, first, size)
        self._modes = Modes(self.controller, device, self.region.tiles, mode, armed)
        self.tia_range = tia_range
        self.average = average
        self.forming = forming
        self.cycles = np.zeros(size, dtype=np.uint32)
        self.watch: Watch = lambda cells, first, amperes: None
        self.sampled: IntArray = np.empty(0, dtype=np.int64)

    # -- modes and limits -------------------------------------------------------------

    @property
    def mode(self) -> Mode:
        """The mode that the tiles are in."""
        return self._modes.present

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
        """Bring all cells into a mode; the controller changes that of whole tiles.

        Atmosphere and electrode are compared with what the device wants and are otherwise
        the bench's business.

        Raises
        ------
        Unsupported
            If the device has no such mode, the card cannot go the way, some cells alone are
            named, or the way is irreversible and the array is not armed.
        TransitionError
            If the device has no way there, or the way does not take the recipe.
        """
        if cells is not None and self.region.cells(cells).size != self.region.size:
            raise Unsupported("the controller changes the mode of whole tiles, not of some cells")
        self._modes.change(mode, Recipe(i_cc, volts, rate_v_s, atmosphere, electrode))

    def set_temperature(self, kelvin: float) -> None:
        """Nothing at the reference temperature; else :class:`Unsupported`."""
        if kelvin != REFERENCE_K:
            raise Unsupported(
                f"{kelvin:g} K: nothing on the bench sets the temperature of the cells"
            )

    @property
    def limits(self) -> Limits:
        """What the device takes and the card gives."""
        codes, window = self._modes.codes, self.mode.family.window(self.mode.p)
        (v_min, v_max), (low, high) = codes.v_range, codes.i_cc_range
        i_cc = (window.i_cc_min, window.i_cc_max)
        if codes.drive.limited:
            i_cc = (_taken(codes.gate, i_cc[0], low), _taken(codes.gate, i_cc[1], high))
        shortest = self.controller.cycles.pulse / self.controller.info.clk_hz
        return Limits(
            tiles=self.tiles,
            rows=self.rows,
            columns=self.columns,
            modes=tuple(mode.name for mode in self.device.modes),
            v_read_max=self.mode.p.read.v_read.value,
            v_min=_taken(codes.rail, window.v_min, v_min),
            v_max=_taken(codes.rail, window.v_max, v_max),
            i_cc_min=i_cc[0],
            i_cc_max=i_cc[1],
            width_min_s=max(window.width_min_s, shortest),
        )

    # -- what drives cells ------------------------------------------------------------

    def form(self, cells: ArrayLike) -> None:
        """Raise the voltage on one cell after the other until each conducts (``forming``).

        Raises
        ------
        Unsupported
            If no way of forming was given.
        BenchError
            If a cell has not been formed at the end, naming it.
        """
        found, how = self.region.cells(cells), self.forming
        if how is None:
            raise Unsupported(
                f"{self.device.name} has no electroforming but what set_mode does to enter a "
                "mode, and none was given"
            )
        steps = np.arange(1, round(abs(how.volts / how.step_volts)) + 1) * abs(how.step_volts)
        volts = np.copysign(steps, how.volts)
        for step in volts:  # all of it is permitted, or none of it is done
            self._modes.codes.opening(float(step), how.step_s, how.i_cc)
        for cell in found.reshape(-1).tolist():
            for step in volts:
                if self.read([cell])[0] >= how.siemens:
                    break
                self.sweep([cell], [float(step)], how.step_s, how.i_cc)
            siemens = float(self.read([cell])[0])
            if siemens < how.siemens:
                raise BenchError(
                    f"cell {cell} has {siemens:.3g} S after {how.volts:g} V, formed is "
                    f"{how.siemens:.3g} S"
                )

    def pulse(
        self, cells: ArrayLike, volts: ArrayLike, width_s: ArrayLike, i_cc: ArrayLike | None
    ) -> None:
        """One pulse on each cell; neighbours of a row with the same pulse get it at once.

        Raises
        ------
        DeviceError
            If a pulse is outside the limits, or a cell has had the cycles that it lasts; nothing
            has been driven then.
        WriteOnceError
            If a cell that is written once is not found to be unwritten.
        """
        found = self.region.cells(cells)
        if not found.size:
            return
        codes, flat = self._modes.codes, found.reshape(-1)
        once = self._modes.record.write_once
        if once and self.cycles[flat].any():
            written = int(flat[self.cycles[flat] > 0][0])
            raise WriteOnceError(f"{self.device.name}: cell {written} is written, once for all")
        stress = (volts, width_s, np.inf if i_cc is None else i_cc)
        each = list(zip(*(_broadcast(what, found) for what in stress), strict=True))
        made = {one: codes.opening(*one) for one in dict.fromkeys(each)}
        setting = np.array([self._sets(one[0]) for one in each])
        self._refuse_worn(flat)
        if once:
            self._unlock(flat)
        drive(self.controller, self.region, codes, flat, [made[one] for one in each])
        self.cycles[flat[setting]] += 1

    def _sets(self, volts: float) -> bool:
        """Whether a voltage is one that could SET a cell, and so counts as a cycle."""
        window = self.mode.family.window(self.mode.p)
        return volts * window.set_sign > self.mode.p.read.v_read.value

    def _refuse_worn(self, cells: IntArray) -> None:
        """Refuse cells that have had the cycles that the present mode lasts."""
        most = self.mode.endurance(REFERENCE_K)
        worn = cells[self.cycles[cells] >= most]
        if worn.size:
            raise EnduranceError(
                f"{self.device.name}: cell {int(worn[0])} has had the {most:g} cycles that it lasts"
            )

    def _unlock(self, cells: IntArray) -> None:
        """Have the controller find that cells are unwritten, by a read."""
        controller = self.controller
        # Rows and columns of a lock are those of the geometry; how many there are, the link says.
        geometry = replace(self.region.geometry, locks=controller.info.lock_depth)
        tia_range, _ = unwritten_range(self.mode, self.converters)
        for group in self.region.neighbours(cells):
            tile, row, column = self.region.place(cells[group[0]])
            first = row * geometry.columns + column
            self.reader.read(tile, first, group.size, self.read_volts, tia_range)
        for cell in cells.tolist():
            address = geometry.lock_address(*self.region.place(cell))
            if address is None or controller.client.read_words(Space.LOCK, address, 1) == [0]:
                raise WriteOnceError(
                    f"{self.device.name}: cell {cell} is written once and is not found to be "
                    "unwritten"
                )

    def sweep(
        self, cells: ArrayLike, volts: ArrayLike, step_s: float, i_cc: float | None
    ) -> FloatArray:
        """A staircase of voltages on each cell; the current at the end of each step [A].

        ``i_cc`` limits in the SET polarity alone. Cells that relax are swept side by side,
        others one after the other, each step in the TIA range that fits. A step whose sample
        was at a rail is repeated once in a coarser range. With a fixed ``tia_range`` the
        controller makes the whole staircase by itself.

        Raises
        ------
        DeviceError
            If a step is outside the limits, or a cell has had the cycles that it lasts.
        Unsupported
            If cells are written once: only single pulses drive them.
        """
        found = self.region.cells(cells)
        steps = np.atleast_1d(np.asarray(volts, dtype=np.float64)).tolist()
        if self._modes.record.write_once:
            raise Unsupported(
                f"{self.device.name}: a cell that is written once is driven by single pulses "
                "alone, not by a sweep"
            )
        flat, codes = found.reshape(-1), self._modes.codes
        sign = self.mode.family.window(self.mode.p).set_sign
        openings = [
            codes.opening(step, step_s, i_cc if step * sign > 0 else None) for step in steps
        ]
        current = np.empty((flat.size, len(openings)))
        which = np.empty(current.shape, dtype=np.int64)
        if current.size:
            sweeper = Sweeper(self.controller, codes, self.average, self.tia_range)
            sweeper.require(openings[0])
            if setting := any(self._sets(step) for step in steps):
                self._refuse_worn(flat)
            together = min(codes.together(opening) for opening in openings)
            for group in self.region.neighbours(flat, together if self.mode.relaxes else 1):
                siemens = None if self.tia_range is not None else self.read(flat[group])
                sweeper.watch = partial(self.watch, flat[group])
                place = self.region.place(flat[group[0]])
                current[group], which[group] = sweeper.sweep(place, group.size, openings, siemens)
            self.cycles[flat] += np.uint32(setting)
        self.sampled = which.reshape(*found.shape, len(openings))
        if railed := int(np.count_nonzero(which == RAILED)):
            log.warning(
                "%d of %d samples were at a rail: their currents were larger", railed, which.size
            )
        return current.reshape(self.sampled.shape)

    def charge(self, cells: ArrayLike, amperes: ArrayLike, seconds: float) -> None:
        """Pass a constant current through cells that store charge, one after the other.

        Raises
        ------
        Unsupported
            If the mode stores none.
        ChargeError
            If the source does not give the current.
        BenchError
            If a cell has come to the end of the mode's voltages before.
        """
        found = self.region.cells(cells).reshape(-1)
        stores = self._stores("cannot be charged")
        currents = np.broadcast_to(np.asarray(amperes, dtype=np.float64), found.shape).tolist()
        plans = [stores.plan(current, seconds) if current else [] for current in currents]
        for cell, plan in zip(found.tolist(), plans, strict=True):
            if not plan:
                self.wait(seconds)
            for charge in plan:
                stores.charge(self.region.place(cell), charge)

    def sense_voltage(self, cells: ArrayLike) -> FloatArray:
        """Open-circuit voltage of cells that store charge [V].

        Raises
        ------
        Unsupported
            If the mode stores none.
        """
        found, stores = self.region.cells(cells), self._stores("has no open-circuit voltage")
        volts = [stores.volts(self.region.place(cell)) for cell in found.reshape(-1).tolist()]
        return np.array(volts).reshape(found.shape)

    def _stores(self, lacks: str) -> Stores:
        if self.mode.store is None:
            raise Unsupported(
                f"{self.device.name} is in its {self.mode.name} mode, not in a power mode: "
                f"it {lacks}"
            )
        return Stores(self.controller, self._modes.codes, self.average)

    def wait(self, seconds: float) -> None:
        """Let time pass with every line at 0 V."""
        if not seconds >= 0:
            raise ArrayError(f"cannot wait {seconds} s")
        cycles, most = round(seconds * self.controller.info.clk_hz), (1 << CYCLE_BITS) - 1
        while cycles:
            program = []
            while cycles and len(program) < self.controller.room:
                program.append(instruction(Op.WAIT, cycles=min(cycles, most)))
                cycles -= program[-1]["cycles"]
            self.controller.run(program, seconds)

    def uncertainty(self, amperes: FloatArray) -> FloatArray:
        """What the last sweep's currents may be off by [A], of their shape.

        Of a sample at a rail: infinite, since its current was larger.
        """
        off = np.full(amperes.shape, np.inf)
        for tia_range in np.unique(self.sampled[self.sampled != RAILED]).tolist():
            here = self.sampled == tia_range
            found, unit = (
                uncertainty(tia_range, self.average),
                self._modes.codes.amperes(1, tia_range),
            )
            off[here] = [found.codes(value / unit) * unit for value in amperes[here]]
        return off

    # -- what reads it ----------------------------------------------------------------

    @property
    def read_volts(self) -> float:
        """The read voltage as the rail gives it [V]: not above that of the mode."""
        code = self.converters.read_code(self.mode.p.read.v_read.value)
        return self.converters.dac_volts(code)

    def read(self, cells: ArrayLike) -> FloatArray:
        """One read of each cell in the TIA range that fits: conductance [S].

        Raises
        ------
        BenchError
            If a cell conducts more than the coarsest range holds.
        """
        found, volts = self.region.cells(cells), self.read_volts
        flat, geometry = found.reshape(-1), self.region.geometry
        siemens = np.empty(flat.size)
        for group in self.region.neighbours(flat):
            tile, row, column = self.region.place(flat[group[0]])
            first = row * geometry.columns + column
            readings = self.reader.read(tile, first, group.size, volts, None, self.average)
            for index, reading in zip(group.tolist(), readings, strict=True):
                if reading.saturated:
                    most = self._modes.codes.full_scale(reading.tia_range)
                    raise BenchError(
                        f"cell {int(flat[index])} takes more than {most:.3g} A at {volts:.3g} V"
                    )
                siemens[index] = reading.amperes / volts
        return siemens.reshape(found.shape)

    def mvm(self, tile: int, volts: ArrayLike) -> FloatArray:
        """Column currents [A] of row voltages (..., rows), each 0 V or V_read.

        Columns are sampled one after the other in a pulse at V_read on their driven rows: the
        accumulators of an ``MVM`` hold differences of columns alone.

        Raises
        ------
        Unsupported
            If a row has another voltage, the array is not the controller's tiles, or a pulse
            would write a cell.
        """
        wanted = np.asarray(volts, dtype=np.float64)
        if (self.rows, self.columns) != self._whole[1:]:
            raise Unsupported(
                f"an array of {self.rows} x {self.columns} cells of a tile of {self._whole[1]} x "
                f"{self._whole[2]}: columns are summed of whole tiles"
            )
        if not 0 <= tile < self.tiles:
            raise ArrayError(f"tile {tile} is outside 0..{self.tiles - 1}")
        if wanted.ndim < 1 or wanted.shape[-1] != self.rows:
            raise ArrayError(f"row voltages of shape {wanted.shape}, expected (..., {self.rows})")
        if self._modes.record.write_once:
            raise Unsupported(f"{self.device.name}: a cell that is written once is not pulsed")
        v_read, lsb = self.mode.p.read.v_read.value, self.converters.dac_lsb
        driven = wanted != 0
        if (np.abs(wanted[driven] - v_read) > lsb).any():
            other = float(wanted[driven][np.argmax(np.abs(wanted[driven] - v_read))])
            raise Unsupported(
                f"rows are driven by switches: each has 0 V or V_read = {v_read:g} V, not "
                f"{other:g} V"
            )
        codes = self._modes.codes
        width_s = (max(codes.cycles.settle) + 4 * codes.spacing) / codes.clk_hz
        limit = codes.i_cc_range[1] if codes.drive.limited else None
        opening = codes.opening(self.read_volts, width_s, limit)
        flat = driven.reshape(-1, self.rows)
        current = np.zeros((len(flat), self.columns))
        sweeper = Sweeper(self.controller, codes, self.average, self.tia_range)
        for vector, rows in enumerate(flat):
            edges = np.flatnonzero(np.diff(np.concatenate(([0], rows, [0]))))
            for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
                for column in range(self.columns):
                    place = (self.region.first + tile, begin, column)
                    current[vector, column] += sweeper.column(place, end - begin, opening)
        return current.reshape(*wanted.shape[:-1], self.columns)


def _broadcast(what: ArrayLike, cells: IntArray) -> list[float]:
    """A number for each cell."""
    return np.broadcast_to(np.asarray(what, np.float64), cells.shape).reshape(-1).tolist()


def _taken(convert: Callable[[float], int], wanted: float, made: float) -> float:
    """A limit of the device where the card takes it, or else that of the card."""
    try:
        convert(wanted)
    except DeviceError:
        return made
    return wanted
