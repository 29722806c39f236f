"""A small bundle and what runs it: two layers on five tiles of 8 x 8 cells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ohmloom.boards.board import Board
from ohmloom.boards.catalogue import board as find_board
from ohmloom.boards.virtual.assemble import virtual_controller
from ohmloom.boards.virtual.controller import VirtualController
from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Channels
from ohmloom.sim.cosim.resistors import Resistors
from ohmloom.sim.devices import load
from ohmloom.sim.engine import NumpyEngine

BOARD = "ulx3s-85f"
GEOMETRY = Geometry(
    rows=8, columns=8, tiles=16, act_width=12, acc_width=32, program_depth=256, param_depth=128,
    act_depth=128,
)  # fmt: skip
SIZES = (14, 6, 3)


def network(folder: Path) -> Path:
    """The network as an ONNX file: matrix, ReLU, matrix."""
    rng = np.random.default_rng(0)
    weights = {
        f"w{n}": rng.normal(0, size**-0.5, (size, following)).astype(np.float32)
        for n, (size, following) in enumerate(zip(SIZES, SIZES[1:], strict=False))
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["m"], name="hidden"),
        helper.make_node("Relu", ["m"], ["r"], name="relu"),
        helper.make_node("MatMul", ["r", "w1"], ["y"], name="readout"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", SIZES[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", SIZES[-1]])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    path = folder / "small.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def samples(count: int) -> np.ndarray:
    """Inputs of the network."""
    drawn = np.random.default_rng(1).random((count, SIZES[0]))
    return drawn.astype(np.float32)


def compile_small(folder: Path, geometry: Geometry = GEOMETRY) -> Compiled:
    """The network for a noisy device."""
    device, options = load("cspbbr3_ogb"), Options(golden_samples=4)
    return compile_model(network(folder), device, samples(16), geometry, options)


def board() -> Board:
    """The board that it is for."""
    return find_board(BOARD)


def array_of(compiled: Compiled) -> SimulatedArray:
    """Cells as made."""
    image, geometry = compiled.image, compiled.image.geometry
    return SimulatedArray(
        compiled.device, image.tiles, geometry.rows, geometry.columns, compiled.options.seed
    )


def controller_of(
    compiled: Compiled, array: SimulatedArray | Resistors, channels: Channels | None = None
) -> VirtualController:
    """A controller without supply, with those cells behind channels with errors."""
    return virtual_controller(compiled, board(), array, channels=channels)


def written(compiled: Compiled) -> NumpyEngine:
    """The numpy engine after it has written the same cells."""
    return build_engine(compiled)


class Direct:
    """A controller as a transport without a terminal: time passes while a host waits."""

    def __init__(self, controller: VirtualController) -> None:
        self.controller = controller
        self.calls = 0

    def write(self, data: bytes) -> None:
        self.calls += 1
        self.controller.send(data)

    def read(self, timeout: float) -> bytes:
        self.calls += 1
        until = self.controller.seconds + timeout
        while self.controller.busy:
            found = self.controller.run(20_000)
            if found:
                return found
            if self.controller.seconds > until:
                break
        return b""


class Killed(BaseException):
    """The host is no more."""


class Mortal(Direct):
    """A transport whose host dies at a call."""

    def __init__(self, controller: VirtualController, lives: int) -> None:
        super().__init__(controller)
        self.lives = lives

    def write(self, data: bytes) -> None:
        if self.calls >= self.lives:
            # Half of it is on the line already.
            super().write(data[: len(data) // 2])
            raise Killed
        super().write(data)

    def read(self, timeout: float) -> bytes:
        if self.calls >= self.lives:
            raise Killed
        return super().read(timeout)


@contextmanager
def powered(
    compiled: Compiled, array: SimulatedArray | Resistors, channels: Channels | None = None
) -> Iterator[VirtualController]:
    controller = controller_of(compiled, array, channels)
    controller.power_up()
    try:
        yield controller
    finally:
        controller.power_down()
