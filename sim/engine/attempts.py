"""Write-verify by a host of cells that are put on levels by I_cc, where there is no ``PROGRAM``.

What ``PROGRAM`` does of itself a host has done by ``PULSE``, cell by cell: a RESET pulse, a
SET pulse at the gate voltage of the cell's level, and one read after it, up to ``TRIES`` times.
Pulses, reads and verdicts are those of ``PROGRAM``, and so is the state of every cell. (In lines
with resistance a cell feels the others, and it counts that ``PROGRAM`` ends with one group of
cells before it goes on to the next, and a host with one attempt on all cells.) It is written
once, as a generator of attempts, for whatever drives them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...hw.cycles import FrontEndCycles
from ...hw.geometry import Geometry
from ...hw.image import Image
from ...hw.isa import (
    LIMIT_NEGATIVE,
    LIMIT_POSITIVE,
    PULSE_FIELDS,
    Instruction,
    Op,
    PulseStatus,
    Reg,
    Train,
    instruction,
    pack_pulse,
    unpack_level,
    unpack_outcome,
    unpack_sample,
)
from ...hw.ranges import RANGE_BITS
from ..devices import Device
from ..numerics import IntArray
from .errors import EngineError
from .writing import result_words

PULSE_WORDS = len(PULSE_FIELDS)
"""Parameter words of a record."""
BEGIN_WORDS = 2
"""Program words before the first attempt of a program: the tile's mode, and the TIA range."""
ATTEMPT_WORDS = 3
"""Program words of an attempt: two pulses and a ``HALT``."""
SAMPLE_WORDS = 2
"""Cell words that an attempt leaves: the outcome of its second pulse, and the sample."""


@dataclass(frozen=True)
class HostProgram:
    """What a host writes into both memories, and then runs entry after entry.

    Attributes
    ----------
    code, records:
        Instructions and parameter words, from the addresses on that were asked for.
    starts:
        Program addresses to run from, in order, one for each cell.
    cells:
        The cells, ``row * columns + column``.
    words:
        Words of cell memory, from 0 on, to be read after each run (:func:`code_of`).
    """

    code: tuple[Instruction, ...]
    records: tuple[int, ...]
    starts: tuple[int, ...]
    cells: tuple[int, ...]
    words: int = SAMPLE_WORDS


@dataclass(frozen=True)
class Pulses:
    """What every attempt on a tile's cells has in common.

    Attributes
    ----------
    tile, mode:
        The tile, and the mode that its cells are in.
    tia_range:
        Of the reads.
    reset, set:
        The two pulses; the gate code of ``set`` is the cell's.
    """

    tile: int
    mode: int
    tia_range: int
    reset: Train
    set: Train


@dataclass(frozen=True)
class Attempts:
    """One attempt on each of some cells of a tile, to be made in this order.

    Attributes
    ----------
    pulses:
        What they have in common.
    cells, gates:
        Places in the tile, ``row * columns + column``, and gate codes, int64, (n,).
    """

    pulses: Pulses
    cells: IntArray
    gates: IntArray

    def take(self, some: slice | IntArray) -> Attempts:
        """Some of them."""
        return replace(self, cells=self.cells[some], gates=self.gates[some])

    def programs(self, geometry: Geometry, code_at: int, param_at: int) -> Iterator[HostProgram]:
        """All of them in order, as programs that fit the memories from these addresses on.

        Raises
        ------
        EngineError
            If there is no room for an attempt.
        """
        runs = (geometry.program_depth - code_at - BEGIN_WORDS) // ATTEMPT_WORDS
        records = (geometry.param_depth - param_at) // PULSE_WORDS - 1
        if min(runs, records) < 1:
            raise EngineError("there is no memory left for the pulses of a host")
        first, cells, gates = 0, self.cells.tolist(), self.gates.tolist()
        while first < len(cells):
            end, used = first, dict[int, int]()
            while end < min(len(cells), first + runs):
                if gates[end] not in used:
                    if len(used) == records:
                        break
                    used[gates[end]] = param_at + PULSE_WORDS * (1 + len(used))
                end += 1
            yield self._program(geometry, code_at, param_at, cells[first:end], gates[first:], used)
            first = end

    def _program(
        self,
        geometry: Geometry,
        code_at: int,
        param_at: int,
        cells: Sequence[int],
        gates: Sequence[int],
        params: dict[int, int],
    ) -> HostProgram:
        common, starts = self.pulses, list[int]()
        code = [
            instruction(Op.RESTORE, tile=common.tile, mode=common.mode),
            instruction(Op.SET, reg=Reg.TIA_RANGE, value=common.tia_range),
        ]
        for cell, gate in zip(cells, gates, strict=False):
            row, column = divmod(cell, geometry.columns)
            starts.append(code_at + (len(code) if starts else 0))
            code += [
                instruction(
                    Op.PULSE, tile=common.tile, row=row, column=column, count=1, down=0, param=param
                )
                for param in (param_at, params[gate])
            ]
            code.append(instruction(Op.HALT))
        records = [common.reset, *(replace(common.set, gate=gate) for gate in params)]
        words = [word for record in records for word in pack_pulse(record)]
        return HostProgram(tuple(code), tuple(words), tuple(starts), tuple(cells))


Attempting = Generator[Attempts, IntArray, NDArray[np.uint32]]
"""Gives the attempts to make next, and takes the code of each one's read, shape (n,); returns
result words of all cells of the tile (:func:`~ohmloom.hw.isa.unpack_result`)."""


@dataclass(frozen=True)
class AttemptWriter:
    """How the cells of a tile are put on their levels.

    Attributes
    ----------
    pulses:
        Of every attempt.
    table:
        Gate code, and first and last code of a read that is accepted, of each level, int64,
        shape (levels, 3).
    tries, stuck:
        Attempts per cell, and the spread of codes over all of them within which one has not
        moved; 0: none is called stuck.
    """

    pulses: Pulses
    table: IntArray
    tries: int
    stuck: int

    @classmethod
    def of(
        cls, image: Image, device: Device, tile: int, front_end: FrontEndCycles | None = None
    ) -> AttemptWriter:
        """As ``PROGRAM`` would write with the registers that the image's ``setup`` leaves.

        Parameters
        ----------
        front_end:
            What is behind the controller, which says when a read after a pulse is possible.
            None: at once, as on the numpy engine.
        """
        registers = setup_registers(image)
        tia_range = registers[Reg.TIA_RANGE] & (1 << RANGE_BITS) - 1
        reset = Train(registers[Reg.RAIL_RESET], registers[Reg.RESET_CYCLES])
        set_pulse = Train(
            registers[Reg.RAIL_SET],
            registers[Reg.SET_CYCLES],
            limit=LIMIT_POSITIVE | LIMIT_NEGATIVE,
            after=1,
            after_delay=front_end.read_after(tia_range) if front_end else 0,
            after_spacing=front_end.read_spacing(image.geometry) if front_end else 0,
            average=registers[Reg.AVERAGE],
        )
        levels = registers[Reg.LEVELS]
        table = [
            unpack_level(int(word))
            for word in image.params[levels : levels + len(device.level_codes)]
        ]
        return cls(
            Pulses(tile, device.mode_index(device.programmable.mode), tia_range, reset, set_pulse),
            np.array(table, np.int64),
            registers[Reg.TRIES],
            registers[Reg.STUCK],
        )

    def write(self, levels: IntArray) -> Attempting:
        """Put each cell on its level, by number, shape (cells,)."""
        gates, low, high = self.table[levels].T
        code, used, least, most = np.zeros((4, levels.size), dtype=np.int64)
        done = np.zeros(levels.size, dtype=bool)
        for attempt in range(1, self.tries + 1):
            left = np.flatnonzero(~done)
            if not left.size:
                break
            code[left] = found = yield Attempts(self.pulses, left, gates[left])
            used[left] = attempt
            least[left] = found if attempt == 1 else np.minimum(least[left], found)
            most[left] = found if attempt == 1 else np.maximum(most[left], found)
            done[left] = (found >= low[left]) & (found <= high[left])
        return result_words(code, used, most - least, done, self.stuck)


def setup_registers(image: Image) -> dict[Reg, int]:
    """What an image's ``setup`` leaves in the registers."""
    values = dict.fromkeys(Reg, 0)
    for instr in image.code[image.entries["setup"] :]:
        if instr.op is Op.HALT:
            break
        if instr.op is Op.SET:
            values[Reg(instr["reg"])] = instr["value"]
    return values


def code_of(words: Sequence[int]) -> int:
    """The code that an attempt has read, of the words that it has left in cell memory.

    Raises
    ------
    EngineError
        If it was not done.
    """
    samples, status = unpack_outcome(int(words[0]))
    if (samples, status) != (1, PulseStatus.DONE):
        raise EngineError(f"an attempt ended {status.name} with {samples} samples, expected is one")
    return unpack_sample(int(words[1]))[0]
