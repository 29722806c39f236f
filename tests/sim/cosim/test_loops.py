"""A convolution as loops in co-simulation: every integer and every noise as the numpy engine's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.image import LayerSpan, Span
from ohmloom.hw.isa import (
    Grid,
    Instruction,
    Loop,
    Op,
    instruction,
    pack_pool,
)
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.engine import NumpyEngine
from ohmloom.sim.engine.errors import EngineError

SIZE, KERNEL, OUT = 4, 2, 3
"""A picture of 4 x 4, a kernel of 2 x 2 with stride 1, and its 3 x 3 results of 4 maps."""
PICTURE, PATCH, RESULT, MAPS = 0, 40, 64, 4


def body(job: Job, param: int, **moved: int) -> list[Instruction]:
    """Copy the patch, multiply it with tile 0, requantise."""
    moves = {"move_act": 1, "move_out": 1} | moved
    requant = next(each for each in job.image.code if each.op is Op.REQUANT)["param"]
    mvm = {"tile": 0, "first": 0, "rows": 8, "planes": 5, "signed": 0, "clear": 1}
    copy = {"act": PICTURE, "out": PATCH, "param": param, "average": 0}
    return [
        instruction(Op.POOL, **copy, move_act=moves["move_act"]),
        instruction(Op.MVM, act=PATCH, **mvm),
        instruction(Op.REQUANT, out=RESULT, param=requant, count=MAPS, move_out=moves["move_out"]),
    ]


def convolution(job: Job) -> Job:
    """The job, whose inference is the convolution of its first 16 inputs."""
    param = len(job.image.params)
    window = (Loop(KERNEL, 1, 1), Loop(KERNEL, SIZE, KERNEL), Loop(1, 0, 0))
    params = [*job.image.params.tolist(), *pack_pool(Grid(1, 1, 1, 1, window))]
    begin = job.image.entries["infer"]
    code = [
        *job.image.code[:begin],
        instruction(Op.LOOP, count=OUT, act_step=SIZE, out_step=OUT * MAPS),
        instruction(Op.LOOP, count=OUT, act_step=1, out_step=MAPS),
        *body(job, param),
        instruction(Op.END),
        instruction(Op.END),
        instruction(Op.HALT),
    ]
    image = replace(
        job.image,
        geometry=replace(job.image.geometry, act_depth=256),
        code=tuple(code),
        params=np.array(params, np.uint64),
        layers=(LayerSpan("conv", Span(RESULT, OUT * OUT * MAPS)),),
    )
    # Rows 4 to 7 of the patch's place are driven with what is there: zeros.
    return replace(job, image=image)


def engine(job: Job, **options: bool) -> NumpyEngine:
    array = SimulatedArray(job.device, 2, 8, 8, job.seed)
    made = NumpyEngine(job.image, array, Converters(), job.clk_hz, job.seed, **options)
    made.setup()
    made.program(job.levels)
    return made


@pytest.mark.parametrize(
    "simulator", [Simulator.CXXRTL, pytest.param(Simulator.ICARUS, marks=pytest.mark.slow)]
)
def test_a_convolution_is_the_numpy_engines(make_job, tmp_path, simulator):
    job = convolution(make_job(samples=3))
    report = run_cosim(job, folder=tmp_path, simulator=simulator).report
    assert report.first_mismatch is None
    assert report.values_compared >= 3 * OUT * OUT * MAPS
    assert report.predicted_cycles == report.cycles_per_inference > 9 * 5 * 478
    assert report.afe_bound_cycles == 9 * 5 * 478
    assert sum(report.overhead.values()) == report.cycles_per_inference - report.afe_bound_cycles
    assert min(report.overhead.values()) >= 0


def test_it_is_a_convolution(make_job):
    """On the same engine, patch by patch, without noise."""
    job = convolution(make_job(samples=5))
    made = engine(job, read_noise=False)
    found = made.infer(job.samples).layers["conv"].reshape(5, OUT, OUT, MAPS)
    pictures = job.samples[:, : SIZE * SIZE].reshape(5, SIZE, SIZE)
    alone = replace(
        job.image,
        code=(*body(job, len(job.image.params) - 4, move_act=0, move_out=0), instruction(Op.HALT)),
        entries={"infer": 0},
        layers=(LayerSpan("conv", Span(RESULT, MAPS)),),
    )
    made.image = alone
    for row in range(OUT):
        for column in range(OUT):
            patch = np.zeros_like(job.samples)
            corner = pictures[:, row : row + KERNEL, column : column + KERNEL]
            patch[:, [0, 1, SIZE, SIZE + 1]] = corner.reshape(5, -1)
            wanted = made.infer(patch).layers["conv"]
            assert np.array_equal(found[:, row, column], wanted)


def test_each_round_has_a_noise_of_its_own(make_job):
    job = convolution(make_job(samples=1))
    job = replace(job, samples=np.full_like(job.samples, 9))
    found = engine(job).infer(job.samples).layers["conv"].reshape(OUT * OUT, MAPS)
    assert len({tuple(values) for values in found.tolist()}) > 1
    quiet = engine(job, read_noise=False).infer(job.samples).layers["conv"]
    assert len({tuple(values) for values in quiet.reshape(OUT * OUT, MAPS).tolist()}) == 1


def test_without_loops_nothing_moves(make_job):
    job = make_job(samples=1)
    moved = instruction(Op.REQUANT, out=0, param=0, count=1, move_out=1)
    geometry = replace(job.image.geometry, loop=False)
    made = engine(job)
    made.image = replace(
        job.image, geometry=geometry, code=(moved, instruction(Op.HALT)), entries={"infer": 0}
    )
    with pytest.raises(EngineError, match="this controller has no loops"):
        made.infer(job.samples)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ([instruction(Op.END)], "address 0: an END without a LOOP"),
        (
            [instruction(Op.LOOP, count=1, act_step=0, out_step=0)] * 5,
            "address 4: a LOOP inside 4 others",
        ),
    ],
)
def test_loops_that_are_none_are_refused(make_job, code, said):
    job = make_job(samples=1)
    made = engine(job)
    made.image = replace(job.image, code=(*code, instruction(Op.HALT)), entries={"infer": 0})
    with pytest.raises(EngineError, match=said):
        made.infer(job.samples)
