"""A small CNN in co-simulation, from its input to its scores without a host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.report import predict
from ohmloom.compiler.runner import quantise_input
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Op
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.job import CosimReport, Job
from ohmloom.sim.cosim.locate import origin
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.devices import load

from ...compiler.conftest import Zoo

GEOMETRY = Geometry(rows=16, columns=16)
X = np.random.default_rng(1).normal(size=(20, 1, 6, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """Convolution, residual, function from a table, both pools and a matrix, in two slices."""
    path = Zoo.save(Zoo.cnn(), tmp_path_factory.mktemp("cnn"))
    return compile_model(path, load("cspbbr3_ogb"), X, GEOMETRY, Options(slices=2))


def job(compiled: Compiled, samples: int) -> Job:
    return Job(
        image=compiled.image,
        device=compiled.device,
        levels=compiled.levels,
        samples=quantise_input(compiled, X[:samples]),
        converters=compiled.converters,
        seed=compiled.options.seed,
        clk_hz=compiled.options.clk_hz,
    )


def run(job: Job, simulator: Simulator = Simulator.CXXRTL) -> CosimReport:
    return run_cosim(job, simulator=simulator).report


def test_every_kind_of_layer_is_in_it(compiled: Compiled) -> None:
    kinds = {layer.kind for layer in compiled.layers}
    assert kinds == {"copy", "matrix", "sum", "function", "max pool", "mean pool"}
    code = compiled.image.code[compiled.image.entries["infer"] :]
    assert {Op.LOOP, Op.POOL, Op.ADD, Op.LUT, Op.MVM, Op.REQUANT} <= {i.op for i in code}


@pytest.mark.parametrize(
    "simulator", [Simulator.CXXRTL, pytest.param(Simulator.ICARUS, marks=pytest.mark.slow)]
)
def test_bit_for_bit_and_in_the_cycles_that_were_predicted(
    compiled: Compiled, simulator: Simulator
) -> None:
    report = run(job(compiled, 1), simulator)
    assert report.mismatches == 0
    values = sum(layer.outputs for layer in compiled.layers)
    assert report.values_compared >= values
    assert report.predicted_cycles == report.cycles_per_inference


def test_one_wrong_conversion_is_found(compiled: Compiled) -> None:
    report = run(replace(job(compiled, 1), fault=Fault.ADC))
    assert report.mismatches == 1 and report.first_mismatch is not None


def test_every_word_of_every_layer_comes_from_tiles_of_a_matrix_before_it(
    compiled: Compiled,
) -> None:
    image = compiled.image
    for number, (layer, span) in enumerate(zip(compiled.layers, image.layers, strict=True)):
        found = 0
        for address in range(span.span.address, span.span.address + span.span.count):
            try:
                tiles, columns = origin(image, address)
            except LookupError:
                assert layer.kind == "copy"  # of the input, or of a zero
                continue
            behind = {p.layer for p in compiled.placements if p.tile in tiles}
            assert min(behind) <= number and (layer.kind != "matrix" or number in behind)
            assert 0 <= columns[0] < image.geometry.columns and columns[1] == columns[0] + 1
            found += 1
        assert bool(found) == (number > 0)  # the first one is the input with zeros around it


def test_channels_in_another_order_around_stuck_cells(tmp_path_factory) -> None:
    device, rng = load("cspbbr3_ogb"), np.random.default_rng(6)
    path = Zoo.save(Zoo.cnn(), tmp_path_factory.mktemp("cnn"))
    shape = 64, GEOMETRY.rows, GEOMETRY.columns
    at = rng.choice([device.levels[0], device.levels[-1]], shape)
    faults = np.where(rng.random(shape) < 0.1, at, np.nan)
    plain, moved = (
        compile_model(path, device, X, GEOMETRY, Options(slices=2, permute=permute), None, faults)
        for permute in (False, True)
    )
    assert sum(bool(layer.moved) for layer in moved.layers) > 5
    known = faults[: moved.image.tiles].reshape(-1)
    stuck = tuple((int(n), float(known[n])) for n in np.flatnonzero(~np.isnan(known)))
    report = run(replace(job(moved, 1), stuck=stuck))
    assert report.mismatches == 0
    assert report.values_compared >= sum(layer.outputs for layer in moved.layers)
    assert report.predicted_cycles == report.cycles_per_inference
    assert predict(moved) == predict(plain)
