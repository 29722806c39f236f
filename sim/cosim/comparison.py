"""The comparison itself: the RTL against the numpy engine, whatever runs the RTL.

The host's side of the link loads program and parameters, the RTL programs one
tile cell by cell through the chips' pins, the other tiles take over the numpy
engine's programmed state, and every sample's integers of every layer are
compared. The first difference ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from time import process_time
from typing import Any, Protocol, TypeVar

import numpy as np

from ...hw.afe.kinds import FrontEndKind
from ...hw.cycles import CycleError, Inference, inference
from ...hw.image import LayerSpan, Span
from ...hw.isa import (
    PULSE_FIELDS,
    CellStatus,
    Op,
    Reg,
    assemble,
    instruction,
    unpack_result,
)
from ...hw.link.coroutine import AsyncLinkClient, AsyncTransport
from ...hw.link.protocol import Info, Space
from ...hw.profile import quarters
from ...hw.ranges import RANGE_BITS
from ..devices import LevelPulses
from ..engine import EngineError, NumpyEngine
from ..engine.attempts import AttemptWriter, code_of
from ..engine.protocol import Host, Trace
from ..engine.writing import HOST_WORDS, Trains, result_codes
from .afe import front_end_of, plane_period_of
from .bench import lags
from .card import AnalogCard
from .fault import Fault
from .job import CosimReport, Cosimulation, Job, Mismatch, Times
from .locate import conversions, origin
from .overhead import overhead
from .pins import CardPins

log = logging.getLogger(__name__)

REPLY_CYCLES = 200_000
"""Stepped cycles without a byte from the controller after which a request is repeated."""
RUN_CYCLES = 200_000_000
"""Stepped cycles after which a run counts as stuck."""
SLOW_INPUT = 4
"""Factor on the input's time constant when the settling fault is planted."""

Progress = Callable[[str, int, int], None]
"""Told the stage, how much of it is done, and how much there is."""

T = TypeVar("T")


class Harness(Protocol):
    """What runs the RTL: a Verilog simulator or the compiled engine.

    Attributes
    ----------
    transport :
        The serial line to the controller.
    """

    transport: AsyncTransport

    async def begin(self, pins: CardPins | None) -> None:
        """Start the clock, reset the controller and put the card behind the chips' pins.

        None: the controller has its array inside.
        """
        ...

    async def attend(self, work: Coroutine[Any, Any, T], look: Callable[[], None]) -> T:
        """The result of ``work``; ``look`` is called now and then until it is there."""
        ...

    async def counters(self) -> tuple[int, int]:
        """Present model time and how much of it was skipped, in cycles."""
        ...

    def stepped(self) -> int:
        """Clock cycles that were really stepped through so far, those of the reset included."""
        ...

    def seconds(self) -> float:
        """Processor time that the RTL has taken so far [s]."""
        ...


class Verdict(AssertionError):
    """The RTL and the numpy engine differ."""


def _predict(job: Job) -> Inference | None:
    """Cycles of the inferences by the cost model, if it has any for the program."""
    try:
        return inference(job.image, front_end_of(job))
    except CycleError:
        return None


def _flip_adc_bit(codes: np.ndarray) -> np.ndarray:
    """The planted ADC fault: one bit of column 0, from the first inference on."""
    return np.concatenate(([codes[0] ^ (1 << 12)], codes[1:]))


class Comparison:
    """One job on one harness.

    Parameters
    ----------
    job : Job
        What to compare.
    harness : Harness
        What runs the RTL.
    progress : callable
        Called with (stage, done, total).
    host : Host, optional
        What takes part in the inferences of the RTL and of the numpy engine.
    """

    def __init__(
        self, job: Job, harness: Harness, progress: Progress, host: Host | None = None
    ) -> None:
        self.job = job
        self.harness = harness
        self.progress = progress
        self.host = host
        self.array = job.array()
        self.reference_array = job.array()
        self.converters = job.converters
        self.reference = NumpyEngine(
            job.image, self.reference_array, self.converters, job.clk_hz, job.seed, host=host
        )
        self.predicted = _predict(job)
        self.emulated = job.afe is FrontEndKind.EMULATED
        self.pins: CardPins | None = None
        self.begun = 0.0
        self.corrupting = False
        self.compared = 0
        self.pulses = 0
        self.cells = 0
        self.cycles: list[list[int]] = []
        self.begins: list[int] = []
        self.program_cycles = 0
        self.outputs: list[np.ndarray] = []
        self.results = np.zeros(job.image.geometry.cells, np.int64)
        self.worn = np.zeros(job.image.geometry.cells, np.int64)
        self.saturations = 0

    async def compare(self) -> Cosimulation:
        """Run the job; a difference is in the report, anything else that goes wrong is raised."""
        mismatch: str | None = None
        try:
            await self._run()
        except Verdict as verdict:
            mismatch = str(verdict)
        now, skipped = await self.harness.counters()
        return Cosimulation(
            self._report(mismatch, now, skipped),
            np.array(self.outputs, dtype=np.int64),
            self._times(),
            tuple(self.begins),
        )

    async def _run(self) -> None:
        job, image = self.job, self.job.image
        geometry = image.geometry
        self.progress("reference", 0, 1)
        self.reference.setup()
        results = self.reference.program(job.levels)

        if not self.emulated:
            self.pins = self._plug()
        self.begun = process_time()
        await self.harness.begin(self.pins)
        link = AsyncLinkClient(self.harness.transport, timeout=REPLY_CYCLES / job.clk_hz)
        info = await link.ping()
        if info != Info.of(geometry, job.clk_hz):
            raise Verdict(f"the controller says {info}, it was built for {geometry}")
        self.progress("load", 0, 1)
        code = np.frombuffer(assemble(image.code), "<u8")
        await link.write_words(Space.PROGRAM, 0, code.tolist())
        await link.write_words(Space.PARAM, 0, image.params.tolist())
        await link.write_words(Space.PROFILE, 0, quarters(image.profile))
        await link.run(image.entries["setup"], 0)

        for tile in job.programmed:
            await self._program_tile(link, tile, results[tile])
        if not self.emulated:
            self._take_over_tiles()
        reference = self.reference.infer(job.samples)
        for sample in range(len(job.samples)):
            self.progress("infer", sample, len(job.samples))
            self.corrupting = job.fault is Fault.ADC
            await self._infer(link, sample, reference)
        if self.saturations != reference.saturations:
            raise Verdict(
                f"saturations: expected {reference.saturations}, found {self.saturations}"
            )
        self._compare_cycles()

    def _plug(self) -> CardPins:
        """The analog card behind the chips' pins."""
        job, geometry = self.job, self.job.image.geometry
        analog = lags(job.clk_hz, job.adc)
        if job.fault is Fault.SETTLING:
            analog = replace(
                analog,
                input_tau=SLOW_INPUT * analog.input_tau,
                filter_tau=SLOW_INPUT * analog.filter_tau,
            )
        card = AnalogCard(self.array, self.converters, geometry, job.clk_hz, analog)
        return CardPins(
            geometry, card, lambda n, codes: _flip_adc_bit(codes) if self.corrupting else codes
        )

    async def _program_tile(self, link: AsyncLinkClient, tile: int, expected: Any) -> None:
        """Let the RTL write and verify one tile; it must end in the reference's state.

        The cells of an emulated array are in the RTL: every code that was read, and
        afterwards every layer, says what state they are in.
        """
        job, total = self.job, self.job.image.geometry.cells
        space = Space.TARGET if self.reference.registers[Reg.LINE] else Space.LEVEL
        if job.image.geometry.verify:
            await link.write_words(space, 0, job.levels[tile].ravel().tolist())
        if job.image.geometry.wear and len(job.programmed) > 1:
            # The controller has the cycles of one tile; these cells have had none.
            await link.write_words(Space.WEAR, 0, [0] * total)
        limit = RUN_CYCLES / job.clk_hz

        def look() -> None:
            done = int(np.count_nonzero(self.array.pulses[list(job.programmed)]))
            self.progress("program", done, total * len(job.programmed))

        look()
        entry, law = job.image.entries.get(f"program/{tile}"), job.device.pulses
        if entry is not None:
            run = link.run(entry, 0, limit)
            self.program_cycles += (await self.harness.attend(run, look)).cycles
            found = np.array(await link.read_words(Space.CELL, 0, total), np.int64)
        elif law is not None:
            found = await self.harness.attend(self._write_tile(link, tile, law, limit), look)
        else:
            found = await self.harness.attend(self._attempt_tile(link, tile, limit), look)
        self.cells += total
        # An attempt is a RESET and a SET.
        tries = sum(unpack_result(int(word))[1] for word in found)
        self.pulses = self.pins.card.pulses if self.pins is not None else self.pulses + 2 * tries
        expected = np.asarray(expected, np.int64).ravel()
        for cell in np.flatnonzero(found != expected)[:1]:
            row, column = divmod(int(cell), self.job.image.geometry.columns)
            raise Verdict(
                f"programming tile {tile}, row {row}, column {column}: expected "
                f"{unpack_result(int(expected[cell]))}, found {unpack_result(int(found[cell]))}"
            )
        self.results = found
        if job.image.geometry.wear:
            self.worn = worn = np.array(await link.read_words(Space.WEAR, 0, total), np.int64)
            for cell in np.flatnonzero(worn != self.reference.wear[tile])[:1]:
                row, column = divmod(int(cell), job.image.geometry.columns)
                raise Verdict(
                    f"cycles of tile {tile}, row {row}, column {column}: expected "
                    f"{self.reference.wear[tile, cell]}, found {worn[cell]}"
                )
        failed = sum(unpack_result(int(word))[2] is CellStatus.NOT_CONVERGED for word in found)
        if not self.emulated and not self.array.tile_state_equal(self.reference_array, tile):
            raise Verdict(f"tile {tile} is not in the state of the numpy engine's")
        self.compared += total
        log.info("tile %d programmed, %d cells not converged", tile, failed)

    async def _write_tile(
        self, link: AsyncLinkClient, tile: int, law: LevelPulses, limit: float
    ) -> np.ndarray:
        """Write a tile as a host, by pulses and reads; its result words."""
        levels = self.job.levels[tile].ravel()
        codes = await self._read_tile(link, tile, limit)
        writing = self.reference.writing(tile, law, levels, codes)
        try:
            trains = next(writing)
            while True:
                await self._drive(link, tile, trains, limit)
                trains = writing.send(await self._read_tile(link, tile, limit))
        except StopIteration as end:
            return end.value

    async def _attempt_tile(self, link: AsyncLinkClient, tile: int, limit: float) -> np.ndarray:
        """Write a tile as a host, by pulses alone, attempt by attempt; its result words."""
        job, geometry = self.job, self.job.image.geometry
        writing = AttemptWriter.of(job.image, job.device, tile, front_end_of(job)).write(
            job.levels[tile].ravel()
        )
        code_at, param_at = len(job.image.code), len(job.image.params)
        try:
            attempts = next(writing)
            while True:
                codes = list[int]()
                for program in attempts.programs(geometry, code_at, param_at):
                    words = np.frombuffer(assemble(program.code), "<u8")
                    await link.write_words(Space.PARAM, param_at, program.records)
                    await link.write_words(Space.PROGRAM, code_at, words.tolist())
                    for start in program.starts:
                        await link.run(start, 0, limit)
                        codes.append(code_of(await link.read_words(Space.CELL, 0, program.words)))
                attempts = writing.send(np.array(codes, np.int64))
        except StopIteration as end:
            return end.value
        except EngineError as error:
            raise Verdict(str(error)) from error

    async def _read_tile(self, link: AsyncLinkClient, tile: int, limit: float) -> np.ndarray:
        await link.run(self.job.image.entries[f"read/{tile}"], 0, limit)
        return result_codes(await link.read_words(Space.CELL, 0, self.job.image.geometry.cells))

    async def _drive(self, link: AsyncLinkClient, tile: int, trains: Trains, limit: float) -> None:
        """Drive trains by programs of the host's own, behind the image in both memories."""
        image, geometry = self.job.image, self.job.image.geometry
        code_at, param_at = len(image.code), len(image.params)
        room = (geometry.param_depth - param_at) // len(PULSE_FIELDS)
        room = min(room, (geometry.program_depth - code_at - 1) // HOST_WORDS)
        if room < 1:
            raise Verdict("there is no memory left for the pulses of a host")
        for first in range(0, trains.cells.size, room):
            some = trains.take(slice(first, first + room))
            pulses = list(some.instructions(tile, geometry.columns, param_at))
            code = [instr for pulse in pulses for instr in pulse.code]
            words = np.frombuffer(assemble([*code, instruction(Op.HALT)]), "<u8")
            await link.write_words(Space.PARAM, param_at, [w for p in pulses for w in p.record])
            await link.write_words(Space.PROGRAM, code_at, words.tolist())
            await link.run(code_at, 0, limit)

    def _take_over_tiles(self) -> None:
        """The other tiles start from the reference's state; then a fault may be planted."""
        for tile in range(self.job.image.tiles):
            if tile not in self.job.programmed:
                self.array.copy_tile(self.reference_array, tile)
        if self.job.fault is Fault.CONDUCTANCE:
            # A cell that the first sample drives, and a bit large enough to be a conductance.
            driven = np.flatnonzero(self.job.samples[0][: self.job.image.geometry.rows])
            row = int(driven[0]) if len(driven) else 0
            self.array.set_codes((0, row, 0), self.array.g_code[0, row, 0] ^ 1 << 12)

    async def _infer(self, link: AsyncLinkClient, sample: int, expected: Trace) -> None:
        """Run one sample, with the host between its runs, and compare every layer."""
        job, image = self.job, self.job.image
        self.begins.append(self.harness.stepped())
        await self._write(link, image.input, job.samples[sample])
        self.cycles.append([])
        await self._run_entry(link, "infer", sample)
        found = np.empty(0, np.int64)
        for number, call in enumerate(image.host):
            found = np.concatenate([await self._read(link, span) for span in call.reads])
            self._compare(sample, call.name, found, expected.host[number][sample])
            if call.writes and self.host is not None:
                (made,) = self.host(number, found[np.newaxis])
                self._compare(sample, f"{call.name}, written", made, expected.made[number][sample])
                ends = np.cumsum([span.count for span in call.writes])[:-1]
                for span, part in zip(call.writes, np.split(made, ends), strict=True):
                    await self._write(link, span, part)
            if call.entry:
                await self._run_entry(link, call.entry, sample)
        result = found
        for layer in image.layers:
            found = await self._read(link, layer.span)
            self._compare(sample, layer.name, found, expected.layers[layer.name][sample], layer)
        self.outputs.append(result if image.host_makes_result else found)

    async def _run_entry(self, link: AsyncLinkClient, entry: str, sample: int) -> None:
        done = await link.run(self.job.image.entries[entry], sample)
        self.cycles[-1].append(done.cycles)
        self.saturations += done.saturations

    async def _write(self, link: AsyncLinkClient, span: Span, words: np.ndarray) -> None:
        mask = (1 << self.job.image.geometry.act_width) - 1
        await link.write_words(
            Space.ACT, span.address, (np.asarray(words, np.int64) & mask).tolist()
        )

    async def _read(self, link: AsyncLinkClient, span: Span) -> np.ndarray:
        """Activation words with their sign, shape (count,)."""
        width = self.job.image.geometry.act_width
        words = np.array(await link.read_words(Space.ACT, span.address, span.count), np.int64)
        return words - ((words >> (width - 1)) << width)

    def _compare(
        self,
        sample: int,
        name: str,
        found: np.ndarray,
        expected: np.ndarray,
        layer: LayerSpan | None = None,
    ) -> None:
        """Words that must be equal; those of a layer are found in the array if they are not."""
        wanted = np.asarray(expected, np.int64)
        for index in np.flatnonzero(found != wanted)[:1]:
            tiles, columns = (), (0, 0)
            if layer is not None:
                # Not of a copy of the input, of a zero, or of what the host makes.
                with suppress(LookupError):
                    tiles, columns = origin(self.job.image, layer.span.address + int(index))
            raise Verdict(
                str(
                    Mismatch(
                        sample, name, int(index), tiles, columns,
                        int(wanted[index]), int(found[index]),
                    )
                )
            )  # fmt: skip
        self.compared += len(found)

    def _compare_cycles(self) -> None:
        """Every inference takes what the cost model says."""
        if self.predicted is None:
            return
        # The first one after programming also sets the column and gate switches.
        for sample, cycles in enumerate(self.cycles):
            predicted = self.predicted.later if sample else self.predicted.first
            entries = self.job.image.runs
            for entry, found, wanted in zip(entries, cycles, predicted.parts, strict=True):
                if found != wanted:
                    which = f", {entry}," if len(entries) > 1 else ""
                    raise Verdict(
                        f"sample {sample}{which} took {found} cycles, predicted were {wanted}"
                    )

    def _times(self) -> Times:
        total, simulator = process_time() - self.begun, self.harness.seconds()
        card = self.pins.seconds if self.pins is not None else 0.0
        return Times(simulator, card, total - simulator - card)

    def _report(self, mismatch: str | None, now: int, skipped: int) -> CosimReport:
        planes = conversions(self.job.image)
        tia_range = self.reference.registers[Reg.TIA_RANGE] & (1 << RANGE_BITS) - 1
        period = plane_period_of(self.job, tia_range)
        bound = planes * max(period.values())
        cycles = max((sum(each) for each in self.cycles), default=0)
        return CosimReport(
            samples=len(self.cycles),
            values_compared=self.compared,
            mismatches=int(mismatch is not None),
            first_mismatch=mismatch,
            cells_programmed=self.cells,
            pulses=self.pulses,
            cycles_per_inference=cycles,
            predicted_cycles=self.predicted.first.cycles if self.predicted else 0,
            afe_bound_cycles=bound,
            afe_utilisation=bound / cycles if cycles else 0.0,
            overhead=overhead(self.job.image, period, cycles - bound) if cycles else {},
            saturations=self.saturations,
            simulated_cycles=now - skipped,
            skipped_cycles=skipped,
        )
