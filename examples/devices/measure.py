"""Measurements of a cell that is not in the catalogue, as a lab would write them down.

The cells are simulated: those of ``cspbbr3_ogb`` with other numbers, listed in ``TRUTH``.
What the fit finds can so be held against what is true.

    python examples/devices/measure.py          # writes measured.csv beside this file
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.devices import changed, load

TRUTH = {
    "modes.nonvolatile.line.slope": 2.6,
    "modes.nonvolatile.line.offset": 8e-6,
    "modes.nonvolatile.line.sigma_offset": 2.5e-6,
    "modes.nonvolatile.hrs.conductance": 2e-6,
    "modes.nonvolatile.hrs.spread": 0.25,
    "modes.nonvolatile.pulses.v_set_threshold": 0.72,
    "modes.nonvolatile.pulses.v_reset_threshold": -1.08,
    "modes.nonvolatile.levels.g_max": 0.3e-3,
}
CELLS = np.arange(8)
CURRENTS = (40e-6, 70e-6, 100e-6, 130e-6)  # compliance currents of the SETs [A]
V_READ, WIDTH = 0.1, 1e-3
METER = 0.01  # relative error of a current in a sweep


def main() -> None:
    array = SimulatedArray(changed(load("cspbbr3_ogb"), **TRUTH), 1, 1, CELLS.size, seed=7)
    meter = np.random.default_rng(7)
    with Path(__file__).with_name("measured.csv").open("w", newline="", encoding="utf-8") as file:
        file.write("# SI units; a row is what was done to one cell. See docs/fit.md\n")
        write = csv.writer(file, lineterminator="\n").writerow
        write(("cell", "kind", "volts", "seconds", "i_cc", "amps"))

        def pulse(volts: float, i_cc: float | None = None) -> None:
            array.pulse(CELLS, volts, WIDTH, i_cc)
            for cell in CELLS:
                write((f"c{cell}", "pulse", volts, WIDTH, i_cc, None))

        def read() -> None:
            for cell, g in zip(CELLS, array.read(CELLS), strict=True):
                write((f"c{cell}", "read", V_READ, None, None, f"{g * V_READ:.6g}"))

        def sweep(stop: float, i_cc: float | None = None) -> None:
            steps = np.linspace(0.0, stop, 31)[1:]
            amps = array.sweep(CELLS, steps, 0.05, i_cc)
            amps *= 1.0 + METER * meter.standard_normal(amps.shape)
            for cell, currents in zip(CELLS, amps, strict=True):
                for volts, current in zip(steps, currents, strict=True):
                    row = (f"c{cell}", "sweep", f"{volts:.4g}", 0.05, i_cc, f"{current:.6g}")
                    write(row)

        read()
        sweep(1.0, CURRENTS[1])
        read()
        sweep(-1.5)
        read()
        for i_cc in CURRENTS * 3:
            pulse(1.0, i_cc)
            read()
            read()
            pulse(-1.5)
            read()


if __name__ == "__main__":
    main()
