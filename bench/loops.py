"""What independent rounds are worth: a convolution as loops, together and round by round.

A picture of 28 x 28, a kernel of 5 x 5, one map in and six out: 576 rounds, each for a batch
of 64, on a device with read noise. Both ways run in the same process, in turns, so that the
ratio of their times says something while the times themselves depend on the machine. They
have to give the same integers.

    python bench/loops.py [REPEATS]
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from ohmloom import load_device
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import (
    ONCE,
    Dac,
    Grid,
    Loop,
    Op,
    Reg,
    instruction,
    pack_pool,
    pack_requant,
)
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import Device
from ohmloom.sim.engine import NumpyEngine

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "build" / "bench" / "loops.json"
DEVICE = "cspbbr3_ogb"
BATCH, CLK_HZ, SEED = 64, 48_000_000, 7
SIZE, KERNEL, MAPS = 28, 5, 6
OUT = SIZE - KERNEL + 1
PATCH, CONV = SIZE * SIZE, 1024

log = logging.getLogger("bench")


def convolution(device: Device, card: Converters) -> Image:
    """The program: one patch after the other is copied, multiplied and requantised."""
    patch = Grid(1, 1, 1, 1, (Loop(KERNEL, 1, 1), Loop(KERNEL, SIZE, KERNEL), ONCE))
    params = [*(pack_requant(100 * k, 0xC00000, 33) for k in range(MAPS)), *pack_pool(patch)]
    mvm = {"tile": 0, "first": 0, "rows": KERNEL**2, "planes": 8, "signed": 0, "clear": 1}
    setup = [
        instruction(Op.DAC, channel=Dac.RAIL_A, code=card.read_code(device.v_read)),
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=0),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=255),
        instruction(Op.HALT),
    ]
    infer = [
        instruction(Op.LOOP, count=OUT, act_step=SIZE, out_step=OUT * MAPS),
        instruction(Op.LOOP, count=OUT, act_step=1, out_step=MAPS),
        instruction(Op.POOL, act=0, out=PATCH, param=MAPS, average=0, move_act=1),
        instruction(Op.MVM, act=PATCH, **mvm),
        instruction(Op.REQUANT, out=CONV, param=0, count=MAPS, move_out=1),
        instruction(Op.END),
        instruction(Op.END),
        instruction(Op.HALT),
    ]
    return Image(
        geometry=Geometry(act_depth=8192),
        code=(*setup, *infer),
        entries={"setup": 0, "infer": len(setup)},
        params=np.array(params, np.uint64),
        tiles=1,
        input=Span(0, SIZE * SIZE),
        layers=(LayerSpan("conv", Span(CONV, OUT * OUT * MAPS)),),
    )


def seconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    begin = perf_counter()
    work()
    return perf_counter() - begin


def main(repeats: int) -> None:
    """Measure, log the figures and write them to ``build/bench/loops.json``."""
    device, card, rng = load_device(DEVICE), Converters(), np.random.default_rng(SEED)
    image = convolution(device, card)
    array = SimulatedArray(device, 1, image.geometry.rows, image.geometry.columns, SEED)
    # What cells were written with does not matter here: each is at one of the levels.
    cells = array.tile_cells(0).reshape(-1)
    array.stick(cells, rng.choice(device.levels, cells.size))
    engines = {
        name: NumpyEngine(image, array, card, CLK_HZ, SEED, by_round=by_round)
        for name, by_round in (("together", False), ("by_round", True))
    }
    x = rng.integers(0, 256, (BATCH, SIZE * SIZE))

    traces = []
    for engine in engines.values():
        engine.setup()
        traces.append(engine.infer(x))
    one, other = traces
    counts = [(trace.saturations, trace.conversions) for trace in traces]
    if not np.array_equal(one.output, other.output) or counts[0] != counts[1]:
        raise SystemExit("together and round by round give different integers")

    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(repeats):
        for name, engine in engines.items():
            times[name].append(seconds(lambda engine=engine: engine.infer(x)))
    best = {name: min(measured) for name, measured in times.items()}
    result = {
        "samples": BATCH,
        "rounds": OUT * OUT,
        "repeats": repeats,
        "cpus": os.cpu_count(),
        "numpy": np.__version__,
        "together_seconds": best["together"],
        "by_round_seconds": best["by_round"],
        "ratio": best["by_round"] / best["together"],
        "conversions_per_second": one.conversions / best["together"],
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result.items():
        log.info("%-24s %s", name, f"{value:.6g}" if isinstance(value, float) else value)
    log.info("%-24s %s", "written to", RESULT.relative_to(ROOT))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
