"""The engine that executes a program on the simulated array, vectorised over the batch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...hw.banks import BANKED, Banks
from ...hw.bounds import BOUNDS, REGISTER_BOUNDS, clamp_holds, clamps
from ...hw.geometry import OPTIONAL_OPERANDS
from ...hw.image import HostCall, Image, Span
from ...hw.isa import (
    AVERAGE_BITS,
    CYCLE_BITS,
    LINE_WORDS,
    LOOP_DEPTH,
    PULSE_FIELDS,
    SWEEP_FIELDS,
    CellStatus,
    Dac,
    Instruction,
    IsaError,
    Op,
    Reg,
    Train,
    conversion_index,
    instruction,
    limited,
    pack_outcome,
    pack_result,
    unpack_fields,
    unpack_pulse,
    unpack_reading,
    unpack_result,
    unpack_sweep,
)
from ...hw.line import CODE_MAX, CODE_MIN
from ...hw.ranges import AUTO, JUMPS, RANGE_BITS, TEMPERATURE_RANGE
from ..array import SimulatedArray
from ..converters import ADC_MAX, ADC_MIN, Channels, Converters, Gain, Readout
from ..devices import LevelPulses
from ..numerics import IntArray, round_half_even_shift
from .accelerator import Accelerator
from .attempts import Attempts, AttemptWriter
from .batch import ACT, Batch, Layers
from .drives import Drives
from .errors import EngineError, check_width
from .forward import forwarded
from .fused import Requant
from .kept import Kept
from .loops import Loops
from .modes import ModeKeeper, Warden, WardenStopped
from .nest import flow_of
from .passive import PassivePulser
from .post import POST, PostProcessor
from .product import Product
from .protocol import Host, Trace
from .pulses import LinePulser
from .recipe import measure, rails_of
from .rounds import Datapath, Rounds
from .staying import Plan
from .windows import level_table, line_table
from .workers import Workers
from .writing import Trains, Writer, Writing, result_codes

_log = logging.getLogger(__name__)

_BLOCK = 1024
"""Samples executed together: bounds memory, changes no bit."""
_KNOWN = 1 << 12
"""Instructions and products that are kept."""
_DAC_ZERO = 0x8000
_WEAR_MAX = (1 << 32) - 1


class NumpyEngine:
    """Executes an image's instructions as :mod:`ohmloom.hw.isa` documents them.

    Parameters
    ----------
    image:
        Program, parameters and memory map.
    array:
        The cells; programming changes their state.
    converters:
        Transfer functions of DACs, TIA and ADC.
    clk_hz:
        Controller clock [Hz], in which pulse widths are counted.
    seed:
        Seed of the noise of inference conversions.
    read_noise:
        False leaves out the noise of reads and conversions.
    channels:
        Gain and offset errors of the card's channels.
    calibration:
        The controller's table, shape (ranges, columns), words of
        :func:`~ohmloom.hw.tables.pack_entry`.
    by_round:
        Loops are executed round by round even where their rounds could be together: the
        same integers, later.
    host:
        What makes the words of an image's calls of the host; needed where it has any that
        write.
    threads:
        That share large products and what is made of them; the same integers on any number.
    accelerator:
        That makes the products; the same integers on any. None: the processor does.

    Attributes
    ----------
    wear:
        Cycles that each cell of each tile has had, shape (tiles, cells), uint32: what a
        host keeps. The controller has those of the tile at work (``wear_memory``).

    Raises
    ------
    EngineError
        If the array is not of the image's geometry or has too few tiles.
    """

    def __init__(
        self,
        image: Image,
        array: SimulatedArray,
        converters: Converters,
        clk_hz: int,
        seed: int,
        *,
        read_noise: bool = True,
        channels: Channels | None = None,
        calibration: ArrayLike | None = None,
        by_round: bool = False,
        host: Host | None = None,
        threads: int = 1,
        accelerator: Accelerator | None = None,
    ) -> None:
        geometry = image.geometry
        if (array.rows, array.columns) != (geometry.rows, geometry.columns):
            raise EngineError(
                f"the array's tiles are {array.rows} x {array.columns}, "
                f"the image is for {geometry.rows} x {geometry.columns}"
            )
        if array.tiles < image.tiles:
            raise EngineError(f"the image uses {image.tiles} tiles, the array has {array.tiles}")
        if clk_hz < 1:
            raise EngineError(f"clk_hz = {clk_hz}: a clock frequency is above 0")
        self.image = image
        self.array = array
        self.converters = converters
        self.readout = Readout(converters, channels, calibration)
        self.clk_hz = clk_hz
        self.seed = seed
        self.read_noise = read_noise
        self.by_round = by_round
        self.host = host
        self.workers = Workers(threads)
        self.accelerator = accelerator
        self._kept = Kept(image)
        self.registers = dict.fromkeys(Reg, 0)
        self.dac = dict.fromkeys(Dac, _DAC_ZERO)
        self.cell_memory = np.zeros(geometry.cells, dtype=np.uint32)
        self.wear_memory = np.zeros(geometry.cells, dtype=np.uint32)
        self.wear = np.zeros((array.tiles, geometry.cells), dtype=np.uint32)
        self.modes = ModeKeeper(geometry, image.profile)

    # -- what a user calls ------------------------------------------------------------

    def setup(self) -> None:
        """Run the ``setup`` entry: profile, registers and rails, once after power-up."""
        self.run("setup")

    def load_params(self, params: NDArray[np.uint64]) -> None:
        """Write parameter memory anew: as many words as the image has."""
        if params.shape != self.image.params.shape:
            raise EngineError(
                f"{params.size} parameter words, the image has {self.image.params.size}"
            )
        self.image = replace(self.image, params=params)

    def run(self, entry: str) -> None:
        """Run an entry that is no inference.

        Raises
        ------
        EngineError
            If an instruction is refused or stopped; what was done before stays.
        """
        self._run(entry, self._batch(np.zeros(1, np.int64)))

    def program_tile(self, tile: int, levels: ArrayLike) -> NDArray[np.uint32]:
        """Write-verify one tile: by its ``program`` entry, or as a host by pulses and reads.

        A host writes where the image has no such entry: by trains, where the device's levels are
        those of pulses, else attempt by attempt.

        Parameters
        ----------
        tile:
            Tile number.
        levels:
            Level of each cell, or its target where the image programs by the device's
            line, shape (rows, columns), integers.

        Returns
        -------
        Result words (:func:`~ohmloom.hw.isa.unpack_result`), shape (rows * columns,).
        """
        geometry = self.image.geometry
        wanted = np.asarray(levels)
        if wanted.shape != (geometry.rows, geometry.columns) or wanted.dtype.kind not in "iu":
            raise EngineError(
                f"levels of shape {wanted.shape} and type {wanted.dtype}, expected integers "
                f"of shape ({geometry.rows}, {geometry.columns})"
            )
        low, high = int(wanted.min()), int(wanted.max())
        if self.registers[Reg.LINE]:
            if low < CODE_MIN or high > CODE_MAX:
                raise EngineError(f"targets {low}..{high} are not all codes of the ADC")
        elif low < 0 or high >= len(self.image.params):
            raise EngineError(f"levels {low}..{high} are not all in the table")
        if f"program/{tile}" not in self.image.entries:
            law, places = self.array.device.pulses, wanted.reshape(-1).astype(np.int64)
            if law is None:
                return self._attempt_tile(tile, places)
            return self._write_tile(tile, law, places)
        self.cell_memory[:] = wanted.reshape(-1).astype(np.int64) & 0xFFFF
        self.wear_memory[:] = self.wear[tile]
        self._run(f"program/{tile}", self._batch(np.zeros(1, np.int64)))
        self.wear[tile] = self.wear_memory
        return self.cell_memory.copy()

    def program(self, levels: ArrayLike) -> NDArray[np.uint32]:
        """Write-verify every tile of the image.

        Parameters
        ----------
        levels:
            Level of each cell, shape (tiles, rows, columns), integers.

        Returns
        -------
        Result words of the same shape.
        """
        geometry = self.image.geometry
        wanted = np.asarray(levels)
        if len(wanted) != self.image.tiles:
            raise EngineError(f"levels for {len(wanted)} tiles, the image has {self.image.tiles}")
        results = np.empty((len(wanted), geometry.rows, geometry.columns), dtype=np.uint32)
        for tile in range(len(wanted)):
            results[tile] = self.program_tile(tile, wanted[tile]).reshape(results[tile].shape)
        return results

    def infer(self, x: ArrayLike, epoch0: int = 0) -> Trace:
        """Run the network on a batch.

        Parameters
        ----------
        x:
            Inputs as they drive the rows (``q - zero_point``), shape (batch, n),
            integers of the activation width.
        epoch0:
            Inference number of the first sample; the others follow.
        """
        span, width = self.image.input, self.image.geometry.act_width
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != span.count or x.dtype.kind not in "iu":
            raise EngineError(
                f"input of shape {x.shape} and type {x.dtype}, "
                f"expected integers of shape (batch, {span.count})"
            )
        if not 0 <= epoch0 <= (1 << 32) - len(x):
            raise EngineError(f"inference numbers from {epoch0} do not fit 32 bits")
        check_width("an input", x, width)
        blocks = self._infer_blocks(x, epoch0)
        return Trace(
            Layers({layer.name: layer.span.words for layer in self.image.layers}, blocks),
            saturations=sum(batch.saturations for batch in blocks),
            conversions=sum(batch.conversions for batch in blocks),
            output=np.concatenate([_words(batch, self.image.outputs) for batch in blocks]),
            host=tuple(np.concatenate(n) for n in zip(*(b.host for b in blocks), strict=True)),
            made=tuple(np.concatenate(n) for n in zip(*(b.made for b in blocks), strict=True)),
        )

    # -- execution --------------------------------------------------------------------

    def _infer_blocks(self, x: NDArray, epoch0: int) -> list[Batch]:
        """Samples in blocks, one after the other."""
        with self.workers.at_work():
            return [
                self._infer_block(x[start : start + _BLOCK], epoch0 + start)
                for start in range(0, max(len(x), 1), _BLOCK)
            ]

    def _infer_block(self, x: NDArray, epoch0: int) -> Batch:
        batch = self._batch(epoch0 + np.arange(len(x), dtype=np.int64))
        batch.act[:, self.image.input.words] = x
        self._run("infer", batch)
        for number, call in enumerate(self.image.host):
            batch.host.append(_words(batch, call.reads))
            batch.made.append(self._called(number, call, batch))
            if call.entry:
                self._run(call.entry, batch)
        return batch

    def _called(self, number: int, call: HostCall, batch: Batch) -> IntArray:
        """Words (batch, words out) that the host writes in one of its calls."""
        if not call.writes:
            return batch.act[:, :0].astype(np.int64)
        if self.host is None:
            raise EngineError(f"'{call.name}' runs on the host, and there is none")
        made = np.asarray(self.host(number, batch.host[-1]))
        if made.shape != (len(batch.act), call.words_out) or made.dtype.kind not in "iu":
            raise EngineError(
                f"the host makes {made.dtype} of shape {made.shape} of '{call.name}', expected "
                f"integers of shape ({len(batch.act)}, {call.words_out})"
            )
        check_width(
            f"a word that the host makes of '{call.name}'", made, self.image.geometry.act_width
        )
        ends = np.cumsum([span.count for span in call.writes])[:-1]
        for span, words in zip(call.writes, np.split(made, ends, axis=1), strict=True):
            batch.act[:, span.words] = words
        return made

    def _batch(self, epochs: IntArray) -> Batch:
        geometry = self.image.geometry
        return Batch(
            epochs=epochs,
            act=np.zeros((len(epochs), geometry.act_depth), dtype=ACT),
            acc=np.zeros((len(epochs), geometry.accumulators), dtype=np.int64),
        )

    def _run(self, entry: str, batch: Batch) -> None:
        """Execute from an entry to the next HALT."""
        if entry not in self.image.entries:
            raise EngineError(
                f"the image has no entry {entry!r}, only {', '.join(self.image.entries)}"
            )
        address = self.image.entries[entry]
        self.modes.begin()
        self.registers[Reg.ARM] = 0
        try:
            self._execute(entry, address, batch)
        except WardenStopped:
            self._make_safe()
            raise

    def _make_safe(self) -> None:
        """The safe state: the sequencer and the rails are as after a reset."""
        self.registers = dict.fromkeys(Reg, 0)
        self.dac = dict.fromkeys(Dac, _DAC_ZERO)

    def _write_tile(self, tile: int, law: LevelPulses, levels: IntArray) -> NDArray[np.uint32]:
        """Write-verify one tile as a host does, by ``READ`` and ``PULSE``; its result words."""
        codes = self._read_tile(tile)
        writing = self.writing(tile, law, levels, codes)
        try:
            trains = next(writing)
            while True:
                self._drive(tile, trains)
                trains = writing.send(self._read_tile(tile))
        except StopIteration as end:
            words = end.value
        self._tell(tile, words)
        return words

    def _attempt_tile(self, tile: int, levels: IntArray) -> NDArray[np.uint32]:
        """Write-verify one tile as a host does, by ``PULSE`` alone; its result words."""
        writing = AttemptWriter.of(self.image, self.array.device, tile).write(levels)
        try:
            attempts = next(writing)
            while True:
                attempts = writing.send(self._attempt(attempts))
        except StopIteration as end:
            words = end.value
        self._tell(tile, words)
        return words

    def _attempt(self, attempts: Attempts) -> IntArray:
        """The attempts, each as two ``PULSE`` of one cell; the codes of their reads.

        Raises
        ------
        ModeRefused, WardenStopped
            If one of them is refused or stopped; then none is driven.
        """
        pulses, geometry, address = attempts.pulses, self.image.geometry, len(self.image.code)
        at = [divmod(cell, geometry.columns) for cell in attempts.cells.tolist()]
        self.modes.begin()
        self.modes.restore(address, "an attempt", pulses.tile, pulses.mode)
        self.registers[Reg.TIA_RANGE] = pulses.tia_range
        warden = self.modes.grant(address, "an attempt", Op.PULSE, pulses.tile, at)
        drives: list[tuple[int, int | None]] = [(pulses.reset.rail, None)]
        drives += [(pulses.set.rail, gate) for gate in np.unique(attempts.gates).tolist()]
        self._insist(warden, drives, max(pulses.reset.width, pulses.set.width))
        cells = pulses.tile * geometry.cells + attempts.cells
        codes, i_cc = np.empty(cells.size, np.int64), self.converters.i_cc(attempts.gates)
        # Without resistance of the lines no cell feels another one, and all are as one.
        size = cells.size if self.array.wires is None else 1
        for part in (slice(n, n + size) for n in range(0, cells.size, max(size, 1))):
            for train, limit in ((pulses.reset, None), (pulses.set, i_cc[part])):
                volts = self.converters.dac_volts(train.rail)
                self.array.pulse(cells[part], volts, train.width / self.clk_hz, limit)
            found = self._read_codes(address, cells[part], pulses.tia_range, pulses.set.average)
            codes[part] = found[0]
        if cells.size:
            self.dac[Dac.RAIL_B] = _DAC_ZERO
            self.dac[Dac.GATE_PROGRAM] = int(attempts.gates[-1])
        return codes

    def _tell(self, tile: int, words: NDArray[np.uint32]) -> None:
        missed = sum(unpack_result(int(word))[2] is not CellStatus.DONE for word in words)
        if missed:
            _tell_missed(tile, missed, words.size, self.registers[Reg.TRIES])

    def _insist(
        self, warden: Warden, drives: Sequence[tuple[int, int | None]], longest: int
    ) -> None:
        """Refuse pulses, by rail and gate code, of which one would be stopped."""
        complaints = (warden.complaint(rail, gate) for rail, gate in drives)
        complaint = next((each for each in complaints if each), None)
        if complaint is not None or longest > warden.drive.width_max:
            self._make_safe()
            if complaint is None:
                raise warden.cut(longest)
            raise WardenStopped(f"the guard is in its safe state: {complaint}")

    def writing(self, tile: int, law: LevelPulses, levels: IntArray, codes: IntArray) -> Writing:
        """How a host writes a tile whose ``read`` entry has just been run.

        Parameters
        ----------
        tile, law:
            The tile, and the pulses of its cells.
        levels, codes:
            What is wanted and what was read of each cell, shape (cells,).
        """
        address, device = self.image.entries[f"read/{tile}"], self.array.device
        _, low, high = self._level_table(address, self.image.code[address], levels)
        unit = device.g_lsb / float(self._gain(address, self._range()))
        tries, stuck = self.registers[Reg.TRIES], self.registers[Reg.STUCK]
        writer = Writer(law, self.converters, self.clk_hz, unit, tries, stuck)
        return writer.write(codes, device.levels[levels], low, high)

    def _read_tile(self, tile: int) -> IntArray:
        """Codes of all cells of a tile, by its ``read`` entry."""
        self.run(f"read/{tile}")
        return result_codes(self.cell_memory)

    def _drive(self, tile: int, trains: Trains) -> None:
        """As a ``PULSE`` without samples for each of the cells, gates on GATE_ON.

        Raises
        ------
        ModeRefused, WardenStopped
            If one of them is refused or stopped; then none is driven.
        """
        if not trains.cells.size:
            return
        geometry = self.image.geometry
        address = self.image.entries[f"read/{tile}"]
        at = [divmod(cell, geometry.columns) for cell in trains.cells.tolist()]
        most, longest = int(trains.pulses.max()), int(trains.cycles.max())
        self.modes.begin()
        warden = self.modes.grant(address, "a pulse that writes", Op.PULSE, tile, at, most)
        self._insist(warden, [(rail, None) for rail in np.unique(trains.rails).tolist()], longest)
        cells = tile * geometry.cells + trains.cells
        volts = (trains.rails - _DAC_ZERO) * self.converters.dac_lsb
        for number in range(most):
            more = trains.pulses > number
            self.array.pulse(cells[more], volts[more], trains.cycles[more] / self.clk_hz, None)

    def _execute(self, entry: str, address: int, batch: Batch) -> None:
        self._loops = Loops(self.image.geometry.addresses)
        while True:
            if not 0 <= address < len(self.image.code):
                raise EngineError(f"entry {entry!r} runs past the program's end at {address}")
            instr = self._fetched(address)
            match instr.op:
                case Op.HALT:
                    return
                case Op.LOOP:
                    address = self._loop(address, instr, batch)
                case Op.END:
                    address = self._loops.end(address)
                case _:
                    self._do(address, instr, batch)
            address += 1

    def _fetched(self, address: int) -> Instruction:
        """The instruction at an address, with those that banks and loops make.

        Raises
        ------
        EngineError
            If it is refused. Whether it is depends on nothing but itself and the registers.
        """
        if self._kept.image is not self.image:
            self._kept = Kept(self.image)
        known = self._kept.instructions
        name = address, *self._loops.added, *self.registers.values()
        instr = known.get(name)
        if instr is None:
            instr = self._moved(self.image.code[address])
            self._refuse(address, instr)
            if len(known) >= _KNOWN:
                known.clear()
            known[name] = instr
        return instr

    def _moved(self, instr: Instruction) -> Instruction:
        """The instruction with the addresses that banks and loops make."""
        if self.image.geometry.banks and BANKED[instr.op]:
            instr = Banks.of(self.registers).moved(instr)
        return self._loops.moved(instr)

    def _do(self, address: int, instr: Instruction, batch: Batch) -> None:
        """Execute an instruction that does not say which one is next."""
        match instr.op:
            case Op.SET:
                self.registers[Reg(instr["reg"])] = instr["value"]
            case Op.DAC:
                self.dac[Dac(instr["channel"])] = instr["code"]
            case Op.WAIT:
                self.array.wait(instr["cycles"] / self.clk_hz)
            case Op.MVM:
                self._mvm(address, instr, batch)
            case Op.REQUANT:
                y = self._requantised(address, instr, batch.acc)
                batch.act[:, instr["out"] : instr["out"] + instr["count"]] = y
            case op if op in POST:
                self._post(address, instr, batch)
            case Op.PROGRAM:
                self._guarded_program(address, instr)
            case Op.READ:
                self._read(address, instr)
            case Op.PULSE | Op.SWEEP:
                self._pulse(address, instr)
            case Op.ADOPT:
                self.modes.adopt(address)
            case Op.RESTORE:
                self._check(address, instr, "tile", instr["tile"] < self.array.tiles)
                self.modes.restore(address, instr, instr["tile"], instr["mode"])
            case Op.MODE:
                self._mode(address, instr)
            case Op.NOP:
                pass

    def _loop(self, address: int, instr: Instruction, batch: Batch) -> int:
        """A ``LOOP``: the address before that of the next instruction.

        Where rounds are independent, they are executed together, but for the last one, with
        which execution goes on: it leaves the accumulators. The first one is before that
        executed by itself if it finds other registers than the others.
        """
        outer, image = self._loops, self.image
        nest = None if self.by_round else self._kept.nest(address)
        if nest is None or outer.depth + len(nest.loops) > LOOP_DEPTH:
            outer.begin(address, instr)
            return address
        first = int(any(self.registers[reg] != value for reg, value in nest.settings.items()))
        banks = Banks.of(self.registers)
        where, plans = (address, outer.added, banks, first), self._kept.plans
        if where not in plans:
            flow = flow_of(nest, *outer.added, image.geometry, image.params, banks, first)
            plans[where] = flow and Plan(forwarded(flow))
        plan = plans[where]
        if plan is None:
            outer.begin(address, instr)
            return address
        self._loops = outer.at(nest.loops, 0)
        begin = self._loops.iteration
        for at, _ in nest.body if first else ():
            self._do(at, self._fetched(at), batch)
        path = Datapath(
            self.registers, self._refuse, self._product, self._requantised, self._post_processor
        )
        done = Rounds(path, image.geometry, plan, begin, batch).run()
        self._loops = outer.at(nest.loops, done)
        return nest.body[0][0] - 1

    def _mvm(self, address: int, instr: Instruction, batch: Batch) -> None:
        geometry = self.image.geometry
        self._check(address, instr, "tile", instr["tile"] < self.array.tiles)
        base = instr["act"] + instr["first"]
        index = conversion_index(address, 0, self._loops.iteration)
        made = self._product(address, instr)
        sums, saturations = made.sums(
            Drives.of(batch.act[:, base : base + instr["rows"]]),
            batch.epochs,
            np.full(len(batch.epochs), index),
            geometry.accumulators,
        )
        if instr["clear"]:
            batch.acc[:] = 0
        batch.acc += sums
        check_width(f"address {address}: an accumulator", batch.acc, geometry.acc_width)
        batch.saturations += saturations
        batch.conversions += len(batch.epochs) * made.conversions

    def _product(self, address: int, instr: Instruction) -> Product:
        """How an ``MVM`` is made, with registers and rails as they stand."""
        tia_range, seed = self._range(), self.seed if self.read_noise else None
        known, scheme = self._kept.products, self.registers[Reg.SCHEME]
        parts = instr, self.array, self.readout  # which a product that is kept holds
        rail = self.dac[Dac.RAIL_A]
        name = (address, *map(id, parts), scheme, tia_range, rail, seed)
        made = known.get(name)
        if made is None:
            if len(known) >= _KNOWN:
                known.clear()
            made = known[name] = Product(
                instr, scheme, self.array, self.readout, self._gain(address, tia_range), tia_range,
                seed, self.workers, self.accelerator,
            )  # fmt: skip
        return made

    def _requantised(self, address: int, instr: Instruction, acc: IntArray) -> IntArray:
        """What a ``REQUANT`` makes of accumulators (lanes, n), shape (n, count)."""
        params = self.image.params
        param, count = instr["param"], instr["count"]
        self._check(address, instr, "param", param + count <= len(params))
        words = params[param : param + count]
        known = self._kept.requants
        made = known.get(key := words.tobytes())
        if made is None:
            made = known[key] = Requant.of(words.tolist())
        low, high = self.registers[Reg.CLAMP_LO], self.registers[Reg.CLAMP_HI]
        return made.apply(acc[:, :count], low, high, ACT, self.workers)

    def _post(self, address: int, instr: Instruction, batch: Batch) -> None:
        try:
            self._post_processor().execute(instr, batch.act, self.workers)
        except EngineError as error:
            raise EngineError(f"address {address}: {instr}: {error}") from error

    def _post_processor(self) -> PostProcessor:
        clamp = (self.registers[Reg.CLAMP_LO], self.registers[Reg.CLAMP_HI])
        return PostProcessor(self.image.geometry, self.image.params, clamp)

    def _guarded_program(self, address: int, instr: Instruction) -> None:
        """Write-verify up to the first cell with a pulse that the warden does not let through."""
        cells = self._cells(address, instr)
        columns = self.image.geometry.columns
        at = [divmod(instr["cell"] + n, columns) for n in range(instr["count"])]
        warden = self.modes.grant(address, instr, instr.op, instr["tile"], at)
        rails = [self.registers[reg] for reg in (Reg.RAIL_RESET, Reg.RAIL_SET)]
        widths = [self.registers[reg] for reg in (Reg.RESET_CYCLES, Reg.SET_CYCLES)]
        gates, *_ = self._table(address, instr, self.cell_memory[: cells.size])
        reset = warden.complaint(rails[0], None)
        sets = {int(gate): warden.complaint(rails[1], int(gate)) for gate in np.unique(gates)}
        limit = warden.drive.width_max
        spent = self._spent(instr["cell"] + np.arange(cells.size))
        bad = [
            not worn and bool(reset or max(widths) > limit or sets[int(gate)])
            for gate, worn in zip(gates, spent, strict=True)
        ]
        if not any(bad):
            self._program(address, instr)
            return
        first = bad.index(True)
        begin, end = self._group(instr, first)
        if begin:
            self._program(address, instruction(Op.PROGRAM, **{**instr.operands, "count": begin}))
        # The group's cells are RESET together; SETs come up to the one that is refused.
        group = begin + np.flatnonzero(~spent[begin:end])
        self._count(instr["cell"] + group)
        if reset:
            raise WardenStopped(f"the guard is in its safe state: {reset}")
        volts = self._rail_volts(address, Reg.RAIL_RESET)
        seconds = min(widths[0], limit) / self.clk_hz
        self.array.pulse(cells[group], volts, seconds, None, together=True)
        if widths[0] > limit:
            raise warden.cut(widths[0])
        volts, i_cc = self._rail_volts(address, Reg.RAIL_SET), self.converters.i_cc(gates)
        before = group[group < first]
        self.array.pulse(cells[before], volts, widths[1] / self.clk_hz, i_cc[before])
        if sets[int(gates[first])]:
            raise WardenStopped(f"the guard is in its safe state: {sets[int(gates[first])]}")
        self.array.pulse(cells[first : first + 1], volts, limit / self.clk_hz, i_cc[first])
        raise warden.cut(widths[1])

    def _side_by_side(self, instr: Instruction, *, auto: bool = False) -> list[IntArray]:
        """Cells of an instruction that are handled one part after the other.

        Without resistance of the lines no cell feels another one, and all are one part. Else a
        part is what the controller has on the lines at once: a group, or a cell with ``auto``.
        """
        count, begin, parts = instr["count"], 0, list[IntArray]()
        if self.array.wires is None:
            return [np.arange(count)]
        while begin < count:
            end = begin + 1 if auto else self._group(instr, begin)[1]
            parts.append(np.arange(begin, end))
            begin = end
        return parts

    def _group(self, instr: Instruction, cell: int) -> tuple[int, int]:
        """First and last + 1 of the cells of a ``PROGRAM`` that are RESET with one of them."""
        columns, together = self.image.geometry.columns, max(self.registers[Reg.TOGETHER], 1)
        column = (instr["cell"] + cell) % columns
        row_begin, row_end = max(cell - column, 0), cell - column + columns
        begin = row_begin + (cell - row_begin) // together * together
        return begin, min(begin + together, row_end, instr["count"])

    def _mode(self, address: int, instr: Instruction) -> None:
        """A change of mode: the recipe on row after row, then the cells are in the new mode."""
        geometry, tile, to = self.image.geometry, instr["tile"], instr["to"]
        self._check(address, instr, "tile", tile < self.array.tiles)
        arm, self.registers[Reg.ARM] = self.registers[Reg.ARM], 0
        way = self.modes.change(address, instr, tile, to, arm)
        fields = SWEEP_FIELDS if way.sweep else PULSE_FIELDS
        words = [int(word) for word in self.image.params[way.param : way.param + len(fields)]]
        if len(words) < len(fields):
            raise self.modes.break_off(address, instr)
        try:
            record = unpack_sweep(words) if way.sweep else unpack_pulse(words)
        except IsaError as error:
            raise self.modes.break_off(address, instr) from error
        recipe = measure(record, self.converters, self.clk_hz)
        name = self.array.device.modes[to].name
        for row in range(geometry.rows):
            warden = Warden(way.drive)
            for rail in rails_of(record):
                gate = record.gate if limited(rail, record.limit) else None
                if warden.opening(rail, gate, record.width) < record.width:
                    raise warden.cut(record.width)
            first = (tile * geometry.rows + row) * geometry.columns
            self.array.wait(recipe.cycles / self.clk_hz)
            self.array.set_mode(
                name,
                np.arange(first, first + geometry.columns),
                i_cc=recipe.i_cc,
                volts=recipe.volts,
                rate_v_s=recipe.rate_v_s,
            )
        self.dac[Dac.RAIL_B] = _DAC_ZERO
        if record.limit:
            self.dac[Dac.GATE_PROGRAM] = record.gate
        self.modes.arrive(tile, to)

    def _program(self, address: int, instr: Instruction) -> None:
        cells = self._cells(address, instr)
        tries, wanted = self.registers[Reg.TRIES], self.cell_memory[: cells.size]
        gate, low, high = self._table(address, instr, wanted)
        i_cc = self.converters.i_cc(gate)
        volts = {reg: self._rail_volts(address, reg) for reg in (Reg.RAIL_RESET, Reg.RAIL_SET)}
        reset_s = self.registers[Reg.RESET_CYCLES] / self.clk_hz
        set_s = self.registers[Reg.SET_CYCLES] / self.clk_hz
        tia_range = self._range()

        code, used, least, most = np.zeros((4, cells.size), dtype=np.int64)
        done, worn = np.zeros((2, cells.size), dtype=bool)
        turns = product(self._side_by_side(instr), range(1, tries + 1))
        for part, attempt in turns:
            left = part[~(done | worn)[part]]
            worn[left] = self._spent(instr["cell"] + left)
            left = left[~worn[left]]
            if not left.size:
                continue
            self._count(instr["cell"] + left)
            self.array.pulse(cells[left], volts[Reg.RAIL_RESET], reset_s, None, together=True)
            self.array.pulse(cells[left], volts[Reg.RAIL_SET], set_s, i_cc[left])
            code[left] = found = self._read_codes(address, cells[left], tia_range)[0]
            used[left] = attempt
            least[left] = found if attempt == 1 else np.minimum(least[left], found)
            most[left] = found if attempt == 1 else np.maximum(most[left], found)
            done[left] = (code[left] >= low[left]) & (code[left] <= high[left])
        if worn.any():
            _log.warning("tile %d: %d cells are worn out", instr["tile"], int(worn.sum()))
        if not (done | worn).all():
            _tell_missed(instr["tile"], int((~(done | worn)).sum()), cells.size, tries)
        stuck = (used > 1) & (most - least <= self.registers[Reg.STUCK])
        missed = np.where(stuck, CellStatus.STUCK, CellStatus.NOT_CONVERGED)
        if not self.registers[Reg.STUCK]:
            missed[:] = CellStatus.NOT_CONVERGED
        missed[worn] = CellStatus.WORN
        self._store_results(code, used, np.where(done, CellStatus.DONE, missed))
        # The sequence leaves its last settings on the DACs.
        tried = np.flatnonzero(used)
        if tried.size:
            self.dac[Dac.RAIL_B] = self.registers[Reg.RAIL_SET]
            self.dac[Dac.GATE_PROGRAM] = int(gate[tried[-1]])

    def _read(self, address: int, instr: Instruction) -> None:
        cells = self._cells(address, instr)
        auto = bool(self.registers[Reg.TIA_RANGE] & AUTO)
        code, ranges = np.full((2, cells.size), self._range(), dtype=np.int64)
        saturated = np.zeros(cells.size, dtype=bool)
        for part in self._side_by_side(instr, auto=auto):
            if auto:
                found = self._read_auto(address, cells[part])
                code[part], ranges[part], saturated[part] = found
            else:
                found = self._read_codes(address, cells[part], self._range())
                code[part], saturated[part] = found
        for n, (c, r, s) in enumerate(zip(code, ranges, saturated, strict=True)):
            self.cell_memory[n] = pack_result(int(c), 0, CellStatus.READ, int(r), bool(s))
        # A code of a range that the controller has chosen says nothing of a written cell.
        # Neither does a temperature.
        silent = auto or self._range() == TEMPERATURE_RANGE
        for n, word in enumerate(self.cell_memory[: 0 if silent else cells.size]):
            row, column = divmod(instr["cell"] + n, self.image.geometry.columns)
            found, _, railed = unpack_reading(int(word))
            self.modes.read(instr["tile"], row, column, found, railed)

    def _pulse(self, address: int, instr: Instruction) -> None:
        """Pulses or a sweep; a front end that is never late, as the record's formulas ask."""
        geometry, params, param = self.image.geometry, self.image.params, instr["param"]
        row, column, count, down = (instr[name] for name in ("row", "column", "count", "down"))
        used, lines = (row, geometry.rows) if down else (column, geometry.columns)
        self._check(address, instr, "count", used + count <= lines)
        self._check(address, instr, "tile", instr["tile"] < self.array.tiles)
        size = len(PULSE_FIELDS if instr.op is Op.PULSE else SWEEP_FIELDS)
        self._check(address, instr, "param", param + size <= len(params))
        words = [int(word) for word in params[param : param + size]]
        line = np.arange(count, dtype=np.int64)
        rows, columns = (line, line[:1]) if down else (line[:1], line)
        cells = (instr["tile"] * geometry.rows + row + rows[:, np.newaxis]) * geometry.columns
        cells = cells + (column + columns)

        def read(several: IntArray) -> IntArray:
            return self._convert_once(address, several, self._range())[0]

        at = [(row + n, column) if down else (row, column + n) for n in range(count)]
        pulses, source = (words[1] >> CYCLE_BITS, 0) if instr.op is Op.PULSE else (1, 0)
        if instr.op is Op.PULSE:
            raw = unpack_fields(PULSE_FIELDS[0], words[0])
            source = dict(zip((f.name for f in PULSE_FIELDS[0]), raw, strict=True))["source"]
        warden = self.modes.grant(address, instr, instr.op, instr["tile"], at, pulses, bool(source))
        common = (
            self.array, self.converters, self.clk_hz, cells, self._range(), read,
            warden, self.readout,
        )  # fmt: skip
        if geometry.passive:
            pulser = PassivePulser(*common)
            pulser.on = self.dac[Dac.GATE_ON]
        else:
            pulser = LinePulser(*common)
        record = unpack_pulse(words) if instr.op is Op.PULSE else unpack_sweep(words)
        if isinstance(record, Train):
            self._check(address, instr, "count", not (record.after and down and count > 1))
            single = bool(record.source) or geometry.passive
            self._check(address, instr, "count", not single or count == 1)
            if bool(record.others) > geometry.passive:
                raise EngineError(f"address {address}: the columns of this array take no bias")
            if geometry.passive and record.inside:
                raise EngineError(f"address {address}: a biased column has no sample inside")
            if record.source and not geometry.has_source:
                raise EngineError(f"address {address}: this controller has no current source")
            groups = record.pulses * (record.inside + record.after)
        else:
            groups = len(record.codes())
        if isinstance(record, Train) and record.source:
            # How many samples there are depends on where it is cut.
            samples = pulser.pulse(record)
            self._check_samples(address, len(samples))
        else:
            self._check_samples(address, groups * columns.size)
            samples = pulser.pulse(record) if isinstance(record, Train) else pulser.sweep(record)
        self.cell_memory[0] = pack_outcome(len(samples), pulser.status)
        self.cell_memory[1 : len(samples) + 1] = samples
        self.dac[Dac.RAIL_B] = _DAC_ZERO
        if record.limit:
            self.dac[Dac.GATE_PROGRAM] = record.gate

    # -- parts of instructions --------------------------------------------------------

    def _check_samples(self, address: int, samples: int) -> None:
        if samples >= self.image.geometry.cells:
            raise EngineError(
                f"address {address}: {samples} samples and the outcome, cell memory has "
                f"{self.image.geometry.cells} words"
            )

    def _cells(self, address: int, instr: Instruction) -> IntArray:
        size = self.image.geometry.cells
        self._check(address, instr, "tile", instr["tile"] < self.array.tiles)
        return instr["tile"] * size + instr["cell"] + np.arange(instr["count"], dtype=np.int64)

    def _level_table(
        self, address: int, instr: Instruction, levels: NDArray[np.integer]
    ) -> tuple[IntArray, IntArray, IntArray]:
        """Gate code and verify window of each cell's level."""
        base, params = self.registers[Reg.LEVELS], self.image.params
        first, last = base + int(levels.min()), base + int(levels.max())
        self._check(address, instr, "levels", first >= 0 and last < len(params))
        return level_table(params, base, levels)

    def _table(
        self, address: int, instr: Instruction, words: NDArray[np.uint32]
    ) -> tuple[IntArray, IntArray, IntArray]:
        """Gate code and verify window of each cell's word, a level or a target."""
        table = self._line_table if self.registers[Reg.LINE] else self._level_table
        return table(address, instr, words)

    def _line_table(
        self, address: int, instr: Instruction, words: NDArray[np.uint32]
    ) -> tuple[IntArray, IntArray, IntArray]:
        """Gate code and verify window of each cell's target, from the device's line."""
        base = self.registers[Reg.LINE]
        self._check(address, instr, "line", base + LINE_WORDS <= len(self.image.params))
        return line_table(self.image.params, base, words)

    def _spent(self, places: IntArray) -> NDArray[np.bool_]:
        """Which cells, by place in the tile, have had their cycles."""
        limit = self.registers[Reg.ENDURANCE]
        return (self.wear_memory[places] >= limit) & bool(limit)

    def _count(self, places: IntArray) -> None:
        """One cycle more of cells; a count stays at its largest value."""
        if self.image.geometry.wear:
            had = self.wear_memory[places]
            self.wear_memory[places] = had + (had != _WEAR_MAX)

    def _read_auto(self, address: int, cells: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Code, range and saturation of each cell, by the rule of :mod:`ohmloom.hw.ranges`."""
        last = len(self.converters.tia_ohms) - 1
        code, ranges = np.zeros((2, cells.size), dtype=np.int64)
        railed, fixed, done = np.zeros((3, cells.size), dtype=bool)
        probing = np.ones(cells.size, dtype=bool)
        while not done.all():
            for tia_range, probe in product(range(last + 1), (True, False)):
                here = np.flatnonzero(~done & (ranges == tia_range) & (probing == probe))
                if not here.size:
                    continue
                found, at_rail = self._read_codes(
                    address, cells[here], tia_range, 0 if probe else None
                )
                code[here], railed[here] = found, at_rail
                back = at_rail & (tia_range != 0) & ~fixed[here]
                hops = np.sum([np.abs(found) <= most for most in JUMPS], axis=0)
                on = probe & ~back & (hops != 0) & (tia_range != last)
                ranges[here] = np.where(
                    back, tia_range - 1, np.where(on, np.minimum(tia_range + hops, last), tia_range)
                )
                fixed[here] |= back
                done[here] = ~back & (not probe)
                probing[here] = on
        return code, ranges, railed

    def _read_codes(
        self, address: int, cells: IntArray, tia_range: int, average: int | None = None
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """The mean of ``2**AVERAGE`` single reads of each cell, rounded half to even.

        With it, whether any of them was at a rail.
        """
        if average is None:
            average = self.registers[Reg.AVERAGE]
        if not 0 <= average < 1 << AVERAGE_BITS:
            raise EngineError(f"address {address}: 2^{average} reads are not averaged")
        summed = np.zeros(cells.shape, dtype=np.int64)
        railed = np.zeros(cells.shape, dtype=bool)
        for _ in range(1 << average):
            codes, saturated = self._convert_once(address, cells, tia_range)
            summed += codes
            railed |= saturated
        return round_half_even_shift(summed, average), railed

    def _convert_once(
        self, address: int, cells: IntArray, tia_range: int
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        total, variance, z = self.array.verify_totals(cells)
        noise = z if self.read_noise else 0
        exponent = self.array.device.var_exponent
        columns = cells % self.image.geometry.columns
        if tia_range == TEMPERATURE_RANGE:
            codes = self.readout.temperature_codes(noise, columns)
            return codes, (codes == ADC_MIN) | (codes == ADC_MAX)
        gain = self._gain(address, tia_range)
        return self.readout.convert(total, variance, noise, gain, exponent, tia_range, columns)

    def _range(self) -> int:
        """The range pins: automatic ranges are those of ``READ`` alone."""
        return self.registers[Reg.TIA_RANGE] & (1 << RANGE_BITS) - 1

    def _store_results(self, code: IntArray, tries: IntArray, status: IntArray) -> None:
        for n, (c, t, s) in enumerate(zip(code, tries, status, strict=True)):
            self.cell_memory[n] = pack_result(int(c), int(t), CellStatus(int(s)))

    def _gain(self, address: int, tia_range: int) -> Gain:
        """ADC codes per conductance code with the read rail as it stands."""
        code = self.dac[Dac.RAIL_A]
        if code == _DAC_ZERO:
            raise EngineError(f"address {address}: RAIL_A is at 0 V, run the setup entry first")
        return self.converters.gain(
            self.array.device.g_lsb,
            self.converters.dac_volts(code),
            tia_range,
        )

    def _rail_volts(self, address: int, reg: Reg) -> float:
        code = self.registers[reg]
        if not 0 <= code <= 0xFFFF:
            raise EngineError(f"address {address}: {reg.name} = {code} is no 16-bit DAC code")
        return self.converters.dac_volts(code)

    def _refuse(self, address: int, instr: Instruction) -> None:
        """Refuse what the controller's sequencer would not start."""
        geometry = self.image.geometry
        if not geometry.has(instr.op):
            raise EngineError(f"address {address}: this controller has no {instr.op.name}")
        for name, value in instr.operands.items():
            if value and not geometry.takes(name):
                lacked = {"loop": "loops", "slices": "bit slices"}[OPTIONAL_OPERANDS[name]]
                raise EngineError(
                    f"address {address}: {instr}, and this controller has no {lacked}"
                )
        if instr.op is Op.SET and not geometry.knows(reg := Reg(instr["reg"])):
            lacked = "single columns" if reg is Reg.SCHEME else "banks"
            raise EngineError(f"address {address}: {instr}, and this controller has no {lacked}")
        for bound in BOUNDS.get(instr.op, ()):
            self._check(address, instr, bound.name, bound.holds(instr, geometry))
        for bound in REGISTER_BOUNDS.get(instr.op, ()):
            value = self.registers[bound.reg]
            if not bound.holds(value, geometry):
                raise EngineError(
                    f"address {address}: {instr} with {bound.reg.name} = {value}, "
                    f"accepted is {bound.low}..{bound.highest(geometry)}"
                )
        if clamps(instr) and not clamp_holds(self.registers, geometry):
            low, high = self.registers[Reg.CLAMP_LO], self.registers[Reg.CLAMP_HI]
            raise EngineError(
                f"address {address}: an activation between CLAMP_LO = {low} and "
                f"CLAMP_HI = {high} does not fit {geometry.act_width} bits"
            )

    def _check(self, address: int, instr: Instruction, name: str, holds: bool | np.bool_) -> None:
        if not holds:
            raise EngineError(
                f"address {address}: {instr} has its {name} outside the geometry or the image"
            )


def _tell_missed(tile: int, missed: int, cells: int, tries: int) -> None:
    """Cells that are not on their level: worth a warning where there was another try."""
    _log.log(
        logging.WARNING if tries > 1 else logging.INFO,
        "tile %d: %d of %d cells did not converge in %d tries", tile, missed, cells, tries,
    )  # fmt: skip


def _words(batch: Batch, spans: Sequence[Span]) -> IntArray:
    """Activation words of spans, one after the other, shape (batch, words)."""
    parts = [batch.act[:, :0], *(batch.act[:, span.words] for span in spans)]
    return np.concatenate(parts, axis=1, dtype=np.int64)
