"""Accuracy against time and temperature."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.compiler.ageing import aged
from ohmloom.compiler.errors import InputError
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import accuracy, build_engine, dequantise_output, quantise_input
from ohmloom.sim.devices import load
from ohmloom.sim.devices.catalogue import build
from ohmloom.sim.devices.errors import TemperatureError

LAW = {
    "time": {"value": 1.0, "unit": "s", "assumed": "test"},
    "lrs_exponent": {"value": 0.1, "unit": "1", "assumed": "test"},
    "hrs_exponent": {"value": 0.0, "unit": "1", "assumed": "test"},
}


@pytest.fixture(scope="module", params=["differential", "offset"])
def fading(digits, request):
    """The digits example on cells that lose a tenth of their conductance in a few seconds."""
    document = load("cspbbr3_ogb").document()
    document["modes"]["nonvolatile"]["drift"] = LAW
    return compile_model(digits.model, build(document, "fading"), digits.calib,
                         options=Options(scheme=request.param))  # fmt: skip


def test_weights_fade_and_are_made_up_for(fading, digits):
    rows = list(aged(fading, digits.x, digits.y, [1e6, 0, 1e3]))
    assert [row.seconds for row in rows] == [0, 1e3, 1e6]
    new, hours, days = rows
    assert new.gain == pytest.approx(1, abs=0.01)
    # Cells of the lowest level fade too here: only differences count.
    assert hours.gain == pytest.approx(1001**-0.1, abs=0.03)
    assert days.gain < 0.3
    assert days.accuracy < new.accuracy - 0.05
    assert all(row.compensated > new.accuracy - 0.02 for row in rows)


def test_at_once_it_is_the_accuracy_of_a_run(fading, digits):
    (row,) = aged(fading, digits.x, digits.y, [0])
    output = build_engine(fading).infer(quantise_input(fading, digits.x)).output
    assert row.accuracy == accuracy(dequantise_output(fading, output), digits.y)
    assert row.kelvin == pytest.approx(298.15)


def test_times_before_programming_are_refused(fading, digits):
    for seconds in ([], [-1.0], [np.nan]):
        with pytest.raises(InputError, match="0 s and more are accepted"):
            list(aged(fading, digits.x, digits.y, seconds))


def test_a_temperature_that_the_device_is_not_described_at(fading, digits):
    with pytest.raises(TemperatureError, match="500 K is outside"):
        next(aged(fading, digits.x, digits.y, [0], [500.0]))


def test_each_time_at_each_temperature(digits, zoo, tmp_path):
    path = zoo.save(zoo.mlp((6, 5, 3)), tmp_path)
    x = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    compiled = compile_model(path, load("vb3"), x)
    (mode,) = (m for m in compiled.device.modes if m.name == compiled.device.programmable.mode)
    low, high = mode.temperatures
    rows = list(aged(compiled, x, np.zeros(8, np.int64), [0, 10], [low, high]))
    assert [(row.seconds, row.kelvin) for row in rows] == [
        (time, kelvin) for time in (0, 10) for kelvin in (low, high)
    ]
