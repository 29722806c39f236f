"""A GRU in co-simulation: products, functions by pieces and a threshold, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import quantise_input
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.devices import load

from ...compiler.conftest import Zoo

GEOMETRY = Geometry(rows=16, columns=16, program_depth=4096, param_depth=8192)
STEPS, INPUTS, SIZE = 2, 3, 4


@pytest.mark.parametrize("bits", [8, 16])
def test_two_steps_on_the_same_tiles(bits: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {"W": (1, 3 * SIZE, INPUTS), "R": (1, 3 * SIZE, SIZE), "B": (1, 6 * SIZE)}
    weights = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    gru = Zoo.node("GRU", ["x", *weights], "whole", hidden_size=SIZE)
    gru.output.append("last")
    nodes = [gru, Zoo.node("ThresholdedRelu", ["last"], "y", alpha=0.05)]
    path = Zoo.save(Zoo.model(nodes, weights, (STEPS, 1, INPUTS), rank=3), tmp_path)
    x = rng.normal(size=(8, STEPS, 1, INPUTS)).astype(np.float32)
    compiled = compile_model(path, load("ideal:16"), x, GEOMETRY, Options(act_bits=bits))
    assert {"matrix", "sum", "function", "product", "threshold"} <= {
        layer.kind for layer in compiled.layers
    }
    job = Job(
        image=compiled.image,
        device=compiled.device,
        levels=compiled.levels,
        samples=quantise_input(compiled, x[:2]),
        converters=compiled.converters,
        seed=compiled.options.seed,
        clk_hz=compiled.options.clk_hz,
    )
    report = run_cosim(job, simulator=Simulator.CXXRTL).report
    assert report.mismatches == 0
    assert report.values_compared > 2 * SIZE
    assert report.cycles_per_inference == report.predicted_cycles
