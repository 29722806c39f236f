"""The iCEBreaker's controller, as RTL behind its chain of registers and as gates."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ohmloom.boards.catalogue import board
from ohmloom.boards.netlist import modelled, netlist
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.hw.afe.kinds import FrontEndKind
from ohmloom.sim.cosim.gates import Netlist
from ohmloom.sim.cosim.job import Cosimulation, Job
from ohmloom.sim.cosim.runner import CosimError, run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.devices import load

BOARD = board("icebreaker")
GEOMETRY = replace(BOARD.standard, rows=8, columns=8, tiles=4)


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[[bool], Job]:
    """Two layers on four tiles, in two TIA ranges; whether cells are verified."""
    return lambda verify: small(tmp_path / "small.onnx", verify)


@pytest.fixture
def job(make_job: Callable[[bool], Job]) -> Job:
    """With cells that are verified."""
    return make_job(True)


def small(path: Path, verify: bool) -> Job:
    rng = np.random.default_rng(3)
    weights = [
        numpy_helper.from_array(rng.normal(size=size).astype(np.float32), name)
        for name, size in (("w1", (10, 6)), ("w2", (6, 4)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"], "hidden"),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("MatMul", ["r", "w2"], ["y"], "readout"),
    ]
    x = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 10])]
    y = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])]
    graph = helper.make_graph(nodes, "small", x, y, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    made = compile_model(
        path,
        load("cspbbr3_ogb"),
        rng.uniform(0, 1, (16, 10)).astype(np.float32),
        GEOMETRY,
        Options(verify=verify, clk_hz=BOARD.clk_hz, afe=FrontEndKind.CHAINED_CARD),
    )
    return Job(
        image=made.image,
        device=made.device,
        levels=made.levels,
        samples=made.golden.inputs[:2],
        converters=made.converters,
        seed=made.options.seed,
        clk_hz=BOARD.clk_hz,
        afe=FrontEndKind.CHAINED_CARD,
    )


@pytest.fixture(scope="module")
def gates() -> Netlist:
    """What the board's synthesis makes."""
    return netlist(BOARD, GEOMETRY)


def run(job: Job, gates: Netlist | None = None) -> Cosimulation:
    bit_cycles = BOARD.clk_hz // BOARD.baud if gates else job.bit_cycles
    job = replace(job, bit_cycles=bit_cycles)
    return run_cosim(job, simulator=Simulator.CXXRTL, netlist=gates)


def with_table(verilog: str, change: Callable[[int], int]) -> str:
    """The netlist with other contents in the table that first sees the converters' data."""
    table = re.compile(r"SB_LUT4 #\(\s*\.LUT_INIT\(16'h(\w{4})\)\s*\)[^;]*?\(pins__adc_dout\[")
    found = next(match for match in table.finditer(verilog) if match[0].count("LUT_INIT") == 1)
    begin, end = found.span(1)
    return f"{verilog[:begin]}{change(int(found[1], 16)):04x}{verilog[end:]}"


def agrees(outcome: Cosimulation) -> bool:
    report = outcome.report
    return (report.first_mismatch, report.samples) == (None, 2) and (
        report.cycles_per_inference == report.predicted_cycles
    )


def test_the_rtl_behind_its_chain_has_all_its_tiles_written_by_a_host(job):
    found = run(replace(job, every_tile=True))
    assert agrees(found) and found.report.cells_programmed == 4 * 64


@pytest.mark.slow
def test_gates_do_what_the_rtl_does(job, gates):
    """Set-up, the writing of a tile by a host, and inferences, at the same cycles."""
    rtl, found = run(job), run(job, gates)
    assert agrees(rtl) and agrees(found) and np.array_equal(rtl.output, found.output)
    assert found.report.cells_programmed == 64 and found.report.skipped_cycles == 0


@pytest.mark.slow
def test_one_wrong_bit_of_a_table_is_found(make_job, gates):
    """With one attempt a cell: otherwise each of them would have all its tries."""
    job = make_job(False)
    assert with_table(gates.verilog, lambda init: init) == gates.verilog
    broken = modelled(with_table(gates.verilog, lambda init: init ^ 1))
    found = run(job, broken).report.first_mismatch
    assert found is not None and found.startswith("programming tile 0")


def test_gates_are_for_the_compiled_engine(job):
    with pytest.raises(CosimError, match="icarus is too slow for gates: cxxrtl runs them"):
        run_cosim(job, netlist=Netlist("", ""))
