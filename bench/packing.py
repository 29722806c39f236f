"""What joining small matrices is worth, and what it costs: a depthwise 3x3 convolution.

54 channels of 8 x 8 values, He-normal weights from a seed, on tiles of two sizes. For each
limit on how many channels are joined (``ohmloom compile --pack``): tiles, products of an
inference, clock cycles on the array card where there is one for such tiles, and the relative
error of the layer with its causes, as ``ohmloom compile --budget`` shows them. Cells beside
a channel's own are on the lowest level, whose errors count whatever the weight is.

    python bench/packing.py [--device cspbbr3_ogb]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ohmloom.compiler.budget import error_budget
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import Source, calibrated, compile_network
from ohmloom.compiler.report import summarise
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import Device, load

CHANNELS, SIZE, SAMPLES, SEED = 54, 8, 40, 1
LIMITS = {32: (1, 2, 3), 248: (1, 2, 4, 8, 27)}
"""Lines of a tile, and how many channels are joined at most; the last is all that fit."""
NODE = "depthwise"


def source() -> Source:
    """The network, calibrated on rectified normal values."""
    rng = np.random.default_rng(SEED)
    weight = rng.standard_normal((CHANNELS, 1, 3, 3)) * np.sqrt(2 / 9)
    shape = [1, CHANNELS, SIZE, SIZE]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], NODE, group=CHANNELS, pads=[1] * 4)],
        NODE,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weight.astype(np.float32), "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    x = np.maximum(rng.standard_normal((SAMPLES, *shape[1:])), 0).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{NODE}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return calibrated(load_model(path), x)


def told(network: Source, device: Device, lines: int) -> Iterator[str]:
    """A line for each limit."""
    geometry = Geometry(
        rows=lines, columns=lines, tiles=256, param_depth=1 << 12, act_depth=1 << 14
    )
    for most in LIMITS[lines]:
        options = Options(pack=most, golden_samples=0)
        compiled = compile_network(NODE, network, device, geometry, options, Converters())
        report = summarise(compiled)
        (layer,) = (each for each in report["layers"] if each["name"] == NODE)
        (found,) = (each for each in error_budget(network, compiled) if each.name == NODE)
        cycles = report["cycles"]["later"] if report["cycles"] else "no card's"
        causes = ", ".join(f"{cause} {cost:.1%}" for cause, cost in found.costs.items())
        yield (
            f"{lines:4} lines {most:3} joined {compiled.image.tiles:4} tiles "
            f"{layer['mvms']:6} MVMs {cycles:>10} cycles   error {found.error:.1%}: {causes}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cspbbr3_ogb")
    device, network = load(parser.parse_args().device), source()
    for lines in LIMITS:
        for line in told(network, device, lines):
            print(line, flush=True)


if __name__ == "__main__":
    main()
