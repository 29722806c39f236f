"""``docs/performance.md`` from what the benchmarks have measured.

    python bench/engines.py; python bench/peers.py; python bench/cosim.py --whole
    python bench/performance.py

Reads ``engines.json``, ``peers.json`` and ``cosim.json`` of ``build/bench``, of one machine.
"""

from __future__ import annotations

import json
import logging
import platform
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"

log = logging.getLogger("bench")

HEAD = """# Performance

Written by `python bench/performance.py` from what `bench/engines.py`, `bench/peers.py` and
`bench/cosim.py` measured on {machine}. Times are ratios to the same work in floats, in the same
process, warm; the medians of {repeats} repeats on {threads} threads. On another machine they
are others: run them.

## The numpy engine beside floats
Cells of `cspbbr3_ogb` that were written once, with their spread; read noise in every conversion,
drawn for each column with the variance of all its cells; 12-bit conversions. A product of matrices
is beside numpy's in float32, a network beside ONNX Runtime. Memory is that of numpy's arrays at
most, beyond input and cells; the error is that of the outputs against floats, over their size.
Conversions are those that the array makes; columns of a tile that no output is made from are not
calculated where nothing of them can show.

| work | times the floats | ms | floats, ms | conversions/s | MB | error |
| --- | --- | --- | --- | --- | --- | --- |
"""
LINES = """
## Exact line resistance
Conductances between 1 uS and 100 uS, 1 ohm a segment, rows driven and columns sensed at one end;
the currents of all columns, from conductances to the last input. `again` are as many inputs more on
the same array, over a float64 product of that size.

| cells | inputs | s | MB | again | badcrossbar, s | its MB | time | memory | apart |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
COSIM = """
## Co-simulation
Clock cycles of the controller, its chips and the analog card that are simulated in a second of
processor time, and where that goes: what runs the RTL, the card with the device model, and the
rest of Python. The compiled engine and Icarus Verilog run the same samples and give the same
report; in a whole set every value of every layer is compared with the numpy engine.

| network | images | engine | cycles/s | times Icarus | RTL | card | rest | values equal |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


PRODUCTS = """
## Products beside other simulators
1024 x 1024 weights in pairs of cells, a DAC and an ADC of 8 bits, one conversion for each pair,
with errors of the size that those of `cspbbr3_ogb` have: times numpy's product in float32 on as
many threads, and the error of the outputs over their size.

| errors | batch | floats, ms |{names}
| --- | --- | --- |{dashes}
"""


def processor() -> str:
    """Of this machine, as Linux names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def engines(found: dict[str, Any]) -> list[str]:
    """A line of the table for each figure."""
    return [
        f"| {name} | {f['ratio']:.1f} | {1e3 * f['seconds']:.1f} | "
        f"{1e3 * f['float_seconds']:.1f} | {f['conversions_per_second'] / 1e6:.0f} M | "
        f"{f['peak'] / 1e6:.0f} | {f['error']:.3f} |"
        for name, f in found["figures"].items()
    ]


def peers(found: dict[str, Any]) -> list[str]:
    """The same of lines with resistance."""
    lines = []
    for row in found["rows"]:
        line = (
            f"| {row['size']} x {row['size']} | {row['inputs']} | {row['ohmloom_seconds']:.3f} | "
        )
        line += f"{row['ohmloom_bytes'] / 1e6:.0f} | {row['again']:.2f} | "
        if "time_ratio" in row:
            line += f"{row['badcrossbar_seconds']:.2f} | {row['badcrossbar_bytes'] / 1e6:.0f} | "
            line += f"1/{1 / row['time_ratio']:.1f} | 1/{1 / row['memory_ratio']:.1f} | "
            line += f"{row['difference']:.0e} |"
        else:
            line += " | | | | |"
        lines.append(line)
    return lines


def cosim(found: dict[str, Any]) -> list[str]:
    """Lines of both engines on each network, and of its whole set where that was run."""
    lines = []
    for name, each in found["networks"].items():
        runs = [(each["samples"], engine, each[engine], "") for engine in ("icarus", "cxxrtl")]
        if whole := each.get("whole"):
            runs.append((whole["images"], "cxxrtl", whole, f"all {whole['values']:,}"))
        for images, engine, run, equal in runs:
            # A whole set is beside nothing: Icarus Verilog does not run it.
            times = f"{each['ratio']:.0f}" if engine == "cxxrtl" and not equal else ""
            shares = " | ".join(f"{run[part]:.0%}" for part in ("simulator", "card", "rest"))
            lines.append(
                f"| {name} | {images} | {engine} | {run['cycles_per_second']:,.0f} | "
                f"{times} | {shares} | {equal} |"
            )
    return lines


def products(found: dict[str, Any]) -> list[str]:
    """The same of products beside those of other simulators."""
    rows = found["products"]
    names = [name for name in rows[0]["figures"] if name != "floats"] if rows else []
    head = PRODUCTS.format(
        names="".join(f" {name} | error |" for name in names), dashes=" --- |" * 2 * len(names)
    )
    lines = head.splitlines() if rows else []
    for row in rows:
        wrong = "programming, read noise" if row["read_noise"] else "programming"
        line = f"| {wrong} | {row['batch']} | {1e3 * row['figures']['floats']['seconds']:.1f} |"
        for figure in (row["figures"][name] for name in names):
            line += f" {figure['ratio']:.1f} | {figure['error']:.3f} |"
        lines.append(line)
    return lines


def main() -> int:
    read = {}
    for name in ("engines", "peers", "cosim"):
        path = ROOT / "build" / "bench" / f"{name}.json"
        if not path.exists():
            log.error("%s is missing: run bench/%s.py first", path.relative_to(ROOT), name)
            return 2
        read[name] = json.loads(path.read_text())
    shown = read["engines"]
    machine = f"{shown['cpus']} cores of {processor()}, numpy {shown['numpy']}"
    head = HEAD.format(machine=machine, repeats=shown["repeats"], threads=shown["threads"])
    lines = [*engines(shown), *products(read["peers"]), *LINES.splitlines(), *peers(read["peers"])]
    lines += [*COSIM.splitlines(), *cosim(read["cosim"])]
    PAGE.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    log.info("%s", PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sys.exit(main())
