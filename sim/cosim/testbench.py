"""The co-simulation in a Verilog simulator: runs inside its process, under cocotb."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from time import process_time
from typing import Any, TypeVar

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, GPITrigger, ReadOnly, Timer
from cocotb.utils import get_sim_time

from ...hw.timers import FOREVER
from .comparison import Comparison, Verdict
from .desk import Caller
from .job import JOB_VARIABLE, Job
from .pins import CODES, CardPins
from .probe import Probe
from .runner import (
    BEGINS_FILE,
    OUTPUT_FILE,
    PROGRESS_FILE,
    REPORT_FILE,
    RESET_CYCLES,
    TIMES_FILE,
)
from .uart import Uart
from .waves import STEPS_PER_CYCLE

LOOK_CYCLES = 5000
"""Stepped cycles between two looks at how far programming has come."""

T = TypeVar("T")


class CocotbHarness:
    """The bench in the simulator: see :class:`~ohmloom.sim.cosim.comparison.Harness`."""

    def __init__(self, dut: Any, job: Job) -> None:
        self.dut = dut
        self.job = job
        self.transport = Uart(dut.rx, dut.tx, job.bit_cycles, STEPS_PER_CYCLE, job.clk_hz)
        self._begun = self._entered = process_time()
        self._python = 0.0

    async def begin(self, pins: CardPins | None) -> None:
        dut = self.dut
        self._measure()
        dut.rst.value = 1
        dut.jump.value = int(self.job.jump)
        dut.horizon.value = FOREVER
        if pins is not None:
            getattr(dut, CODES).value = 0
        cocotb.start_soon(Clock(dut.clk, STEPS_PER_CYCLE, "step", impl="gpi").start())
        await ClockCycles(dut.clk, RESET_CYCLES)
        if pins is not None:
            Probe(dut, pins)
        dut.rst.value = 0

    async def attend(self, work: Coroutine[Any, Any, T], look: Callable[[], None]) -> T:
        async def keep_looking() -> None:
            while True:
                await Timer(LOOK_CYCLES * STEPS_PER_CYCLE, "step")
                look()

        looking = cocotb.start_soon(keep_looking())
        try:
            return await work
        finally:
            looking.cancel()

    async def counters(self) -> tuple[int, int]:
        await ReadOnly()
        return int(self.dut.now.value), int(self.dut.skipped.value)

    def stepped(self) -> int:
        return get_sim_time("step") // STEPS_PER_CYCLE

    def seconds(self) -> float:
        return self._entered - self._begun - self._python

    def _measure(self) -> None:
        """Count the time between the simulator's calls of Python, all of which are triggers."""
        react = GPITrigger._react

        def timed(trigger: GPITrigger) -> None:
            self._entered = process_time()
            react(trigger)
            self._python += process_time() - self._entered

        self._begun = self._entered = process_time()
        GPITrigger._react = timed


@cocotb.test()
async def rtl_equals_numpy(dut: Any) -> None:
    """Fails on the first difference, having written the report either way."""
    folder = Path(os.environ[JOB_VARIABLE])
    job = Job.load(folder)

    def progress(stage: str, done: int, total: int) -> None:
        partial = folder / f"{PROGRESS_FILE}.part"
        partial.write_text(json.dumps([stage, done, total]))
        partial.replace(folder / PROGRESS_FILE)

    harness, host = CocotbHarness(dut, job), Caller(folder)
    outcome = await Comparison(job, harness, progress, host).compare()
    np.save(folder / OUTPUT_FILE, outcome.output)
    (folder / TIMES_FILE).write_text(json.dumps(asdict(outcome.times)))
    (folder / BEGINS_FILE).write_text(json.dumps(outcome.begins))
    (folder / REPORT_FILE).write_text(json.dumps(asdict(outcome.report)))
    if outcome.report.mismatches:
        raise Verdict(outcome.report.first_mismatch)
