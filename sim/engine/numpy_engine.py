"""The engine that executes a program on the simulated array, vectorised over the batch."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...hw.bounds import BOUNDS, REGISTER_BOUNDS, clamp_holds, clamps
from ...hw.image import Image
from ...hw.isa import (
    AVERAGE_BITS,
    PULSE_FIELDS,
    SWEEP_FIELDS,
    CellStatus,
    Dac,
    Instruction,
    Op,
    PulseStatus,
    Reg,
    Train,
    conversion_index,
    pack_outcome,
    pack_result,
    unpack_level,
    unpack_pulse,
    unpack_requant,
    unpack_sweep,
)
from ..array import SimulatedArray
from ..converters import Converters, Gain
from ..numerics import Domain, IntArray, draw_normal, round_half_even_shift, scale
from .errors import EngineError
from .post import POST, PostProcessor
from .protocol import Trace
from .pulses import LinePulser

_log = logging.getLogger(__name__)

_BLOCK = 1024
"""Samples executed together: bounds memory, changes no bit."""
_DAC_ZERO = 0x8000


@dataclass
class _Batch:
    """What differs between the samples of a run."""

    epochs: IntArray
    act: IntArray
    acc: IntArray
    saturations: int = 0
    conversions: int = 0


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
        self.clk_hz = clk_hz
        self.seed = seed
        self.read_noise = read_noise
        self.registers = dict.fromkeys(Reg, 0)
        self.dac = dict.fromkeys(Dac, _DAC_ZERO)
        self.cell_memory = np.zeros(geometry.cells, dtype=np.uint32)

    # -- what a user calls ------------------------------------------------------------

    def setup(self) -> None:
        """Run the ``setup`` entry: registers and rails, once after power-up."""
        self._run("setup", self._batch(np.zeros(1, np.int64)))

    def program_tile(self, tile: int, levels: ArrayLike) -> NDArray[np.uint32]:
        """Write-verify one tile.

        Parameters
        ----------
        tile:
            Tile number.
        levels:
            Level of each cell, shape (rows, columns), integers.

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
        if int(wanted.min()) < 0 or int(wanted.max()) >= len(self.image.params):
            raise EngineError(f"levels {wanted.min()}..{wanted.max()} are not all in the table")
        self.cell_memory[:] = wanted.reshape(-1)
        self._run(f"program/{tile}", self._batch(np.zeros(1, np.int64)))
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
        _check_width("an input", x, width)
        blocks = [
            self._infer_block(x[start : start + _BLOCK], epoch0 + start)
            for start in range(0, max(len(x), 1), _BLOCK)
        ]
        layers = {
            layer.name: np.concatenate([batch.act[:, layer.span.words] for batch in blocks])
            for layer in self.image.layers
        }
        return Trace(
            layers,
            saturations=sum(batch.saturations for batch in blocks),
            conversions=sum(batch.conversions for batch in blocks),
        )

    # -- execution --------------------------------------------------------------------

    def _infer_block(self, x: NDArray, epoch0: int) -> _Batch:
        batch = self._batch(epoch0 + np.arange(len(x), dtype=np.int64))
        batch.act[:, self.image.input.words] = x
        self._run("infer", batch)
        return batch

    def _batch(self, epochs: IntArray) -> _Batch:
        geometry = self.image.geometry
        return _Batch(
            epochs=epochs,
            act=np.zeros((len(epochs), geometry.act_depth), dtype=np.int64),
            acc=np.zeros((len(epochs), geometry.pairs), dtype=np.int64),
        )

    def _run(self, entry: str, batch: _Batch) -> None:
        """Execute from an entry to the next HALT."""
        if entry not in self.image.entries:
            raise EngineError(
                f"the image has no entry {entry!r}, only {', '.join(self.image.entries)}"
            )
        address = self.image.entries[entry]
        while True:
            if not 0 <= address < len(self.image.code):
                raise EngineError(f"entry {entry!r} runs past the program's end at {address}")
            instr = self.image.code[address]
            self._refuse(address, instr)
            match instr.op:
                case Op.HALT:
                    return
                case Op.SET:
                    self.registers[Reg(instr["reg"])] = instr["value"]
                case Op.DAC:
                    self.dac[Dac(instr["channel"])] = instr["code"]
                case Op.WAIT:
                    self.array.wait(instr["cycles"] / self.clk_hz)
                case Op.MVM:
                    self._mvm(address, instr, batch)
                case Op.REQUANT:
                    self._requant(address, instr, batch)
                case op if op in POST:
                    self._post(address, instr, batch)
                case Op.PROGRAM:
                    self._program(address, instr)
                case Op.READ:
                    self._read(address, instr)
                case Op.PULSE | Op.SWEEP:
                    self._pulse(address, instr)
                case Op.NOP:
                    pass
            address += 1

    def _mvm(self, address: int, instr: Instruction, batch: _Batch) -> None:
        geometry, array = self.image.geometry, self.array
        first, rows, planes = instr["first"], instr["rows"], instr["planes"]
        base = instr["act"] + first
        self._check(address, instr, "tile", instr["tile"] < array.tiles)

        plane = np.arange(planes).reshape(-1, 1, 1)
        samples = len(batch.epochs)
        bits = np.zeros((planes, samples, geometry.rows), dtype=np.uint8)
        bits[..., first : first + rows] = batch.act[:, base : base + rows] >> plane & 1
        total, variance = (
            sums.reshape(planes, samples, geometry.columns)
            for sums in array.column_totals(instr["tile"], bits.reshape(-1, geometry.rows))
        )
        z: IntArray | int = 0
        if self.read_noise and variance.any():  # without variance the deviate has no effect
            z = draw_normal(
                self.seed,
                Domain.INFERENCE,
                instr["tile"] * geometry.columns + np.arange(geometry.columns),
                batch.epochs[:, np.newaxis],
                conversion_index(address, 0) + plane,
            )
        codes, saturated = self.converters.convert(
            total, variance, z, self._gain(address), array.device.var_exponent
        )
        weight = np.int64(1) << plane
        if instr["signed"]:
            weight[-1] = -weight[-1]
        if instr["clear"]:
            batch.acc[:] = 0
        batch.acc += ((codes[..., 0::2] - codes[..., 1::2]) * weight).sum(axis=0)
        _check_width(f"address {address}: an accumulator", batch.acc, geometry.acc_width)
        batch.saturations += int(saturated.sum())
        batch.conversions += codes.size

    def _requant(self, address: int, instr: Instruction, batch: _Batch) -> None:
        params = self.image.params
        out, param, count = instr["out"], instr["param"], instr["count"]
        self._check(address, instr, "param", param + count <= len(params))
        words = [unpack_requant(int(word)) for word in params[param : param + count]]
        bias, mantissa, shift = np.array(words, dtype=np.int64).T
        y = scale(batch.acc[:, :count] + bias, mantissa, shift)
        y = np.clip(y, self.registers[Reg.CLAMP_LO], self.registers[Reg.CLAMP_HI])
        batch.act[:, out : out + count] = y.astype(np.int64)

    def _post(self, address: int, instr: Instruction, batch: _Batch) -> None:
        clamp = (self.registers[Reg.CLAMP_LO], self.registers[Reg.CLAMP_HI])
        unit = PostProcessor(self.image.geometry, self.image.params, batch.act, clamp)
        try:
            unit.execute(instr)
        except EngineError as error:
            raise EngineError(f"address {address}: {instr}: {error}") from error

    def _program(self, address: int, instr: Instruction) -> None:
        cells = self._cells(address, instr)
        tries, levels = self.registers[Reg.TRIES], self.cell_memory[: cells.size]
        gate, low, high = self._level_table(address, instr, levels)
        i_cc = self.converters.i_cc(gate)
        volts = {reg: self._rail_volts(address, reg) for reg in (Reg.RAIL_RESET, Reg.RAIL_SET)}
        reset_s = self.registers[Reg.RESET_CYCLES] / self.clk_hz
        set_s = self.registers[Reg.SET_CYCLES] / self.clk_hz
        gain = self._gain(address)

        code, used, least, most = np.zeros((4, cells.size), dtype=np.int64)
        done = np.zeros(cells.size, dtype=bool)
        for attempt in range(1, tries + 1):
            left = np.flatnonzero(~done)
            if not left.size:
                break
            self.array.pulse(cells[left], volts[Reg.RAIL_RESET], reset_s, None)
            self.array.pulse(cells[left], volts[Reg.RAIL_SET], set_s, i_cc[left])
            code[left] = found = self._read_codes(address, cells[left], gain)
            used[left] = attempt
            least[left] = found if attempt == 1 else np.minimum(least[left], found)
            most[left] = found if attempt == 1 else np.maximum(most[left], found)
            done[left] = (code[left] >= low[left]) & (code[left] <= high[left])
        if not done.all():
            _log.warning(
                "tile %d: %d of %d cells did not converge in %d tries",
                instr["tile"], int((~done).sum()), cells.size, tries,
            )  # fmt: skip
        stuck = (used > 1) & (most - least <= self.registers[Reg.STUCK])
        missed = np.where(stuck, CellStatus.STUCK, CellStatus.NOT_CONVERGED)
        if not self.registers[Reg.STUCK]:
            missed[:] = CellStatus.NOT_CONVERGED
        self._store_results(code, used, np.where(done, CellStatus.DONE, missed))
        # The sequence leaves its last settings on the DACs.
        self.dac[Dac.RAIL_B] = self.registers[Reg.RAIL_SET]
        self.dac[Dac.GATE_PROGRAM] = int(gate[-1])

    def _read(self, address: int, instr: Instruction) -> None:
        cells = self._cells(address, instr)
        code = self._read_codes(address, cells, self._gain(address))
        zeros = np.zeros_like(code)
        self._store_results(code, zeros, np.full_like(code, CellStatus.READ))

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
            return self._convert_once(several, self._gain(address))

        pulser = LinePulser(
            self.array, self.converters, self.clk_hz, cells, self.registers[Reg.TIA_RANGE], read
        )
        record = unpack_pulse(words) if instr.op is Op.PULSE else unpack_sweep(words)
        if isinstance(record, Train):
            self._check(address, instr, "count", not (record.after and down and count > 1))
            groups = record.pulses * (record.inside + record.after)
        else:
            groups = len(record.codes())
        if groups * columns.size >= geometry.cells:
            raise EngineError(
                f"address {address}: {groups * columns.size} samples and the outcome, cell "
                f"memory has {geometry.cells} words"
            )
        samples = pulser.pulse(record) if isinstance(record, Train) else pulser.sweep(record)
        self.cell_memory[0] = pack_outcome(len(samples), PulseStatus.DONE)
        self.cell_memory[1 : len(samples) + 1] = samples
        self.dac[Dac.RAIL_B] = _DAC_ZERO
        if record.limit:
            self.dac[Dac.GATE_PROGRAM] = record.gate

    # -- parts of instructions --------------------------------------------------------

    def _cells(self, address: int, instr: Instruction) -> IntArray:
        size = self.image.geometry.cells
        self._check(address, instr, "tile", instr["tile"] < self.array.tiles)
        return instr["tile"] * size + instr["cell"] + np.arange(instr["count"], dtype=np.int64)

    def _level_table(
        self, address: int, instr: Instruction, levels: NDArray[np.uint32]
    ) -> tuple[IntArray, IntArray, IntArray]:
        """Gate code and verify window of each cell's level."""
        used, which = np.unique(levels, return_inverse=True)
        where = self.registers[Reg.LEVELS] + used.astype(np.int64)
        self._check(address, instr, "levels", where[0] >= 0 and where[-1] < len(self.image.params))
        words = [unpack_level(int(self.image.params[word])) for word in where]
        gate, low, high = np.array(words, dtype=np.int64)[which].T
        return gate, low, high

    def _read_codes(self, address: int, cells: IntArray, gain: Gain) -> IntArray:
        """The mean of ``2**AVERAGE`` single reads of each cell, rounded half to even."""
        average = self.registers[Reg.AVERAGE]
        if not 0 <= average < 1 << AVERAGE_BITS:
            raise EngineError(f"address {address}: 2^{average} reads are not averaged")
        summed = np.zeros(cells.shape, dtype=np.int64)
        for _ in range(1 << average):
            summed += self._convert_once(cells, gain)
        return round_half_even_shift(summed, average)

    def _convert_once(self, cells: IntArray, gain: Gain) -> IntArray:
        total, variance, z = self.array.verify_totals(cells)
        noise = z if self.read_noise else 0
        exponent = self.array.device.var_exponent
        return self.converters.convert(total, variance, noise, gain, exponent)[0]

    def _store_results(self, code: IntArray, tries: IntArray, status: IntArray) -> None:
        for n, (c, t, s) in enumerate(zip(code, tries, status, strict=True)):
            self.cell_memory[n] = pack_result(int(c), int(t), CellStatus(int(s)))

    def _gain(self, address: int) -> Gain:
        """ADC codes per conductance code with the read rail and TIA range as they stand."""
        code = self.dac[Dac.RAIL_A]
        if code == _DAC_ZERO:
            raise EngineError(f"address {address}: RAIL_A is at 0 V, run the setup entry first")
        return self.converters.gain(
            self.array.device.g_lsb,
            self.converters.dac_volts(code),
            self.registers[Reg.TIA_RANGE],
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


def _check_width(what: str, values: NDArray, width: int) -> None:
    """Refuse values that a two's-complement word of ``width`` bits does not hold."""
    if not values.size:
        return
    low, high = int(values.min()), int(values.max())
    if low < -(1 << width - 1) or high >= 1 << width - 1:
        raise EngineError(f"{what} in {low}..{high} does not fit {width} bits")
