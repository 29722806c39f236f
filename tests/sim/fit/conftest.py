"""A measurement on simulated cells, written as a lab would; and what coverage is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.devices import Device, build, load
from ohmloom.sim.fit import FITTERS, Estimate, History, read_csv

HEADER = "cell,kind,volts,seconds,i_cc,amps,temperature_k"


class Probe:
    """Cells on a probe station: the simulated array, each step written down.

    ``meter`` is the relative error of a current that is measured in a sweep or at the end
    of a pulse; a read has the device's own noise.
    """

    def __init__(self, device: Device, cells: int, seed: int, meter: float = 0.0) -> None:
        self.device = device
        self.array = SimulatedArray(device, 1, 1, cells, seed)
        self.cells = np.arange(cells)
        self.v_read = device.modes[0].p.read.v_read.value
        self.rng = np.random.default_rng(seed)
        self.meter = meter
        self.lines = [HEADER]

    def pulse(self, volts: ArrayLike, seconds: float, i_cc: ArrayLike | None = None) -> None:
        given = np.broadcast_to(np.asarray(volts, dtype=np.float64), self.cells.shape)
        limit = None if i_cc is None else np.broadcast_to(i_cc, self.cells.shape)
        self.array.pulse(self.cells, given, seconds, limit)
        self._write("pulse", given, seconds, limit, None)

    def read(self) -> None:
        amps = self.array.read(self.cells) * self.v_read
        self._write("read", np.full(amps.shape, self.v_read), 0.0, None, amps)

    def sweep(self, volts: ArrayLike, step_s: float, i_cc: float | None = None) -> None:
        steps = np.asarray(volts, dtype=np.float64)
        amps = self.array.sweep(self.cells, steps, step_s, i_cc)
        amps = amps * (1.0 + self.meter * self.rng.standard_normal(amps.shape))
        for n, step in enumerate(steps):
            limit = None if i_cc is None else np.full(self.cells.shape, i_cc)
            self._write("sweep", np.full(self.cells.shape, step), step_s, limit, amps[:, n])

    def wait(self, seconds: float) -> None:
        self.array.wait(seconds)
        self._write("wait", np.zeros(self.cells.shape), seconds, None, None)

    def _write(
        self,
        kind: str,
        volts: ArrayLike,
        seconds: float,
        i_cc: ArrayLike | None,
        amps: ArrayLike | None,
    ) -> None:
        kelvin = self.array.temperature_k
        nothing = [""] * self.cells.size
        columns = zip(
            np.asarray(volts).tolist(),
            nothing if i_cc is None else np.asarray(i_cc).tolist(),
            nothing if amps is None else np.asarray(amps).tolist(),
            strict=True,
        )
        for cell, (v, limit, a) in enumerate(columns):
            self.lines.append(f"c{cell},{kind},{v!r},{seconds!r},{limit},{a},{kelvin!r}")

    def save(self, path: Path) -> Path:
        path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")
        return path


def covered(
    sets: Iterable[Iterable[Estimate]], truth: Callable[[str], float], narrow: float = 1.0
) -> Mapping[str, tuple[int, int]]:
    """How many intervals of each parameter hold the truth, and how many there are.

    ``narrow`` shrinks the intervals around their value: a planted fault.
    """
    counts: dict[str, tuple[int, int]] = {}
    for estimates in sets:
        for e in estimates:
            low, high = (e.value + narrow * (end - e.value) for end in (e.low, e.high))
            inside, tried = counts.get(e.name, (0, 0))
            counts[e.name] = (inside + (low <= truth(e.name) <= high), tried + 1)
    return counts


def uncalibrated(counts: Mapping[str, tuple[int, int]]) -> list[str]:
    """The parameters whose intervals hold the truth in fewer than 90 or more than 99 of 100."""
    return [
        f"{name}: {inside} of {tried}"
        for name, (inside, tried) in counts.items()
        if tried != 100 or not 90 <= inside <= 99
    ]


@pytest.fixture
def coverage() -> Callable[..., Mapping[str, tuple[int, int]]]:
    return covered


@pytest.fixture
def complaints() -> Callable[[Mapping[str, tuple[int, int]]], list[str]]:
    return uncalibrated


def line_lab(device: Device, seed: int) -> Probe:
    """Cells of the icc_line family: a sweep each way, then cycles at several I_cc."""
    lab = Probe(device, 10, seed, meter=0.01)
    phase = np.random.default_rng(seed).uniform(0.0, 0.05, 2)  # else a bracket is always the same
    lab.read()
    lab.sweep(np.arange(0.6, 1.0, 0.05) + phase[0], 0.05, 100e-6)
    lab.read()
    lab.sweep(-np.arange(1.0, 1.4, 0.05) - phase[1], 0.05)
    lab.read()
    for i_cc in (40e-6, 90e-6, 160e-6, 240e-6) * 2:
        lab.pulse(1.0, 1e-3, i_cc)
        lab.read()
        lab.read()
        lab.pulse(-1.5, 1e-3)
        lab.read()
    return lab


def filament_lab(device: Device, seed: int) -> Probe:
    """Cells of the filament family: sweeps, reads at several ages and temperatures."""
    lab = Probe(device, 12, seed, meter=0.02)
    up = np.arange(0.2, 1.4, 0.03)
    down = -np.concatenate((np.arange(4.0, 9.0, 0.2), np.arange(8.0, 0.0, -1.5)))
    for cycle in range(5):
        for volts, i_cc in ((up, 1e-3), (down, None)):
            lab.sweep(volts, 0.05, i_cc)
            lab.read()
            lab.read()
            if cycle > 2:
                for seconds in (1.0, 10.0, 100.0, 1000.0):
                    lab.wait(seconds)
                    lab.read()
    for kelvin in (323.15, 348.15, 373.15, 298.15):
        lab.array.set_temperature(kelvin)
        lab.read()
    return lab


def ionic_lab(device: Device, seed: int) -> Probe:
    """Cells of the ionic family: up with pauses until nothing more comes, and most of the way down.

    Not all of it: at the lower end a cell's own error only ever adds to a conductance that is a
    thousandth of the largest, which no fit of logarithms takes for chance.
    """
    lab = Probe(device, 8, seed, meter=0.01)
    lab.read()
    lab.read()
    for n in range(24):
        lab.pulse(10.0, 0.2)
        lab.read()
        if n % 6 == 5:
            for seconds in (0.5, 1.0, 3.0, 6.0):
                lab.wait(seconds)
                lab.read()
                lab.read()
    for _ in range(14):
        lab.pulse(-10.0, 0.25)
        lab.read()
    return lab


def diffusive_lab(device: Device, seed: int) -> Probe:
    """Cells of the diffusive family: sweeps there and back, pulses of several widths, decay."""
    lab = Probe(device, 10, seed, meter=0.01)
    phase = np.random.default_rng(seed).uniform(0.0, 0.005)
    there, back = np.arange(0.05, 0.8, 0.02), np.arange(0.28, 0.13, -0.005) + phase
    lab.read()
    lab.read()
    for _ in range(2):
        lab.sweep(np.concatenate((there, back)), 0.05, 1e-6)
        lab.wait(10.0)
    for width in (5e-3, 10e-3, 20e-3, 50e-3, 100e-3):
        lab.pulse(1.0, width, 1e-6)
        lab.read()
        for seconds in (0.5e-3, 1e-3, 2e-3, 10e-3, 20e-3):
            lab.wait(seconds)
            lab.read()
            lab.read()
        lab.wait(10.0)
    for _ in range(8):
        lab.pulse(1.0, 100e-3, 1e-6)
        lab.read()
    return lab


@dataclass(frozen=True)
class Case:
    """A family with a device, what a lab does to its cells, and the base of the fit."""

    family: str
    device: Device
    base: Device
    measure: Callable[[Device, int], Probe]

    def truth(self, name: str) -> float:
        return self.device.number(f"modes.{self.device.modes[0].name}.{name}")

    def history(self, seed: int, folder: Path) -> History:
        return read_csv(self.measure(self.device, seed).save(folder / "measured.csv"))

    def estimates(self, seed: int, folder: Path) -> tuple[Estimate, ...]:
        fitter = FITTERS[self.family]
        return fitter.fit(self.history(seed, folder), self.base.modes[0]).estimates


def _drifting(device: Device) -> Device:
    document = device.document()
    for name, (value, unit) in {
        "time": (1.0, "s"), "lrs_exponent": (0.01, "1"), "hrs_exponent": (0.02, "1"),
    }.items():  # fmt: skip
        drift = document["modes"]["nonvolatile"].setdefault("drift", {})
        drift[name] = {"value": value, "unit": unit, "assumed": "for the test"}
    return build(document, "a drifting device")


def _only(device: Device, mode: str) -> Device:
    """The device with one of its modes."""
    document = device.document()
    document["modes"] = {mode: document["modes"][mode]}
    document["modes"][mode].pop("wears_with", None)
    document.pop("transitions", None)
    return build(document, mode)


@pytest.fixture
def cases() -> dict[str, Case]:
    line, filament = load("cspbbr3_ogb"), load("vb3")
    volatile, ionic = _only(line, "volatile"), load("ohm")
    return {
        "icc_line": Case("icc_line", line, line, line_lab),
        "filament": Case("filament", _drifting(filament), filament, filament_lab),
        "ionic": Case("ionic", ionic, ionic, ionic_lab),
        "diffusive": Case("diffusive", volatile, volatile, diffusive_lab),
    }
