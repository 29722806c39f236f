"""Single columns and pairs in one program, in co-simulation: accumulators exact to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import Instruction, Op, Reg, Scheme, instruction, pack_requant
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.engine import NumpyEngine

COLUMNS, PLANES = 8, 3
OUT = 32
BOTH = [pytest.param(Simulator.CXXRTL), pytest.param(Simulator.ICARUS, marks=pytest.mark.slow)]


def scheme(value: int) -> Instruction:
    return instruction(Op.SET, reg=Reg.SCHEME, value=value)


def part(tile: int, **changes: int) -> Instruction:
    mvm = {"tile": tile, "act": 0, "first": 0, "rows": 8, "planes": PLANES, "signed": 1}
    return instruction(Op.MVM, **{**mvm, "clear": 0, **changes})


def inference(image: Image) -> Image:
    """Slices of tile 0, that of tile 1 as the sign's, pairs on top; then each scheme alone.

    Every accumulator is a result, each time.
    """
    begin = image.entries["infer"]
    requant = next(each for each in image.code[begin:] if each.op is Op.REQUANT)["param"]
    params = [*image.params[:requant].tolist(), *[pack_requant(0, 1 << 23, 23)] * COLUMNS]
    groups = [
        [
            *(scheme(Scheme.SINGLE), part(0, clear=1), part(0, rows=5, planes=2, shift=1)),
            *(scheme(Scheme.SUBTRACTED), part(1, shift=2)),
            *(scheme(Scheme.DIFFERENTIAL), part(1, act=8, signed=0)),
        ],
        *([scheme(each), part(0, clear=1)] for each in Scheme),
        [scheme(Scheme.SUBTRACTED), part(1, clear=1, planes=1)],  # whose top plane is its only one
    ]
    code = [
        *image.code[:begin],
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=-32768),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=32767),
    ]
    for n, group in enumerate(groups):
        code += group
        code.append(instruction(Op.REQUANT, out=OUT + n * COLUMNS, param=requant, count=COLUMNS))
    code.append(instruction(Op.HALT))
    return replace(
        image,
        geometry=replace(image.geometry, single=True, act_depth=128),
        code=tuple(code),
        params=np.array(params, np.uint64),
        layers=(LayerSpan("sums", Span(OUT, COLUMNS * len(groups))),),
    )


@pytest.fixture
def job(make_job) -> Job:
    """Neighbouring levels, whose sums fit an activation."""
    made = make_job(cells=2, samples=3, planes=PLANES)
    samples = made.samples - (made.samples >> PLANES - 1 << PLANES)
    levels = 10 + made.levels % 3
    return replace(made, image=inference(made.image), samples=samples, levels=levels)


@pytest.mark.parametrize("simulator", BOTH)
def test_all_schemes_in_one_program(job, tmp_path, simulator):
    outcome = run_cosim(job, folder=tmp_path, simulator=simulator)
    report = outcome.report
    assert report.first_mismatch is None
    assert report.values_compared >= outcome.output.size == 3 * 5 * COLUMNS
    assert report.predicted_cycles == report.cycles_per_inference
    mixed, pairs, single, subtracted, top = np.split(outcome.output, 5, axis=1)
    assert 0 < np.abs(outcome.output).max() < 32767 and len(np.unique(mixed)) > 8
    assert not outcome.output[:, COLUMNS - 1 :: COLUMNS].any() and not pairs[:, 4:].any()
    # Each conversion has a noise of its own, so that they are not the same but near.
    assert (single != -subtracted).any() and (np.abs(single + subtracted) < 100).all()
    assert np.abs(single).max() > 1000 and (top[:, :-1] != 0).any()


def test_an_engine_that_ignores_the_scheme_is_found(job, monkeypatch):
    right = NumpyEngine._do

    def deaf(self, address, instr, batch):
        if instr.op is Op.SET and instr["reg"] == Reg.SCHEME:
            instr = scheme(min(instr["value"], Scheme.SINGLE))
        right(self, address, instr, batch)

    monkeypatch.setattr(NumpyEngine, "_do", deaf)
    report = run_cosim(job, simulator=Simulator.CXXRTL).report
    assert report.mismatches and "expected" in str(report.first_mismatch)
