"""Time and memory of compiling networks of full size: the light models of the `onnx` package.

Their every weight is the constant 0.02: here each is drawn anew, He-normal, and the statistics
of their BatchNormalization are made non-trivial, from a seed. Softmax at the end runs on the
host. Each model is compiled in a process of its own for the simulated target with tiles of
248 x 248 cells, calibrated on a few random images; memory is what that process peaks at
beyond what it has after its imports.

    python bench/light_models.py
    python bench/light_models.py --only resnet50 --json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "light_models"
RESULT = ROOT / "build" / "bench" / "light_models.json"
LIGHT = Path(str(onnx.__file__)).parent / "backend" / "test" / "data" / "light"
MODELS = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)
BOUNDS = {"resnet50": (20.0, 3.0)}
"""Seconds, and bytes of memory over those of the float weights, that are not exceeded."""
IMAGE = (3, 224, 224)
LINES = 248
DEVICE = "cspbbr3_ogb"
IR_VERSION = 8
"""The first ones ask for weights among the inputs."""


def made(name: str, seed: int) -> ModelProto:
    """A light model with weights of its own."""
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    graph, rng = model.graph, np.random.default_rng(seed)
    shapes = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    readers: dict[str, list[tuple[NodeProto, int]]] = {}
    for node in graph.node:
        for place, value in enumerate(node.input):
            readers.setdefault(value, []).append((node, place))
    kept = []
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shape = tuple(int(n) for n in shapes.pop(node.input[0]))
            weight = drawn(shape, node.output[0], readers, rng)
            graph.initializer.append(numpy_helper.from_array(weight, node.output[0]))
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    used = {value for node in kept for value in node.input}
    weights = [each for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    named = {each.name for each in weights}
    inputs = [each for each in graph.input if each.name in used - named]
    del graph.input[:]
    graph.input.extend(inputs)
    model.ir_version = IR_VERSION
    return model


def drawn(
    shape: tuple[int, ...],
    name: str,
    readers: dict[str, list[tuple[NodeProto, int]]],
    rng: np.random.Generator,
) -> np.ndarray:
    """Values for a weight, by what it is for."""
    node, place = readers[name][0]
    while node.op_type == "Unsqueeze":
        node, place = readers[node.output[0]][0]
    if node.op_type in ("Conv", "Gemm") and place == 1:
        inputs = int(np.prod(shape[1:]))
        if node.op_type == "Gemm" and not helper.get_node_attr_value(node, "transB"):
            inputs = shape[0]
        values = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / inputs))
    elif (node.op_type, place) in (
        ("BatchNormalization", 1), ("BatchNormalization", 4), ("Mul", 0), ("Mul", 1),
    ):  # fmt: skip
        values = rng.uniform(0.5, 1.5, shape)
    else:  # biases, offsets and means
        values = 0.1 * rng.standard_normal(shape)
    return np.asarray(values, np.float32)


def peak_bytes() -> int:
    """The most memory that this process has had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise SystemExit("peak memory is read from /proc/self/status, which is not there")


def compile_one(name: str, seed: int, samples: int, pack: int | None) -> dict[str, object]:
    """Compile a model in this process; its figures."""
    # Imported here: making the models needs none of it. The last one is what runs on the host.
    import onnxruntime  # noqa: F401

    from ohmloom import compile_model, load_device
    from ohmloom.cli.steps.targets import SIMULATED, target
    from ohmloom.compiler.errors import CompileError
    from ohmloom.compiler.options import Options
    from ohmloom.compiler.report import summarise

    geometry, clk_hz = target(SIMULATED, LINES, LINES)
    device = load_device(DEVICE)
    images = np.random.default_rng(seed).standard_normal((samples, *IMAGE), np.float32)
    options = Options(golden_samples=0, clk_hz=clk_hz)
    if pack is not None:
        options = options.model_copy(update={"pack": pack})
    weights = json.loads((FOLDER / f"{name}.json").read_text())["bytes"]
    before, start = peak_bytes(), time.perf_counter()
    try:
        compiled = compile_model(FOLDER / f"{name}.onnx", device, images, geometry, options)
    except CompileError as error:
        return {"model": name, "error": str(error), "seconds": time.perf_counter() - start}
    seconds, peak = time.perf_counter() - start, peak_bytes() - before
    image = compiled.image
    return {
        "model": name,
        "seconds": seconds,
        "peak_mb": peak / 1e6,
        "weights_mb": weights / 1e6,
        "ratio": peak / weights,
        "tiles": image.tiles,
        "instructions": len(image.code),
        "mvms": sum(layer["mvms"] for layer in summarise(compiled)["layers"]),
        "parameter_words": len(image.params),
        "activation_words": image.geometry.act_depth,
        "layers": len(compiled.layers),
        "on_host": [node.operator for step in compiled.host for node in step.segment.nodes],
    }


def make_one(name: str, seed: int) -> None:
    """Write a model, and what its float weights take."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    model = made(name, seed)
    floats = [each for each in model.graph.initializer if each.data_type == onnx.TensorProto.FLOAT]
    size = sum(4 * int(np.prod(each.dims)) for each in floats)
    (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString())
    (FOLDER / f"{name}.json").write_text(json.dumps({"bytes": size, "seed": seed}) + "\n")


def own_process(step: str, name: str, options: argparse.Namespace) -> dict[str, object]:
    """What a step of this program prints, in a process of its own."""
    command = [sys.executable, __file__, "--step", step, "--only", name]
    command += ["--seed", str(options.seed), "--samples", str(options.samples)]
    command += [] if options.pack is None else ["--pack", str(options.pack)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"model": name, "error": f"ended with {done.returncode}"}
    return json.loads(done.stdout or "{}")


def complaints(figures: dict[str, object]) -> list[str]:
    """What is wrong with a model's figures."""
    name = str(figures["model"])
    if "error" in figures:
        return [f"{name}: {figures['error']}"]
    seconds, ratio = BOUNDS.get(name, (np.inf, np.inf))
    found = []
    if float(str(figures["seconds"])) > seconds:
        found.append(f"{name} takes {figures['seconds']:.1f} s, {seconds:.0f} s are the bound")
    if float(str(figures["ratio"])) > ratio:
        found.append(f"{name} takes {figures['ratio']:.2f} x its weights, {ratio} is the bound")
    return found


def told(figures: dict[str, object]) -> str:
    """A line of the table."""
    if "error" in figures:
        return f"{figures['model']:14} {figures['error']}"
    return (
        f"{figures['model']:14} {figures['seconds']:7.1f} s {figures['peak_mb']:7.0f} MB "
        f"{figures['weights_mb']:6.0f} MB of weights {figures['ratio']:6.2f} x "
        f"{figures['tiles']:6} tiles {figures['instructions']:7} instructions "
        f"{figures['mvms']:8} MVMs"
    )


def line_through(every: list[dict[str, object]]) -> tuple[float, float, float]:
    """Peak memory over the set as a line: MB at no weights, bytes a byte of them, and R^2."""
    weights, peaks = (
        np.array([float(str(each[key])) for each in every]) for key in ("weights_mb", "peak_mb")
    )
    slope, begin = np.polyfit(weights, peaks, 1)
    left = np.square(peaks - begin - slope * weights).sum()
    return float(begin), float(slope), 1 - float(left / np.square(peaks - peaks.mean()).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=MODELS, help="these models alone")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=4, help="images for calibration")
    parser.add_argument("--pack", type=int, help="small matrices that are joined to one, at most")
    parser.add_argument("--step", choices=("make", "compile"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        (name,) = options.only
        if options.step == "make":
            make_one(name, options.seed)
        else:
            print(json.dumps(compile_one(name, options.seed, options.samples, options.pack)))
        return 0
    every = []
    for name in options.only or MODELS:
        failed = own_process("make", name, options)
        every.append(failed or own_process("compile", name, options))
        if not options.json:
            print(told(every[-1]), flush=True)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(every, indent=2) + "\n")
    if options.json:
        print(json.dumps(every, indent=2))
    elif len(every) > 2 and all("error" not in each for each in every):
        begin, slope, explained = line_through(every)
        print(f"peak memory: {begin:.0f} MB and {slope:.2f} x the weights, R^2 {explained:.3f}")
    wrong = [line for figures in every for line in complaints(figures)]
    for line in wrong:
        print(line, file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
