"""The digits on the virtual board of each board: deployed over its pseudo-terminal, and run.

Compiles the network for each board, writes every cell by the RTL, reads it back, and runs the
held-out digits. Every output has to be that of the numpy engine, bit for bit. With MNIST's four
files it is the perceptron 784-100-10 on the emulated array of the ULX3S, and 100 test images.

    python bench/boards.py [--board NAME ...] [--samples N] [--mnist DATA] [--noise 0.01]

With ``--noise`` so many bytes of the line, in either direction, are lost, come twice or have a
wrong bit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter

import numpy as np

from ohmloom.boards.catalogue import board as find_board
from ohmloom.boards.deploy.deploy import deploy
from ohmloom.boards.engine import BoardEngine
from ohmloom.boards.link import LinkClient
from ohmloom.boards.virtual.board import Faults
from ohmloom.boards.virtual.faults import LineFaults
from ohmloom.cli import main as cli
from ohmloom.cli.output import Reporter
from ohmloom.cli.steps.boarding import bundle_hash, virtual_port
from ohmloom.compiler.bundle import load_bundle
from ohmloom.compiler.runner import build_engine, quantise_input
from ohmloom.hw.isa import CellStatus

EXAMPLES = Path(__file__).parents[1] / "examples"
DIGITS, MNIST = EXAMPLES / "digits", EXAMPLES / "mnist"
DEVICE = "cspbbr3_ogb"
TRIES = 20
"""Of a request, on a line with noise."""
BOARDS = ("ulx3s-85f", "icebreaker", "orangecrab-25f", "tang-nano-9k")


@dataclass(frozen=True)
class Network:
    """A model, its calibration samples, what is run, and what it is compiled with."""

    model: Path
    calib: Path
    x: np.ndarray
    options: tuple[str, ...] = ()


def digits() -> Network:
    """The handwritten digits, all that are held out."""
    return Network(DIGITS / "digits.onnx", DIGITS / "calib_x.npy", np.load(DIGITS / "test_x.npy"))


def mnist(data: Path) -> Network:
    """The perceptron, and the first 100 test images."""
    sys.path.insert(0, str(MNIST))
    load_split = import_module("common").load_split  # as the example's own scripts have it

    images, _ = load_split(data, "t10k")
    options = ("--afe", "emulated")
    return Network(MNIST / "perceptron.onnx", MNIST / "calib_x.npy", images[:100], options)


def compile_for(network: Network, name: str, bundle: Path) -> None:
    """A network for a board, by the command that a user has."""
    arguments = [
        *("compile", network.model, "--device", DEVICE, "--target", name, *network.options),
        *("--calib", network.calib, "-o", bundle, "--json"),
    ]
    with redirect_stdout(sys.stderr):
        if code := cli([str(argument) for argument in arguments]):
            sys.exit(code)


def measure(
    network: Network, name: str, samples: int | None, noise: float, reporter: Reporter
) -> dict[str, object]:
    """One board's figures."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "network.ohm"
        compile_for(network, name, bundle)
        compiled = load_bundle(bundle)
        drives = quantise_input(compiled, network.x)[:samples]
        board = find_board(name)
        line = LineFaults(dropped=0.3 * noise, doubled=0.3 * noise, flipped=0.4 * noise)
        with virtual_port(compiled, board, reporter, faults=Faults(line)) as transport:
            client = LinkClient(transport, tries=TRIES)
            begun = perf_counter()
            done = deploy(
                compiled, bundle_hash(bundle), name, client, Path(folder) / "journal",
                reporter.update,
            )  # fmt: skip
            deployed = perf_counter()
            trace = BoardEngine(client, compiled.image).infer(
                drives,
                told=lambda done, total: reporter.update("running on the board", done, total),
            )
            ended = perf_counter()
    wanted = build_engine(compiled).infer(drives).output
    return {
        "network": network.model.stem,
        "board": name,
        "afe": compiled.options.afe.value,
        "tiles": compiled.image.tiles,
        "cells": done.cells,
        "on_level": done.count(CellStatus.DONE),
        "golden_exact": done.golden.exact,
        "samples": len(drives),
        "values": int(wanted.size),
        "noise": noise,
        "interruptions": done.interruptions,
        "different": int(np.count_nonzero(trace.output != wanted)),
        "deploy_s": round(deployed - begun, 1),
        "run_s": round(ended - deployed, 1),
    }


def main() -> int:
    """Print a JSON line a board; 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", action="append", choices=BOARDS)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--mnist", type=Path, metavar="DATA")
    parser.add_argument("--noise", type=float, default=0.0, help="bytes of the line hit, of one")
    asked = parser.parse_args()
    wrong = False
    network = digits() if asked.mnist is None else mnist(asked.mnist)
    for name in asked.board or (BOARDS if asked.mnist is None else BOARDS[:1]):
        with Reporter() as reporter:
            found = measure(network, name, asked.samples, asked.noise, reporter)
        print(json.dumps(found), flush=True)
        wrong |= bool(found["different"]) or not found["golden_exact"]
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
