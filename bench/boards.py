"""The digits on the virtual board of each board: deployed over its pseudo-terminal, and run.

Compiles the network for each board, writes every cell by the RTL, reads it back, and runs the
held-out digits. Every output has to be that of the numpy engine, bit for bit.

    python bench/boards.py [--board NAME ...] [--samples N]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from time import perf_counter

import numpy as np

from ohmloom.boards.catalogue import board as find_board
from ohmloom.boards.deploy.deploy import deploy
from ohmloom.boards.engine import BoardEngine
from ohmloom.cli import main as cli
from ohmloom.cli.output import Reporter
from ohmloom.cli.steps.boarding import bundle_hash, virtual_link
from ohmloom.compiler.bundle import load_bundle
from ohmloom.compiler.runner import build_engine, quantise_input
from ohmloom.hw.isa import CellStatus

DIGITS = Path(__file__).parents[1] / "examples" / "digits"
DEVICE = "cspbbr3_ogb"
BOARDS = ("ulx3s-85f", "icebreaker", "orangecrab-25f", "tang-nano-9k")


def compile_for(name: str, bundle: Path) -> None:
    """The digits network for a board, by the command that a user has."""
    arguments = [
        *("compile", DIGITS / "digits.onnx", "--device", DEVICE, "--target", name),
        *("--calib", DIGITS / "calib_x.npy", "-o", bundle, "--json"),
    ]
    with redirect_stdout(sys.stderr):
        if code := cli([str(argument) for argument in arguments]):
            sys.exit(code)


def measure(name: str, samples: int | None, reporter: Reporter) -> dict[str, object]:
    """One board's figures."""
    x = np.load(DIGITS / "test_x.npy")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "digits.ohm"
        compile_for(name, bundle)
        compiled = load_bundle(bundle)
        drives = quantise_input(compiled, x)[:samples]
        board = find_board(name)
        with virtual_link(compiled, board, reporter) as client:
            begun = perf_counter()
            done = deploy(
                compiled, bundle_hash(bundle), name, client, Path(folder) / "journal",
                reporter.update,
            )  # fmt: skip
            deployed = perf_counter()
            reporter.update("running on the board", 0, len(drives))
            trace = BoardEngine(client, compiled.image).infer(drives)
            ended = perf_counter()
    wanted = build_engine(compiled).infer(drives).output
    return {
        "board": name,
        "tiles": compiled.image.tiles,
        "cells": done.cells,
        "on_level": done.count(CellStatus.DONE),
        "golden_exact": done.golden.exact,
        "samples": len(drives),
        "values": int(wanted.size),
        "different": int(np.count_nonzero(trace.output != wanted)),
        "deploy_s": round(deployed - begun, 1),
        "run_s": round(ended - deployed, 1),
    }


def main() -> int:
    """Print a JSON line a board; 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", action="append", choices=BOARDS)
    parser.add_argument("--samples", type=int)
    asked = parser.parse_args()
    wrong = False
    for name in asked.board or BOARDS:
        with Reporter() as reporter:
            found = measure(name, asked.samples, reporter)
        print(json.dumps(found), flush=True)
        wrong |= bool(found["different"]) or not found["golden_exact"]
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
