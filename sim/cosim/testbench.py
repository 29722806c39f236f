"""The co-simulation: the RTL against the numpy engine, integer for integer.

Runs inside the simulator. The host's side of the link loads program and
parameters, the RTL programs one tile cell by cell through the chips' pins, the
other tiles take over the numpy engine's programmed state, and every sample's
integers of every layer are compared. The first difference ends the run.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer

from ...hw.afe.array_card import plane_period_cycles
from ...hw.isa import CellStatus, assemble, unpack_result
from ...hw.link.coroutine import AsyncLinkClient
from ...hw.link.protocol import Info, Space
from ..array import SimulatedArray
from ..engine import NumpyEngine
from .bench import lags
from .card import AnalogCard
from .fault import Fault
from .job import JOB_VARIABLE, CosimReport, Job, Mismatch
from .locate import conversions, origin
from .overhead import overhead
from .probe import Probe
from .runner import OUTPUT_FILE, PROGRESS_FILE, REPORT_FILE
from .uart import Uart

STEPS_PER_CYCLE = 2
"""Simulator steps of a clock period. Model time is counted in cycles, so the
simulator's own unit does not matter."""
REPLY_CYCLES = 200_000
"""Stepped cycles without a byte from the controller after which a request is repeated."""
RUN_CYCLES = 200_000_000
"""Stepped cycles after which a run counts as stuck."""
PROGRESS_CYCLES = 5000
"""Stepped cycles between two looks at how far programming has come."""
SLOW_INPUT = 4
"""Factor on the input's time constant when the settling fault is planted."""


class Verdict(AssertionError):
    """The RTL and the numpy engine differ."""


def _array(job: Job) -> SimulatedArray:
    geometry = job.image.geometry
    return SimulatedArray(job.device, job.image.tiles, geometry.rows, geometry.columns, job.seed)


def _flip_adc_bit(conversion: int, codes: np.ndarray) -> np.ndarray:
    """The planted ADC fault: one bit of column 0, from the first inference on."""
    return np.concatenate(([codes[0] ^ (1 << 12)], codes[1:]))


class Cosim:
    """One job in one simulator."""

    def __init__(self, dut: Any, job: Job, folder: Path) -> None:
        self.dut = dut
        self.job = job
        self.folder = folder
        self.array = _array(job)
        self.reference_array = _array(job)
        self.converters = job.converters
        self.reference = NumpyEngine(
            job.image, self.reference_array, self.converters, job.clk_hz, job.seed
        )
        self.corrupting = False
        self.compared = 0
        self.pulses = 0
        self.cells = 0
        self.cycles: list[int] = []
        self.outputs: list[np.ndarray] = []
        self.saturations = 0
        self.first: Mismatch | None = None

    def progress(self, stage: str, done: int, total: int) -> None:
        partial = self.folder / f"{PROGRESS_FILE}.part"
        partial.write_text(json.dumps([stage, done, total]))
        partial.replace(self.folder / PROGRESS_FILE)

    async def run(self) -> None:
        job, dut, image = self.job, self.dut, self.job.image
        geometry = image.geometry
        self.progress("reference", 0, 1)
        self.reference.setup()
        results = self.reference.program(job.levels)

        dut.rst.value = 1
        dut.jump.value = int(job.jump)
        dut.codes.value = 0
        steps_per_second = job.clk_hz * STEPS_PER_CYCLE
        uart = Uart(dut.rx, dut.tx, job.bit_cycles * STEPS_PER_CYCLE, steps_per_second)
        analog = lags(job.clk_hz)
        if job.fault is Fault.SETTLING:
            analog = replace(analog, input_tau=SLOW_INPUT * analog.input_tau)
        card = AnalogCard(self.array, self.converters, geometry, job.clk_hz, analog)
        cocotb.start_soon(Clock(dut.clk, STEPS_PER_CYCLE, "step").start())
        await ClockCycles(dut.clk, 4)
        Probe(
            dut,
            card,
            geometry,
            lambda n, codes: _flip_adc_bit(n, codes) if self.corrupting else codes,
        )
        dut.rst.value = 0

        link = AsyncLinkClient(uart, timeout=REPLY_CYCLES / job.clk_hz)
        info = await link.ping()
        if info != Info.of(geometry, job.clk_hz):
            raise Verdict(f"the controller says {info}, it was built for {geometry}")
        self.progress("load", 0, 1)
        code = np.frombuffer(assemble(image.code), "<u8")
        await link.write_words(Space.PROGRAM, 0, code.tolist())
        await link.write_words(Space.PARAM, 0, image.params.tolist())
        await link.run(image.entries["setup"], 0)

        await self.program_tile(link, card, results[job.tile])
        self.take_over_tiles()
        reference = self.reference.infer(job.samples)
        for sample in range(len(job.samples)):
            self.progress("infer", sample, len(job.samples))
            self.corrupting = job.fault is Fault.ADC
            await self.infer(link, sample, reference.layers)
        if dut.fault.value != 0:
            raise AssertionError(f"chip model fault {int(dut.fault.value):#x}")
        if self.saturations != reference.saturations:
            raise Verdict(
                f"saturations: expected {reference.saturations}, found {self.saturations}"
            )

    async def program_tile(self, link: AsyncLinkClient, card: AnalogCard, expected: Any) -> None:
        """Let the RTL write and verify one tile; it must end in the reference's state."""
        job, tile, total = self.job, self.job.tile, self.job.image.geometry.cells
        await link.write_words(Space.LEVEL, 0, job.levels[tile].ravel().tolist())
        limit = RUN_CYCLES / job.clk_hz
        waiting = cocotb.start_soon(link.run(job.image.entries[f"program/{tile}"], 0, limit))
        while not waiting.done():
            done = int(np.count_nonzero(self.array.pulses[tile]))
            self.progress("program", done, total)
            await Timer(PROGRESS_CYCLES * STEPS_PER_CYCLE, "step")
        await waiting
        found = np.array(await link.read_words(Space.CELL, 0, total), np.int64)
        self.cells, self.pulses = total, card.pulses
        expected = np.asarray(expected, np.int64).ravel()
        for cell in np.flatnonzero(found != expected)[:1]:
            row, column = divmod(int(cell), self.job.image.geometry.columns)
            raise Verdict(
                f"programming tile {tile}, row {row}, column {column}: expected "
                f"{unpack_result(int(expected[cell]))}, found {unpack_result(int(found[cell]))}"
            )
        failed = sum(unpack_result(int(word))[2] is CellStatus.NOT_CONVERGED for word in found)
        if not self.array.tile_state_equal(self.reference_array, tile):
            raise Verdict(f"tile {tile} is not in the state of the numpy engine's")
        self.compared += total
        cocotb.log.info("tile %d programmed, %d cells not converged", tile, failed)

    def take_over_tiles(self) -> None:
        """The other tiles start from the reference's state; then a fault may be planted."""
        for tile in range(self.job.image.tiles):
            if tile != self.job.tile:
                self.array.copy_tile(self.reference_array, tile)
        if self.job.fault is Fault.CONDUCTANCE:
            # A cell that the first sample drives, and a bit large enough to be a conductance.
            driven = np.flatnonzero(self.job.samples[0][: self.job.image.geometry.rows])
            row = int(driven[0]) if len(driven) else 0
            self.array.g_code[0, row, 0] ^= 1 << 12

    async def infer(self, link: AsyncLinkClient, sample: int, expected: dict[str, Any]) -> None:
        """Run one sample and compare every layer."""
        job, image = self.job, self.job.image
        width = image.geometry.act_width
        inputs = np.asarray(job.samples[sample], np.int64) & ((1 << width) - 1)
        await link.write_words(Space.ACT, image.input.address, inputs.tolist())
        done = await link.run(image.entries["infer"], sample)
        self.cycles.append(done.cycles)
        self.saturations += done.saturations
        for layer in image.layers:
            span = layer.span
            words = np.array(await link.read_words(Space.ACT, span.address, span.count), np.int64)
            found = words - ((words >> (width - 1)) << width)
            wanted = np.asarray(expected[layer.name][sample], np.int64)
            for index in np.flatnonzero(found != wanted)[:1]:
                tiles, columns = origin(image, span.address + int(index))
                self.first = Mismatch(
                    sample, layer.name, int(index), tiles, columns,
                    int(wanted[index]), int(found[index]),
                )  # fmt: skip
                raise Verdict(str(self.first))
            self.compared += span.count
            if layer is image.layers[-1]:
                self.outputs.append(found)

    def report(self, mismatch: str | None) -> CosimReport:
        planes = conversions(self.job.image)
        period = plane_period_cycles(self.job.image.geometry, self.job.clk_hz)
        bound = planes * max(period.values())
        cycles = max(self.cycles, default=0)
        return CosimReport(
            samples=len(self.cycles),
            values_compared=self.compared,
            mismatches=int(mismatch is not None),
            first_mismatch=mismatch,
            cells_programmed=self.cells,
            pulses=self.pulses,
            cycles_per_inference=cycles,
            afe_bound_cycles=bound,
            afe_utilisation=bound / cycles if cycles else 0.0,
            overhead=overhead(self.job.image, period, cycles - bound) if cycles else {},
            saturations=self.saturations,
            simulated_cycles=int(self.dut.now.value) - int(self.dut.skipped.value),
            skipped_cycles=int(self.dut.skipped.value),
        )


@cocotb.test()
async def rtl_equals_numpy(dut: Any) -> None:
    """Fails on the first difference, having written the report either way."""
    folder = Path(os.environ[JOB_VARIABLE])
    cosim = Cosim(dut, Job.load(folder), folder)
    mismatch: str | None = None
    try:
        await cosim.run()
        # The first inference after programming also sets the column and gate switches.
        if len(set(cosim.cycles[1:])) > 1:
            raise Verdict(f"inferences took different numbers of cycles: {cosim.cycles[1:]}")
    except Verdict as verdict:
        mismatch = str(verdict)
        raise
    finally:
        if mismatch is not None or len(cosim.cycles) == len(cosim.job.samples):
            np.save(folder / OUTPUT_FILE, np.array(cosim.outputs, np.int64))
            (folder / REPORT_FILE).write_text(json.dumps(asdict(cosim.report(mismatch))))
