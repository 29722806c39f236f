"""Weights in two slices on two tiles, in co-simulation: accumulators exact to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.image import Image
from ohmloom.hw.isa import Instruction, Op, Reg, instruction, pack_requant
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.engine import NumpyEngine

SHIFT, PLANES = 3, 2
NOP = instruction(Op.NOP)


def part(tile: int, **changes: int) -> Instruction:
    """The product of one slice; tile 1 has the high one."""
    mvm = {"tile": tile, "act": 0, "first": 0, "rows": 8, "planes": PLANES, "signed": 1}
    return instruction(Op.MVM, **mvm, **{"clear": 1 - tile, "shift": tile * SHIFT, **changes})


def inference(image: Image, *mvms: Instruction) -> Image:
    """The image with an inference whose results are the accumulators of these."""
    begin = image.entries["infer"]
    (requant,) = (each for each in image.code[begin:] if each.op is Op.REQUANT)
    params = image.params.copy()
    params[requant["param"] :] = pack_requant(0, 1 << 23, 23)
    code = (
        *image.code[:begin],
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=-32768),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=32767),
        *mvms,
        requant,
        instruction(Op.HALT),
    )
    return replace(image, code=code, params=params)


@pytest.fixture
def job(make_job) -> Job:
    """Slices of neighbouring levels, whose sums fit an activation."""
    made = make_job(cells=2, samples=3, planes=PLANES)
    samples = made.samples - (made.samples >> PLANES - 1 << PLANES)
    image = inference(made.image, part(0), part(1))
    return replace(made, image=image, samples=samples, levels=10 + made.levels % 3)


def result(job: Job, *mvms: Instruction) -> np.ndarray:
    """The numpy engine's accumulators after these, shape (samples, pairs)."""
    geometry = job.image.geometry
    array = SimulatedArray(job.device, 2, geometry.rows, geometry.columns, job.seed)
    image = inference(job.image, *mvms)
    made = NumpyEngine(image, array, job.converters, job.clk_hz, job.seed)
    made.setup()
    made.program(job.levels)
    return made.infer(job.samples).output


@pytest.mark.parametrize(
    "simulator", [Simulator.CXXRTL, pytest.param(Simulator.ICARUS, marks=pytest.mark.slow)]
)
def test_the_accumulator_is_the_weighted_sum_of_the_slices(job, tmp_path, simulator):
    """The shift changes no draw: each slice alone has the same noise."""
    low = result(job, part(0), NOP)
    high = result(job, NOP, part(1, clear=1, shift=0))
    wanted = low + (high << SHIFT)
    assert np.abs(wanted).max() < 32767 and np.abs(high).min() > 0
    outcome = run_cosim(job, folder=tmp_path, simulator=simulator)
    assert outcome.report.first_mismatch is None
    assert outcome.report.values_compared >= wanted.size
    assert np.array_equal(outcome.output, wanted)


def test_an_engine_that_ignores_the_shift_is_found(job, monkeypatch):
    right = NumpyEngine._mvm

    def deaf(self, address, instr, batch):
        right(self, address, instruction(Op.MVM, **{**instr.operands, "shift": 0}), batch)

    monkeypatch.setattr(NumpyEngine, "_mvm", deaf)
    report = run_cosim(job, simulator=Simulator.CXXRTL).report
    assert report.mismatches and "expected" in str(report.first_mismatch)
