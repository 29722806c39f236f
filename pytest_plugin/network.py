"""One network of an ``ohmloom.toml``, compiled when it is first asked for, and its checks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from ..boards.build import BuildReport
from ..boards.catalogue import board
from ..cli.arrays import blaming, load_array
from ..cli.output import Reporter
from ..cli.steps.building import build
from ..cli.steps.compiling import compile_bundle
from ..cli.steps.cosimulation import (
    DisagreementError,
    cosimulate,
    insist_on_agreement,
    insist_on_prediction,
)
from ..cli.steps.inference import first_rows, infer
from ..cli.steps.targets import afe_of, converters_of, link_baud
from ..cli.steps.targets import target as controller_of
from ..compiler.bundle import load_bundle
from ..compiler.compiled import Compiled
from ..compiler.options import Options
from ..compiler.report import predict
from ..compiler.runner import accuracy, check_labels, quantise_input
from ..errors import OhmloomError
from ..sim.cosim.fault import Fault
from ..sim.cosim.job import CosimReport
from ..sim.cosim.runner import BenchFailed
from .settings import Settings, SettingsError, read_settings

WAVES = "cosim.fst"
WORKER = "PYTEST_XDIST_WORKER"
"""Environment variable of a worker of pytest-xdist: each has a folder of its own."""

Record = Callable[[str, object], None]
"""Told the name and value of a figure."""


class CheckFailed(OhmloomError):
    """A network that does not keep to what is asked of it."""


class Network:
    """A network with what was made of it.

    Attributes
    ----------
    name, settings :
        As in the ``ohmloom.toml``.
    folder :
        Where bundle, bitstream and waveforms go.
    """

    def __init__(self, name: str, settings: Settings, folder: Path, fault: Fault | None) -> None:
        self.name = name
        self.settings = settings
        self.folder = folder
        self._fault = fault
        self._failure: OhmloomError | None = None

    @cached_property
    def bundle(self) -> Path:
        """The bundle's directory; it is compiled once."""
        if self._failure is not None:
            raise self._failure
        try:
            return self._compile()
        except OhmloomError as error:
            self._failure = error
            raise

    @cached_property
    def compiled(self) -> Compiled:
        """The bundle, read back."""
        return load_bundle(self.bundle)

    @cached_property
    def inputs(self) -> np.ndarray:
        """The samples as the controller takes them, integers (n, inputs)."""
        path = self.settings.inputs
        if path is None:
            return self.compiled.golden.inputs
        with blaming(path):
            return quantise_input(self.compiled, load_array(path))

    @property
    def waves(self) -> Path:
        """Where the waveform of a failing co-simulation is kept."""
        return self.folder / WAVES

    def scores(self, samples: np.ndarray) -> np.ndarray:
        """Outputs float32 (n, outputs) of samples (n, ...) in the numpy engine, with all noise."""
        drives = quantise_input(self.compiled, samples)
        with Reporter() as reporter:
            return infer(self.compiled, drives, reporter).scores

    def cosimulate(self, samples: int | None = None) -> CosimReport:
        """Run the first samples on the RTL against the numpy engine.

        Raises
        ------
        OhmloomError
            At the first difference, with the place where its waveform is kept.
        """
        count = self.settings.cosim if samples is None else samples
        drives = first_rows(self.inputs, count, self.name)
        there = shutil.which("iverilog") is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with Reporter() as reporter:
                report = cosimulate(
                    self.compiled, drives, reporter, self._fault, self.settings.simulator,
                    waves=self.waves if there else None,
                ).report  # fmt: skip
            insist_on_agreement(report)
        except (BenchFailed, DisagreementError) as error:
            kept = f"kept in {self.waves}" if there else "not kept: apt-get install iverilog"
            raise CheckFailed(f"{self.name}: {error}; the waveform is {kept}") from error
        if report.predicted_cycles:
            insist_on_prediction(report)
        return report

    def build(self) -> BuildReport:
        """Build the bitstream into the bundle, or take it from the cache.

        Raises
        ------
        OhmloomError
            If it does not fit, cannot be built, or does not meet the board's clock.
        """
        with Reporter() as reporter:
            return build(self.compiled, board(self.settings.target), self.bundle, reporter)

    @property
    def checks(self) -> Mapping[str, Callable[[Record], None]]:
        """What is asked of the network, by name; each is told where figures go."""
        asked = {
            "compile": (True, self._check_compile),
            "accuracy": (self.settings.labels is not None, self._check_accuracy),
            "cosim": (self.settings.cosim > 0, self._check_cosim),
            "bitstream": (self.settings.bitstream, self._check_bitstream),
        }
        return {name: check for name, (wanted, check) in asked.items() if wanted}

    def _compile(self) -> Path:
        given = self.settings
        geometry, clk_hz = controller_of(given.target, given.rows, given.columns)
        fixed = {"clk_hz": clk_hz, "afe": afe_of(given.target)}
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}.ohm"
        with Reporter() as reporter, blaming(given.calibration):
            compile_bundle(
                given.model, given.device, load_array(given.calibration), path, reporter, geometry,
                Options.model_validate(given.options | fixed),
                converters_of(given.target, given.adc_bits, given.input_bits, given.sensing),
                baud=link_baud(given.target),
            )  # fmt: skip
        return path

    def _check_compile(self, record: Record) -> None:
        record("bundle", self.bundle)
        tiles, cycles = self.compiled.image.tiles, predict(self.compiled)
        record("tiles", tiles)
        self._at_most("tiles", tiles)
        if cycles:
            record("predicted_cycles", cycles["first"])
            self._at_most("cycles", cycles["first"])

    def _check_accuracy(self, record: Record) -> None:
        path = self.settings.labels
        assert path is not None
        labels = load_array(path)
        with blaming(path):
            check_labels(labels, len(self.inputs), self.compiled.layers[-1].outputs)
        with Reporter() as reporter:
            found = accuracy(infer(self.compiled, self.inputs, reporter).scores, labels)
        record("accuracy", found)
        record("samples", len(labels))
        self._at_least("accuracy", found)

    def _check_cosim(self, record: Record) -> None:
        report = self.cosimulate()
        record("cycles", report.cycles_per_inference)
        record("samples", report.samples)
        record("values_compared", report.values_compared)
        record("afe_utilisation", report.afe_utilisation)
        self._at_most("cycles", report.cycles_per_inference)

    def _check_bitstream(self, record: Record) -> None:
        report = self.build()
        record("bitstream", report.path)
        record("fmax_mhz", report.fmax_mhz)
        record("required_mhz", report.required_mhz)
        self._at_least("fmax_mhz", report.fmax_mhz)

    def _at_most(self, what: str, found: float) -> None:
        limit = getattr(self.settings.limits, what)
        if limit is not None and found > limit:
            raise CheckFailed(f"{self.name}: {what} {found} is above the limit of {limit}")

    def _at_least(self, what: str, found: float) -> None:
        limit = getattr(self.settings.limits, what)
        if limit is not None and found < limit:
            raise CheckFailed(f"{self.name}: {what} {found:.6g} is below the limit of {limit:g}")


class Networks:
    """The networks of one ``ohmloom.toml``."""

    def __init__(self, path: Path, folder: Path, fault: Fault | None) -> None:
        self.path = path
        self.all = {
            name: Network(name, settings, folder / name, fault)
            for name, settings in read_settings(path).items()
        }

    def named(self, name: str) -> Network:
        """The network of that name.

        Raises
        ------
        SettingsError
            If there is none; the message lists those there are.
        """
        if name not in self.all:
            raise SettingsError(
                f"{self.path} has no network {name!r}, it has: {', '.join(self.all)}"
            )
        return self.all[name]


_KEPT = pytest.StashKey[dict[Path, Networks]]()


def networks(config: pytest.Config, path: Path) -> Networks:
    """The networks of an ``ohmloom.toml``, the same ones for all that ask in a session.

    Raises
    ------
    SettingsError
        If it cannot be used.
    """
    kept = config.stash.setdefault(_KEPT, {})
    if path not in kept:
        root = config.rootpath
        folder = root / str(config.getoption("--ohmloom-artifacts")) / os.environ.get(WORKER, "")
        if path.is_relative_to(root):
            folder /= path.parent.relative_to(root)
        fault = config.getoption("--ohmloom-plant-fault")
        kept[path] = Networks(path, folder, Fault(fault) if fault else None)
    return kept[path]
