"""Entries of an image one after the other, on the RTL and on the numpy engine in step.

What :class:`~ohmloom.sim.cosim.comparison.Comparison` is for a network, this is for
programs that drive cells: after every entry, how the run ended, the words in cell
memory, what the controller knows of every tile and the state of every cell have to be
the same. Refusals are part of it: a step says what it expects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...hw.isa import OUTCOME_FIELDS, SAMPLE_FIELDS, Op, assemble, unpack_fields
from ...hw.link.coroutine import AsyncLinkClient
from ...hw.link.exchange import GuardStopped
from ...hw.link.exchange import ModeRefused as Refused
from ...hw.link.protocol import Info, Reason, Space
from ...hw.profile import ModeStatus, TileMode, quarters, unpack_tile
from ..array import SimulatedArray
from ..engine import NumpyEngine
from ..engine.modes import ModeRefused, ProfileRefused, WardenStopped
from .afe import bench_of
from .bench import lags
from .card import AnalogCard, ConversionTag
from .comparison import Harness, Verdict
from .fast.build import library, ports
from .fast.engine import Engine
from .fast.harness import FastHarness, complete
from .job import Job
from .pins import CardPins

BEAT_CYCLES = 400
"""Stepped cycles without a byte after which the host asks for the status: while the gate of
rail B is open the guard wants to hear it every ten seconds of model time."""


@dataclass(frozen=True)
class Step:
    """One entry.

    Attributes
    ----------
    name:
        What it is, for whoever reads the report.
    entry:
        Entry of the image.
    tile:
        The tile that it is about.
    refused:
        Status that it has to be refused with.
    stopped:
        The warden has to stop it.
    unlocked:
        Flat numbers of cells whose lock bits the host sets before: its map of what is
        unwritten.
    phase:
        What steps belong together in the waveform.
    """

    name: str
    entry: str
    tile: int = 0
    refused: ModeStatus | None = None
    stopped: bool = False
    unlocked: tuple[int, ...] = ()
    phase: str = ""


@dataclass(frozen=True)
class Sample:
    """One conversion inside a pulse.

    Attributes
    ----------
    time:
        When [clock cycles].
    amperes:
        Current of the cell's column, or that of the source [A].
    volts:
        Of the rail, or of the store under the current source [V].
    siemens:
        Conductance of the cell [S]; None of a store.
    """

    time: int
    amperes: float
    volts: float
    siemens: float | None


@dataclass(frozen=True)
class Interval:
    """What the card saw between an opening and a closing of rail B's gate, on one cell.

    Attributes
    ----------
    begun, ended:
        When [clock cycles].
    volts:
        Of the rail; with ``source`` the voltage of the cell's store afterwards [V].
    i_cc:
        Compliance current [A], None without one.
    before, after:
        Conductance of the cell [S]; None of a store.
    mode:
        Name of its mode at the end.
    source:
        Amperes of the current source, or None.
    samples:
        What was measured meanwhile.
    """

    begun: int
    ended: int
    volts: float
    i_cc: float | None
    before: float | None
    after: float | None
    mode: str
    source: float | None = None
    samples: tuple[Sample, ...] = ()


@dataclass
class Done:
    """What came of a step.

    Attributes
    ----------
    step:
        What was to be done.
    status:
        What the mode engine said.
    cycles:
        Of the run, 0 where the guard stopped it.
    samples:
        Codes of the samples.
    mode:
        Name of the tile's mode afterwards, ``unknown`` or ``fault``.
    intervals:
        What the watched cell was driven with.
    compared:
        Integers and cells that were compared.
    """

    step: Step
    status: ModeStatus
    cycles: int
    samples: list[int]
    mode: str
    intervals: list[Interval] = field(default_factory=list)
    compared: int = 0


class WatchedCard(AnalogCard):
    """An analog card that keeps what one cell of each tile was driven with."""

    cell = (0, 0)
    """Row and column of the cell."""
    intervals: list[Interval]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.intervals = []
        self._samples: list[Sample] = []
        self._before: float | None = None

    def convert(self, time: int, tag: ConversionTag) -> np.ndarray:
        codes = super().convert(time, tag)
        if self._pulse_begun is not None:
            volts = self._pulse_begun[1]
            if self.source:
                amperes = volts / self.converters.source_ohms[self.tia_range]
                volts = float(self.array.sense_voltage(self._watched())[0])
            else:
                ohms = self.converters.tia_ohms[self.tia_range]
                amperes = float(codes[self.cell[1]]) * self.converters.adc_lsb / ohms
            self._samples.append(Sample(time, amperes, volts, self._siemens()))
        return codes

    def set_gate_b(self, time: int, on: bool) -> None:
        begun = self._pulse_begun
        super().set_gate_b(time, on)
        if on:
            self._samples, self._before = [], self._siemens()
            return
        (row, column), lines = self.cell, self.lines
        conducts = lines.gate_program[column] or lines.gate_on[column]
        reached = lines.column_ground[column] or lines.column_tia[column] or self.source
        if begun is None or not (lines.row_b[row] and conducts and reached):
            return
        start, volts, i_cc = begun
        amperes = None
        if self.source:
            amperes = volts / self.converters.source_ohms[self.tia_range]
            volts = float(self.array.sense_voltage(self._watched())[0])
        index = int(self.array.state.mode[self.tile, row, column])
        self.intervals.append(
            Interval(
                begun=start,
                ended=time,
                volts=volts,
                i_cc=i_cc if lines.gate_program[column] else None,
                before=self._before,
                after=self._siemens(),
                mode=self.array.device.modes[index].name,
                source=amperes,
                samples=tuple(self._samples),
            )
        )

    def _watched(self) -> np.ndarray:
        """The watched cell of the selected tile, shape (1,)."""
        row, column = self.cell
        return self.array.tile_cells(self.tile)[row, column].reshape(1)

    def _siemens(self) -> float | None:
        """Its conductance now; None of a store. It is only looked at, not brought up to date."""
        part = self.array._fetch(self._watched())
        store = self.array.device.modes[int(part.mode[0])].store
        return float(part.g[0]) if store is None else None


Progress = Callable[[str, int, int], None]


def run_session(
    job: Job, steps: Sequence[Step], progress: Progress, array: SimulatedArray | None = None
) -> list[Done]:
    """Run steps on a controller that has just been configured, in the compiled engine.

    Parameters
    ----------
    job:
        Image, device, converters, clock and seed; its samples are not used.
    steps:
        What to do.
    progress:
        Called with (stage, done, total).
    array:
        Cells that have a past; fresh ones without. They are left as the steps leave them.

    Raises
    ------
    Verdict
        At the first step that ends otherwise than it is to, or not as in the numpy engine.
    """
    bench = bench_of(job)
    path = library(bench, progress)
    with Engine(path, ports(bench), job.bit_cycles) as engine:
        return complete(Session(job, FastHarness(engine, job), progress, array).run(steps))


def run_tour(job: Job, parts: Sequence[Sequence[Step]], progress: Progress) -> list[Done]:
    """Parts of a tour on the same cells, the controller configured anew before each.

    Raises
    ------
    Verdict
        As :func:`run_session`.
    """
    array = job.array()
    return [done for steps in parts if steps for done in run_session(job, steps, progress, array)]


class Session:
    """Steps on one harness; see :func:`run_session`."""

    def __init__(
        self, job: Job, harness: Harness, progress: Progress, array: SimulatedArray | None = None
    ) -> None:
        geometry = job.image.geometry
        self.job = job
        self.harness = harness
        self.progress = progress
        self.array = array or job.array()
        twin = job.array()
        for tile in range(job.image.tiles):
            twin.copy_tile(self.array, tile)
        self.reference = NumpyEngine(job.image, twin, job.converters, job.clk_hz, job.seed)
        self.card = WatchedCard(
            self.array, job.converters, geometry, job.clk_hz, lags(job.clk_hz, job.adc)
        )

    async def run(self, steps: Sequence[Step]) -> list[Done]:
        """Every step in order, compared."""
        job, image = self.job, self.job.image
        await self.harness.begin(CardPins(image.geometry, self.card))
        link = AsyncLinkClient(self.harness.transport, timeout=BEAT_CYCLES / job.clk_hz, tries=50)
        info = await link.ping()
        if info != Info.of(image.geometry, job.clk_hz):
            raise Verdict(f"the controller says {info}, it was built for {image.geometry}")
        code = np.frombuffer(assemble(image.code), "<u8")
        await link.write_words(Space.PROGRAM, 0, code.tolist())
        await link.write_words(Space.PARAM, 0, image.params.tolist())
        await link.write_words(Space.PROFILE, 0, quarters(image.profile))
        done = []
        for number, step in enumerate(steps):
            self.progress("modes", number, len(steps))
            done.append(await self._step(link, step))
        self.progress("modes", len(steps), len(steps))
        return done

    async def _step(self, link: AsyncLinkClient, step: Step) -> Done:
        seen = len(self.card.intervals)
        await self._unlock(link, step)
        expected, stopped = self._refer(step)
        cycles, found, reason, said = 0, True, None, ModeStatus.OK
        try:
            cycles = (await link.run(self.job.image.entries[step.entry], 0)).cycles
        except GuardStopped as error:
            reason, found = error.health.reason, False
        except Refused as refusal:
            found, said = False, refusal.status
        if (reason is not None) != stopped or (reason not in (None, Reason.REQUEST)):
            raise Verdict(f"{step.name}: the guard's reason is {reason}, expected {stopped}")
        if found != (expected is ModeStatus.OK and not stopped) or said is not expected:
            raise Verdict(f"{step.name}: the controller says {said.name}, expected {expected.name}")
        words = await link.read_words(Space.MODE, 0, self.job.image.tiles)
        compared = self._compare_modes(step, words, expected)
        samples: list[int] = []
        if found and self._drives(step.entry):
            samples, count = await self._compare_samples(link, step)
            compared += count
        elif stopped:
            await link.clear()
            await self._again(link)
        for tile in range(self.job.image.tiles):
            if not self.array.tile_state_equal(self.reference.array, tile):
                raise Verdict(f"{step.name}: tile {tile} is not in the numpy engine's state")
            compared += self.job.image.geometry.cells
        return Done(
            step, expected, cycles, samples, self._mode(step.tile),
            self.card.intervals[seen:], compared,
        )  # fmt: skip

    def _drives(self, entry: str) -> bool:
        """Whether an entry leaves an outcome and samples in cell memory."""
        for instr in self.job.image.code[self.job.image.entries[entry] :]:
            if instr.op in (Op.PULSE, Op.SWEEP):
                return True
            if instr.op is Op.HALT:
                break
        return False

    async def _unlock(self, link: AsyncLinkClient, step: Step) -> None:
        """The host's map of unwritten cells, into both."""
        geometry = self.job.image.geometry
        for cell in step.unlocked:
            tile, rest = divmod(cell, geometry.cells)
            address = geometry.lock_address(tile, *divmod(rest, geometry.columns))
            assert address is not None
            await link.write_words(Space.LOCK, address, [1])
            self.reference.modes.unwritten[address] = True

    def _refer(self, step: Step) -> tuple[ModeStatus, bool]:
        """What the numpy engine says, which has to be what the step expects."""
        status, stopped, told = ModeStatus.OK, False, "it was let through"
        try:
            self.reference.run(step.entry)
        except ModeRefused as refusal:
            status, told = refusal.status, str(refusal)
        except (WardenStopped, ProfileRefused) as stop:
            stopped, told = isinstance(stop, WardenStopped), str(stop)
        if (status, stopped) != (step.refused or ModeStatus.OK, step.stopped):
            raise Verdict(f"{step.name}: {told}")
        return status, stopped

    async def _again(self, link: AsyncLinkClient) -> None:
        """Registers and rails after a safe state; the front end is initialised first."""
        while str((await link.health()).state.name) == "STARTING":
            pass
        await link.run(self.job.image.entries["setup"], 0)
        self.reference.setup()

    def _compare_modes(self, step: Step, words: Sequence[int], expected: ModeStatus) -> int:
        keeper = self.reference.modes
        for tile, word in enumerate(words):
            mode, status, _, adopted = unpack_tile(word)
            wanted = (keeper.tiles[tile], expected, keeper.profile is not None)
            if (mode, status, adopted) != wanted:
                raise Verdict(
                    f"{step.name}: tile {tile} is {mode}, {status.name}, adopted {adopted}; "
                    f"expected {wanted}"
                )
        return len(words)

    async def _compare_samples(self, link: AsyncLinkClient, step: Step) -> tuple[list[int], int]:
        """Codes of the samples, and how many words were compared."""
        wanted = self.reference.cell_memory
        count = 1 + unpack_fields(OUTCOME_FIELDS, int(wanted[0]))[0]
        words = await link.read_words(Space.CELL, 0, min(count, len(wanted)))
        for place, (word, other) in enumerate(zip(words, wanted, strict=False)):
            if word != int(other):
                raise Verdict(
                    f"{step.name}: word {place} of cell memory is {word:#x}, expected {other:#x}"
                )
        return [unpack_fields(SAMPLE_FIELDS, word)[0] for word in words[1:]], len(words)

    def _mode(self, tile: int) -> str:
        word: TileMode = self.reference.modes.tiles[tile]
        if word.fault:
            return "fault"
        return self.job.device.modes[word.mode].name if word.known else "unknown"
