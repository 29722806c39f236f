"""ONNX file to bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...compiler.budget import LayerBudget, error_budget
from ...compiler.bundle import REPORT_HTML, REPORT_JSON, write_bundle
from ...compiler.compiled import Compiled
from ...compiler.frontend import load_model
from ...compiler.host_report import lines
from ...compiler.options import Options
from ...compiler.pipeline import calibrated, compile_model
from ...compiler.search import Search
from ...compiler.sensitivity import Result, Sensitivity, sensitivity
from ...compiler.trial import SIGMAS, Outcome, Trial
from ...hw.afe.kinds import FrontEndKind
from ...hw.geometry import Geometry
from ...sim.converters import Converters
from ...sim.devices import Device, load
from ...sim.emulated import emulate
from ..output import Reporter


def choose_knobs(
    model: Path,
    device: str,
    calib: np.ndarray,
    labels: np.ndarray | None,
    geometry: Geometry,
    options: Options,
    target: float,
    reporter: Reporter,
    converters: Converters,
    shape: Sequence[int] | None = None,
) -> tuple[Options, Converters, Outcome]:
    """The cheapest options and ADC bits that lose at most ``target``, and what was tried.

    Raises
    ------
    DeviceError, CompileError
        If device, model or samples do not do, or nothing keeps the accuracy.
    """
    reporter.update("calibrating")
    source = calibrated(load_model(model, shape, host=options.host), calib)

    def told(trial: Trial) -> None:
        reporter.update(f"tried {_words(trial)}")

    cells = _cells(device, options, converters)
    search = Search(
        source, cells, geometry, options, converters, source.x, labels, target, progress=told
    )
    outcome = search.run()
    return *search.chosen(outcome.chosen), outcome


def _cells(device: str, options: Options | None, converters: Converters | None) -> Device:
    """A device as the cells of a front end."""
    found = load(device)
    emulated = options is not None and options.afe is FrontEndKind.EMULATED
    return emulate(found, converters) if emulated else found


def _words(trial: Trial) -> str:
    setting = f"{trial.slices} slices, {trial.act_bits}-bit activations, {trial.adc_bits}-bit ADC"
    if trial.drop is None:
        return f"{setting}: {trial.why_not}"
    cost = f"{trial.tiles} tiles, {trial.pulses:.3g} pulses a cell"
    cost += "" if trial.cycles is None else f", {trial.cycles} cycles"
    return f"{setting}: loses {trial.drop:.4f} +- {SIGMAS * trial.error:.4f}, {cost}"


def _kind(layer: dict[str, Any]) -> str:
    """What a layer of a report is, and how its weights lie in cells."""
    if not layer["tiles"]:
        return layer["kind"]
    slices = f"{layer['slices']} slice{'s' * (layer['slices'] > 1)}"
    return f"{layer['kind']} in {slices}, {layer['scheme']}"


def compile_bundle(
    model: Path,
    device: str,
    calib: np.ndarray,
    bundle: Path,
    reporter: Reporter,
    geometry: Geometry | None = None,
    options: Options | None = None,
    converters: Converters | None = None,
    faults: np.ndarray | None = None,
    *,
    budget: bool = False,
    needs: bool = False,
    labels: np.ndarray | None = None,
    shape: Sequence[int] | None = None,
    search: Outcome | None = None,
    baud: int | None = None,
) -> tuple[Compiled, dict[str, object]]:
    """Compile a network into a bundle; also returns the figures that are shown.

    ``needs`` asks which layer needs what, by ``labels`` of the samples where there are any;
    ``baud`` is the rate of the board's link, where there is one.

    Raises
    ------
    DeviceError, CompileError, BundleError
        If device, model, samples or place do not do.
    """
    reporter.update("compiling")
    compiled = compile_model(
        model,
        _cells(device, options, converters),
        calib,
        geometry,
        options,
        converters,
        faults,
        shape,
    )
    errors: tuple[LayerBudget, ...] = ()
    found: Sensitivity | None = None
    if budget or needs:
        source = calibrated(load_model(model, shape, host=compiled.options.host), calib)
        if budget:
            reporter.update("taking the errors apart")
            errors = error_budget(source, compiled, faults)
        if needs:
            found = sensitivity(
                source, compiled, faults, labels,
                progress=lambda what: reporter.update(f"sensitivity: {what}"),
            )  # fmt: skip
    reporter.update("writing the bundle")
    write_bundle(compiled, bundle, errors, search, baud, found)
    report = json.loads((bundle / REPORT_JSON).read_text(encoding="utf-8"))
    image, cycles = compiled.image, report["cycles"]
    writing, energy = report["programming"]["total"], report["energy"]
    figures: dict[str, object] = {
        "bundle": str(bundle),
        "report": str(bundle / REPORT_HTML),
        "device": compiled.device.name,
        "layers": [
            f"{layer.name}: {_kind(told)}, {layer.outputs} values, {place['where']}"
            for layer, told, place in zip(
                compiled.layers, report["layers"], report["where"], strict=True
            )
        ],
        "tiles": image.tiles,
        "cells": image.tiles * image.geometry.cells,
        "instructions": len(image.code),
        "tia_ranges": sorted(set(compiled.ranges)),
        "predicted_cycles": cycles["first"] if cycles else None,
        "predicted_cycles_later": cycles["later"] if cycles else None,
        "predicted_ms_later": 1e3 * cycles["seconds"] if cycles else None,
        "estimated_inference_mj": 1e3 * energy["joules"] if energy else None,
        "estimated_writing": {
            "pulses_per_cell": writing["pulses"] / writing["cells"],
            "not_converged": writing["not_converged"],
            "seconds": writing["seconds"],
            "pulse_energy_mj": 1e3 * writing["pulse_j"],
        },
    }
    if search:
        figures["tried"] = [_words(trial) for trial in search.trials]
    if compiled.host:
        figures["host"] = list(lines(report["host"]))
    if errors:
        figures["error_budget"] = [
            f"{layer.name}: {layer.error:.2%}, of it "
            + ", ".join(f"{cause} {cost:.2%}" for cause, cost in layer.costs.items())
            for layer in errors
        ]
    if found:
        figures["sensitivity"] = _needs(found)
    return compiled, figures


def _needs(found: Sensitivity) -> list[str]:
    """What each layer needs, in words, the one to begin with first."""

    def of(result: Result) -> str:
        return f"accuracy {result.accuracy:.2%}, output error {result.output_error:.2%}"

    lines = [f"as it is: {of(found.real)}; {found.verdict}"]
    for layer in found.layers:
        gain = f"regains {layer.regained:+.2%} +- {SIGMAS * layer.error:.2%}"
        fewer = "" if layer.fewer is None else f"; with {layer.bits - 1} bits {of(layer.fewer)}"
        lines.append(f"{layer.name}: ideal {of(layer.ideal)}, {gain}{fewer}")
    return lines
