"""The same integers however they are computed.

Numba off, 1 thread, 2 threads, batch 1 or 1000, rows permuted, another OPENBLAS_CORETYPE: every
layer's integers, saturations and conversions are the same. Sums of floats are not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from ohmloom.cli.steps.targets import CLK_HZ, SIMULATED, target
from ohmloom.compiler.bundle import write_bundle
from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, quantise_input
from ohmloom.hw.isa import Op
from ohmloom.sim.array import Lines, Operands, SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load
from ohmloom.sim.engine import NumpyEngine, Trace

from ...compiler.conftest import Zoo
from .digest import digest, engine

SAMPLES, EPOCH = 1000, 70
X = np.random.default_rng(1).normal(size=(SAMPLES, 2, 6, 6)).astype(np.float32)
CONVERTERS = {
    "bit-serial": Converters(),
    "row DAC": Converters(input_bits=8, sensing="differential"),
}
ENDS = {"one by one, then the others": (*range(1, 101), SAMPLES), "thirds": (333, 666, SAMPLES)}
"""Where batches end."""


class Reordered(np.ndarray):
    """Floats that a product adds from another row on for each number of lanes."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **more: Any
    ) -> np.ndarray:
        plain = [np.asarray(each) for each in inputs]
        if ufunc is not np.matmul:
            return getattr(ufunc, method)(*plain, **more)
        x, codes = plain
        sums = np.zeros((len(x), codes.shape[1]), codes.dtype)
        for row in np.roll(np.arange(len(codes)), len(x)):
            sums += x[:, row, np.newaxis] * codes[row]
        return sums


class UnroundedOperands(Operands):
    @cached_property
    def total(self) -> np.ndarray:
        return (1.1 * self.g).astype(np.float32).view(Reordered)


class Unrounded(SimulatedArray):
    """A planted fault: conductances that are no whole numbers, in float32, in any order."""

    def operands(self, lines: Lines) -> Operands:
        sound = super().operands(lines)
        return UnroundedOperands(sound.g, sound.var, 1 << 60, sound.most_variance)


def network() -> ModelProto:
    """A convolution and a dense layer."""
    rng = np.random.default_rng(0)
    nodes = [
        Zoo.node("Conv", ["x", "k"], "c", pads=[1] * 4),
        Zoo.node("Relu", ["c"], "r"),
        Zoo.node("MaxPool", ["r"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        Zoo.node("Flatten", ["p"], "f"),
        Zoo.node("MatMul", ["f", "w"], "y"),
    ]
    weights = {"k": rng.normal(size=(4, 2, 3, 3)) / 4, "w": rng.normal(size=(36, 5)) / 6}
    floats = {name: each.astype(np.float32) for name, each in weights.items()}
    return Zoo.model(nodes, floats, ("N", 2, 6, 6))


def compiled_for(card: str, model: ModelProto, x: np.ndarray, folder: Path) -> Compiled:
    geometry, _ = target(SIMULATED, 64, 16)
    options = Options(clk_hz=CLK_HZ, golden_samples=1)
    path = Zoo.save(model, folder)
    return compile_model(path, load("cspbbr3_ogb"), x[:50], geometry, options, CONVERTERS[card])


@pytest.fixture(scope="module", params=CONVERTERS)
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled_for(request.param, network(), X, tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def drives(compiled: Compiled) -> np.ndarray:
    return quantise_input(compiled, X)


@pytest.fixture(scope="module")
def whole(compiled: Compiled, drives: np.ndarray) -> Trace:
    """All samples at once, on one thread."""
    return engine(compiled).infer(drives, EPOCH)


@pytest.fixture(scope="module")
def unrounded(compiled: Compiled, drives: np.ndarray) -> Trace:
    """The same of a planted fault."""
    return engine(compiled, Unrounded).infer(drives, EPOCH)


def in_parts(made: NumpyEngine, x: np.ndarray, ends: Sequence[int]) -> Trace:
    """What batches that end there give together, every sample under its own number."""
    parts = [made.infer(x[a:b], EPOCH + a) for a, b in pairwise([0, *ends])]
    return Trace(
        {name: np.concatenate([part.layers[name] for part in parts]) for name in parts[0].layers},
        sum(part.saturations for part in parts),
        sum(part.conversions for part in parts),
        np.concatenate([part.output for part in parts]),
    )


def test_there_is_something_to_compare(whole: Trace) -> None:
    assert 0 < whole.saturations < whole.conversions
    assert all(len(np.unique(values)) > 100 for values in whole.layers.values())


def test_every_integer_counts(whole: Trace) -> None:
    before = digest(whole)
    for values in (*whole.layers.values(), whole.output):
        values[-1, -1] ^= 1
        assert digest(whole) != before
        values[-1, -1] ^= 1
    assert digest(whole) == before


@pytest.mark.parametrize("threads", [2, 3])
def test_threads(
    compiled: Compiled, drives: np.ndarray, whole: Trace, unrounded: Trace, threads: int
) -> None:
    assert digest(engine(compiled, threads=threads).infer(drives, EPOCH)) == digest(whole)
    faulty = engine(compiled, Unrounded, threads)
    assert digest(faulty.infer(drives, EPOCH)) != digest(unrounded)


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
def test_batches(
    compiled: Compiled, drives: np.ndarray, whole: Trace, unrounded: Trace, ends: Sequence[int]
) -> None:
    assert digest(in_parts(engine(compiled), drives, ends)) == digest(whole)
    assert digest(in_parts(engine(compiled, Unrounded), drives, ends)) != digest(unrounded)


# -- processes of their own -------------------------------------------------------------

CORES = {"Prescott": "pni", "Haswell": "avx2", "SkylakeX": "avx512f"}
"""Processors that OpenBLAS has kernels for, and what theirs need, as Linux calls it."""


@pytest.fixture(scope="module")
def stored(
    compiled: Compiled, drives: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The network's bundle, and inputs."""
    folder = tmp_path_factory.mktemp("stored")
    np.save(folder / "x.npy", drives[:200])
    return write_bundle(compiled, folder / "network.ohm"), folder / "x.npy"


def elsewhere(stored: tuple[Path, Path], *missing: str, **environment: str) -> dict[str, Any]:
    """What ``digest.py`` prints."""
    script = Path(__file__).with_name("digest.py")
    done = subprocess.run(
        [sys.executable, script, *stored, *missing],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def usual(compiled: Compiled, stored: tuple[Path, Path]) -> dict[str, Any]:
    found = elsewhere(stored)
    assert found["integers"] == digest(engine(compiled).infer(np.load(stored[1])))
    return found


def test_without_numba(stored: tuple[Path, Path], usual: dict[str, Any]) -> None:
    found = elsewhere(stored, "numba")
    assert usual["compiled"] and not found["compiled"]
    assert found["integers"] == usual["integers"]


def test_kernels_of_other_processors(stored: tuple[Path, Path], usual: dict[str, Any]) -> None:
    processor = Path("/proc/cpuinfo")
    flags = processor.read_text().split() if processor.exists() else []
    runs = [
        elsewhere(stored, OPENBLAS_CORETYPE=core) for core, flag in CORES.items() if flag in flags
    ]
    others = [found for found in runs if found["cores"] != usual["cores"]]
    if not others:
        pytest.skip("BLAS has kernels for this processor alone")
    assert {found["integers"] for found in others} == {usual["integers"]}
    assert {found["floats"] for found in others} != {usual["floats"]}


# -- rows -------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=CONVERTERS)
def dense(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    x, folder = X.reshape(SAMPLES, -1), tmp_path_factory.mktemp("dense")
    return compiled_for(request.param, Zoo.mlp((72, 7)), x, folder)


def in_two_orders(made: NumpyEngine, x: np.ndarray) -> Iterator[Trace]:
    """With rows as they are, and with those of each product and their activations permuted."""
    yield made.infer(x, EPOCH)
    array, rng, x = made.array, np.random.default_rng(3), x.copy()
    for instr in made.image.code:
        if instr.op is Op.MVM:
            order = rng.permutation(instr["rows"])
            rows = np.s_[instr["tile"], instr["first"] : instr["first"] + instr["rows"]]
            word = instr["act"] + instr["first"] - made.image.input.address
            array.set_codes(rows, array.g_code[rows][order], array.var_code[rows][order])
            x[:, word : word + len(order)] = x[:, word + order]
    yield made.infer(x, EPOCH)


@pytest.mark.parametrize("read_noise", [True, False])
def test_rows_in_another_order(dense: Compiled, read_noise: bool) -> None:
    x = quantise_input(dense, X.reshape(SAMPLES, -1))
    before, after = in_two_orders(build_engine(dense, read_noise=read_noise), x)
    assert digest(before) == digest(after)
    faulty = build_engine(dense, read_noise=read_noise, array_type=Unrounded)
    before, after = in_two_orders(faulty, x)
    assert digest(before) != digest(after)
