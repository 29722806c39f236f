"""The :class:`~ohmloom.sim.array.Array` protocol over the command link.

What an array of the model is asked for is asked of cells behind a controller, in the same
words and units. Everything is looked at before anything is driven; what the hardware cannot
do raises :class:`~ohmloom.sim.array.Unsupported`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ...compiler.profile import unwritten_range
from ...hw.charge import constant_current
from ...hw.isa import (
    CYCLE_BITS,
    Instruction,
    Op,
    PulseStatus,
    Reg,
    Staircase,
    Train,
    instruction,
    pack_pulse,
    pack_sweep,
    unpack_sample,
    unpack_sweep,
)
from ...hw.link.protocol import Space
from ...hw.profile import WayRecord, arm_key
from ...hw.stairs import Pace
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
from .codes import Codes, Opening
from .controller import Controller
from .errors import BenchError
from .sweeps import Sweeper

log = logging.getLogger(__name__)

BEAT_S = 4.0
"""Longest time between two samples of a charge: the guard wants to hear the host every 10 s,
and a board whose time jumps hears it when a sample is taken."""
REST_S = 0.02
"""From a charge of nothing to the reading of the voltage; assumed: the buffer and the line
settle in microseconds."""


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
        Seconds on the line after which a charge asks the controller for its status.
    forming:
        How :meth:`form` forms cells.

    Attributes
    ----------
    cycles:
        Pulses and sweeps in SET polarity of each cell since this object was made, or since it
        was told: what its endurance is compared with, shape (cells,).
    saturated:
        Samples that were at a rail in the coarsest range: the current was larger.

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
        self.controller = Controller(client, device, self.converters)
        self.reader = LinkReader(client)
        geometry = self.controller.geometry
        self._whole = (geometry.tiles - first, geometry.rows, geometry.columns)
        self.tiles, self.rows, self.columns = shape or self._whole
        self.size = self.tiles * self.rows * self.columns
        there = max(self._whole[0], 0) * geometry.cells
        if self.size > there or self.size < 1:
            raise BenchError(
                f"an array of {self.tiles} x {self.rows} x {self.columns} cells, the controller "
                f"has {there} from tile {first} on"
            )
        self.first = first
        self.used = -(-self.size // geometry.cells)
        self.armed = armed
        self.average = average
        self.beat_s = beat_s
        self.forming = forming
        self.cycles = np.zeros(self.size, dtype=np.uint32)
        self.saturated = 0
        self.tia_range = tia_range
        self._mode = self._find_mode(mode)
        if self.mode.p.wear is not None and mode is None:
            log.info("%s: cycles of former sessions are not counted", device.name)

    # -- modes ------------------------------------------------------------------------

    @property
    def mode(self) -> Mode:
        """The mode that the tiles are in."""
        return self.device.modes[self._mode]

    def _find_mode(self, wanted: str | None) -> int:
        """What the controller knows, else what is said, which it is told."""
        controller, names = self.controller, [mode.name for mode in self.device.modes]
        if wanted is not None and wanted not in names:
            raise Unsupported(
                f"{self.device.name} has no mode {wanted!r}, it has {', '.join(names)}"
            )
        said = 0 if wanted is None else names.index(wanted)
        known = controller.tiles(self.first, self.used)
        for n, tile in enumerate(known):
            if tile.fault and wanted is None:
                raise BenchError(
                    f"a change of the mode of tile {self.first + n} was broken off: say in which "
                    f"mode it is, one of {', '.join(names)}"
                )
        found = {tile.mode for tile in known if tile.known and not tile.fault}
        if len(found) > 1:
            raise BenchError("the tiles of the array are in different modes")
        index = found.pop() if found else said
        if wanted is not None and index != said:
            raise BenchError(f"the cells are in mode {names[index]}, not in {wanted}")
        missing = [n for n, tile in enumerate(known) if tile.fault or not tile.known]
        if missing:
            controller.run(
                instruction(Op.RESTORE, tile=self.first + n, mode=index) for n in missing
            )
        return index

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
        targets = self.device.modes_called(mode)
        if not targets:
            names = ", ".join(found.name for found in self.device.modes)
            raise Unsupported(f"{self.device.name} has no mode {mode!r}, it has {names}")
        if cells is not None and np.unique(self._cells(cells)).size != self.size:
            raise Unsupported("the controller changes the mode of whole tiles, not of some cells")
        if self._mode in targets:
            return
        recipe = Recipe(i_cc, volts, rate_v_s, atmosphere, electrode)
        try:
            wanted = self.device.transition(self._mode, mode, recipe)
        except DeviceError as error:
            raise type(error)(f"{self.device.name}: {error}") from error
        to = self.device.mode_index(wanted.to)
        profile = self.controller.profile
        way = next((w for w in profile.ways if (w.start, w.to) == (self._mode, to)), None)
        name = f"{wanted.start} to {wanted.to}"
        if way is None:
            left = [why for why in self.controller.told.left_out if why.startswith(name)]
            raise Unsupported(f"{self.device.name}: {(left or [f'{name} has no recipe'])[0]}")
        if way.irreversible and not self.armed:
            raise Unsupported(f"{self.device.name}: {name} is irreversible and has to be armed")
        self._change(way, self._recipe(way, recipe, name))
        self._mode = to

    def _recipe(self, way: WayRecord, recipe: Recipe, name: str) -> Staircase:
        """The way's sweep with what is asked for in place of what the profile has."""
        controller = self.controller
        size = len(controller.told.records) // len(controller.profile.ways)
        at = size * controller.profile.ways.index(way)
        stairs = unpack_sweep(controller.told.records[at : at + size])
        codes = replace(self._codes(), drive=way.drive, what=f"{self.device.name}, {name}")
        if recipe.i_cc is not None and stairs.limit:
            stairs = replace(stairs, gate=codes.gate(recipe.i_cc))
        if recipe.volts is not None:
            aim = abs(codes.rail(math.copysign(recipe.volts, stairs.stop - stairs.start)) - 0x8000)
            steps = math.floor(aim / stairs.step)
            sign = 1 if stairs.stop > stairs.start else -1
            stairs = replace(stairs, stop=stairs.start + sign * steps * stairs.step)
        if recipe.rate_v_s is not None:
            volts = stairs.step * self.converters.dac_lsb
            interval = math.ceil(volts * controller.info.clk_hz / recipe.rate_v_s)
            width = min(interval // 2, way.drive.width_max)
            stairs = replace(stairs, interval=interval, width=width, delay=width - 2)
        return stairs

    def _change(self, way: WayRecord, stairs: Staircase) -> None:
        controller = self.controller
        controller.write(Space.PARAM, way.param, pack_sweep(stairs))
        code = []
        for tile in range(self.first, self.first + self.used):
            if way.irreversible:
                code.append(instruction(Op.SET, reg=Reg.ARM, value=arm_key(tile, way.to)))
            code.append(instruction(Op.MODE, tile=tile, to=way.to))
        cycles = len(stairs.codes()) * stairs.interval * controller.info.rows * self.used
        controller.run(code, cycles / controller.info.clk_hz)

    def set_temperature(self, kelvin: float) -> None:
        """Nothing at the reference temperature; else :class:`Unsupported`."""
        if kelvin != REFERENCE_K:
            raise Unsupported(
                f"{kelvin:g} K: nothing on the bench sets the temperature of the cells"
            )

    # -- limits and cells -------------------------------------------------------------

    @property
    def limits(self) -> Limits:
        """What the device takes and the card gives."""
        codes, window = self._codes(), self.mode.family.window(self.mode.p)
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

    def _codes(self) -> Codes:
        return Codes(
            self.converters,
            self.controller.info.clk_hz,
            self.controller.cycles,
            self.controller.profile.modes[self._mode].drive,
            f"{self.device.name}, {self.mode.name}",
        )

    def _cells(self, cells: ArrayLike) -> IntArray:
        found = np.asarray(cells)
        if found.size and found.dtype.kind not in "iu":
            raise ArrayError(f"cell numbers are integers, not {found.dtype}")
        found = found.astype(np.int64, copy=False)
        if found.size and not 0 <= int(found.min()) <= int(found.max()) < self.size:
            raise ArrayError(
                f"cells {int(found.min())}..{int(found.max())} are outside 0..{self.size - 1}"
            )
        if np.unique(found).size != found.size:
            raise ArrayError("a cell is named twice in one batch")
        return found

    def _place(self, cell: int) -> tuple[int, int, int]:
        """Tile, row and column of a cell."""
        geometry = self.controller.geometry
        tile, rest = divmod(int(cell), geometry.cells)
        return self.first + tile, *divmod(rest, geometry.columns)

    def _rows(self, cells: IntArray, most: int = 1 << 16) -> Iterator[IntArray]:
        """Indices of neighbours in a row, at most ``most`` at once."""
        columns = self.controller.geometry.columns
        order = np.argsort(cells, kind="stable")
        group: list[int] = []
        for index in order.tolist():
            last = group[-1] if group else index
            if group and not (
                cells[index] == cells[last] + 1 and cells[index] % columns and len(group) < most
            ):
                yield np.array(group)
                group = []
            group.append(index)
        if group:
            yield np.array(group)

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
        found, how = self._cells(cells), self.forming
        if how is None:
            raise Unsupported(
                f"{self.device.name} has no electroforming but what set_mode does to enter a "
                "mode, and none was given"
            )
        steps = np.arange(1, round(abs(how.volts / how.step_volts)) + 1) * abs(how.step_volts)
        volts = np.copysign(steps, how.volts)
        for step in volts:  # all of it is permitted, or none of it is done
            self._codes().opening(float(step), how.step_s, how.i_cc)
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
        found = self._cells(cells)
        if not found.size:
            return
        codes = self._codes()
        no_limit = np.inf if i_cc is None else i_cc
        each = [
            np.broadcast_to(np.asarray(what, dtype=np.float64), found.shape).reshape(-1).tolist()
            for what in (volts, width_s, no_limit)
        ]
        flat = found.reshape(-1)
        made: dict[tuple[float, float, float], Opening] = {}
        for key in zip(*each, strict=True):
            if key not in made:
                made[key] = codes.opening(*key)
        openings = [made[key] for key in zip(*each, strict=True)]
        setting = np.array([self._sets(v) for v in each[0]])
        self._wear(flat, setting)
        if self.controller.profile.modes[self._mode].write_once:
            self._unlock(flat)
        records: dict[Opening, int] = {}
        program: list[Instruction] = []
        cycles = 0

        def send() -> None:
            nonlocal cycles
            self.controller.run(program, cycles / codes.clk_hz)
            program.clear()
            records.clear()
            cycles = 0

        base, size = self.controller.base, len(pack_pulse(Train(rail=0, width=1)))
        for opening in dict.fromkeys(openings):  # cells of an opening may be side by side
            mine = np.array([n for n, other in enumerate(openings) if other == opening])
            most = codes.together(opening)
            for group in self._rows(flat[mine], most):
                if len(program) == self.controller.room or (
                    opening not in records and (len(records) + 1) * size > self.controller.words
                ):
                    send()
                if opening not in records:
                    records[opening] = base + len(records) * size
                    train = Train(
                        rail=opening.rail, width=opening.width, gate=opening.gate,
                        limit=opening.limit,
                    )  # fmt: skip
                    self.controller.write(Space.PARAM, records[opening], pack_pulse(train))
                tile, row, column = self._place(flat[mine[group[0]]])
                program.append(
                    instruction(
                        Op.PULSE, tile=tile, row=row, column=column, count=group.size, down=0,
                        param=records[opening],
                    )
                )  # fmt: skip
                cycles += opening.width
        send()
        self.cycles[flat[setting]] += 1

    def _sets(self, volts: float) -> bool:
        """Whether a voltage is one that could SET a cell, and so counts as a cycle."""
        window = self.mode.family.window(self.mode.p)
        return volts * window.set_sign > self.mode.p.read.v_read.value

    def _wear(self, cells: IntArray, setting: np.ndarray) -> None:
        """Refuse cells that have had the cycles that the present mode lasts."""
        most = self.mode.endurance(REFERENCE_K)
        worn = cells[self.cycles[cells] >= most]
        if worn.size and math.isfinite(most):
            raise EnduranceError(
                f"{self.device.name}: cell {int(worn[0])} has had the {most:g} cycles that it lasts"
            )

    def _unlock(self, cells: IntArray) -> None:
        """Have the controller find that cells are unwritten, by a read."""
        geometry = replace(self.controller.geometry, locks=self.controller.info.lock_depth)
        tia_range, _ = unwritten_range(self.mode, self.converters)
        for group in self._rows(cells):
            tile, row, column = self._place(cells[group[0]])
            self.reader.read(
                tile, row * geometry.columns + column, group.size, self._read_volts(), tia_range
            )
            for cell in cells[group].tolist():
                address = geometry.lock_address(*self._place(cell))
                if (
                    address is None
                    or not self.controller.client.read_words(Space.LOCK, address, 1)[0]
                ):
                    raise WriteOnceError(
                        f"{self.device.name}: cell {cell} is written once and is not found to "
                        "be unwritten"
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
        found = self._cells(cells)
        steps = np.atleast_1d(np.asarray(volts, dtype=np.float64)).tolist()
        if self.controller.profile.modes[self._mode].write_once:
            raise Unsupported(
                f"{self.device.name}: a cell that is written once is driven by single pulses "
                "alone, not by a sweep"
            )
        flat, codes = found.reshape(-1), self._codes()
        sign = self.mode.family.window(self.mode.p).set_sign
        openings = [
            codes.opening(step, step_s, i_cc if step * sign > 0 else None) for step in steps
        ]
        current = np.empty((flat.size, len(openings)))
        if not current.size:
            return current.reshape(*found.shape, len(openings))
        setting = np.full(flat.size, any(self._sets(step) for step in steps))
        self._wear(flat, setting)
        together = min(codes.together(opening) for opening in openings)
        side_by_side = together if self.mode.relaxes else 1
        sweeper = Sweeper(self.controller, codes, self.average, self.tia_range)
        for group in self._rows(flat, side_by_side):
            siemens = None if self.tia_range is not None else self.read(flat[group])
            place = self._place(flat[group[0]])
            current[group] = sweeper.sweep(place, group.size, openings, siemens)
        self.saturated += sweeper.saturated
        if sweeper.saturated:
            log.warning(
                "%d samples were above the full scale of the coarsest range", sweeper.saturated
            )
        self.cycles[flat[setting]] += 1
        return current.reshape(*found.shape, len(openings))

    def charge(self, cells: ArrayLike, amperes: ArrayLike, seconds: float) -> None:
        """Pass a constant current through cells that store charge, one after the other.

        Raises
        ------
        Unsupported
            If the mode stores none, or the controller has no current source.
        BenchError
            If a cell has come to the end of the mode's voltages before.
        """
        found = self._cells(cells).reshape(-1)
        currents = np.broadcast_to(np.asarray(amperes, dtype=np.float64), found.shape)
        self._require_store("cannot be charged")
        low, high = self._codes().v_range
        margin = 0.01 * (high - low)
        samples = max(1, math.ceil(seconds / BEAT_S))
        charges = [
            None if not ampere else constant_current(
                ampere, seconds, self.controller.info.clk_hz, self._source_pace(), samples=samples,
                low_volts=low - margin, high_volts=high, ohms=self.converters.source_ohms,
                span_volts=self.converters.dac_volts_span, adc_volts=self.converters.adc_volts_span,
            )
            for ampere in currents.tolist()
        ]  # fmt: skip
        timeout = self.controller.client.exchanges.timeout
        try:
            if self.beat_s is not None:
                self.controller.client.exchanges.timeout = self.beat_s
            for cell, charge in zip(found.tolist(), charges, strict=True):
                if charge is None:
                    self.wait(seconds)
                elif self._source(cell, charge.train, seconds) is PulseStatus.CUT:
                    raise BenchError(
                        f"cell {cell} has come to {low:g} V or {high:g} V before {seconds:g} s"
                    )
        finally:
            self.controller.client.exchanges.timeout = timeout

    def sense_voltage(self, cells: ArrayLike) -> FloatArray:
        """Open-circuit voltage of cells that store charge [V], after a shortest pulse of 0 A."""
        found = self._cells(cells)
        self._require_store("has no open-circuit voltage")
        clk_hz = self.controller.info.clk_hz
        nothing = constant_current(
            0.0, self.controller.cycles.pulse / clk_hz, clk_hz, self._source_pace(),
            rest_seconds=REST_S, rest_samples=1, average=self.average,
            adc_volts=self.converters.adc_volts_span,
        )  # fmt: skip
        volts = np.empty(found.size)
        for n, cell in enumerate(found.reshape(-1).tolist()):
            self._source(cell, nothing.train, REST_S)
            code, _ = unpack_sample(self.controller.samples(1)[0])
            volts[n] = code * self.converters.adc_lsb
        return volts.reshape(found.shape)

    def _require_store(self, lacks: str) -> None:
        if self.mode.store is None:
            raise Unsupported(
                f"{self.device.name} is in its {self.mode.name} mode, not in a power mode: "
                f"it {lacks}"
            )

    def _source_pace(self) -> Pace:
        return self._codes().pace(0)

    def _source(self, cell: int, train: Train, seconds: float) -> PulseStatus:
        """A pulse of the current source on one cell."""
        controller, (tile, row, column) = self.controller, self._place(cell)
        controller.write(Space.PARAM, controller.base, pack_pulse(train))
        controller.run(
            [instruction(Op.PULSE, tile=tile, row=row, column=column, count=1, down=0,
                         param=controller.base)],
            seconds,
        )  # fmt: skip
        return controller.outcome()[1]

    def wait(self, seconds: float) -> None:
        """Let time pass with every line at 0 V."""
        if not seconds >= 0:
            raise ArrayError(f"cannot wait {seconds} s")
        cycles, most = round(seconds * self.controller.info.clk_hz), (1 << CYCLE_BITS) - 1
        while cycles:
            program = []
            while cycles and len(program) < self.controller.room:
                program.append(instruction(Op.WAIT, cycles=min(cycles, most)))
                cycles -= min(cycles, most)
            self.controller.run(program, seconds)

    # -- what reads it ----------------------------------------------------------------

    def _read_volts(self) -> float:
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
        found, volts = self._cells(cells), self._read_volts()
        flat, columns = found.reshape(-1), self.controller.geometry.columns
        siemens = np.empty(flat.size)
        cells_there = self.controller.geometry.cells
        for group in self._rows(flat, cells_there):
            tile, row, column = self._place(flat[group[0]])
            readings = self.reader.read(
                tile, row * columns + column, group.size, volts, None, self.average
            )
            for index, reading in zip(group.tolist(), readings, strict=True):
                if reading.saturated:
                    raise BenchError(
                        f"cell {int(flat[index])} takes more than "
                        f"{self._codes().full_scale(reading.tia_range):.3g} A at {volts:.3g} V"
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
        if self.controller.profile.modes[self._mode].write_once:
            raise Unsupported(f"{self.device.name}: a cell that is written once is not pulsed")
        v_read, lsb = self.mode.p.read.v_read.value, self.converters.dac_lsb
        driven = wanted != 0
        if (np.abs(wanted[driven] - v_read) > lsb).any():
            other = float(wanted[driven][np.argmax(np.abs(wanted[driven] - v_read))])
            raise Unsupported(
                f"rows are driven by switches: each has 0 V or V_read = {v_read:g} V, not "
                f"{other:g} V"
            )
        codes = self._codes()
        width_s = (codes.cycles.settle[-2] + 4 * codes.spacing) / codes.clk_hz
        limit = codes.i_cc_range[1] if codes.drive.limited else None
        opening = codes.opening(self._read_volts(), width_s, limit)
        flat = driven.reshape(-1, self.rows)
        current = np.zeros((len(flat), self.columns))
        sweeper = Sweeper(self.controller, codes, self.average, self.tia_range)
        for vector, rows in enumerate(flat):
            edges = np.flatnonzero(np.diff(np.concatenate(([0], rows, [0]))))
            for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
                for column in range(self.columns):
                    place = (self.first + tile, begin, column)
                    current[vector, column] += sweeper.column(place, end - begin, opening)
        return current.reshape(*wanted.shape[:-1], self.columns)


def _taken(convert: Callable[[float], int], wanted: float, made: float) -> float:
    """A limit of the device where the card takes it, or else that of the card."""
    try:
        convert(wanted)
    except DeviceError:
        return made
    return wanted
