"""Samples in, scores out."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.compiler.errors import InputError
from ohmloom.compiler.runner import accuracy, build_engine, dequantise_output, quantise_input


def test_input_is_taken_shaped_or_flat(compiled, digits):
    shaped = quantise_input(compiled, digits.x[:3])
    flat = quantise_input(compiled, digits.x[:3].reshape(3, 64).astype(np.float64))
    np.testing.assert_array_equal(shaped, flat)
    assert shaped.dtype == np.int32 and shaped.max() == 255


def test_values_outside_the_calibrated_range_are_clipped(compiled):
    drives = quantise_input(compiled, np.array([[-5.0] * 32 + [5.0] * 32]))
    assert set(drives.reshape(-1)) == {0, 255}


@pytest.mark.parametrize(
    "x,words",
    [
        (np.zeros((2, 8, 9)), r"samples have shape \(2, 8, 9\), \(N, 8, 8\) is accepted"),
        (np.zeros((8, 8)), r"\(8, 8\)"),
        (np.zeros((0, 64)), "at least one"),
        (np.full((1, 64), np.nan), "not finite"),
        (np.zeros((1, 64), object), "object, real numbers"),
    ],
)
def test_samples_that_do_not_fit(compiled, x, words):
    with pytest.raises(InputError, match=words):
        quantise_input(compiled, x)


def test_scores_are_the_integers_times_the_scale(compiled):
    drives = np.array([[0, 1, -32768]])
    scale = compiled.layers[-1].output.scale
    np.testing.assert_allclose(dequantise_output(compiled, drives), drives * scale, rtol=1e-6)


def test_engine_is_set_up_and_programmed(compiled):
    ready = build_engine(compiled)
    bare = build_engine(compiled, program=False)
    device = compiled.device
    error = np.abs(ready.array.g - device.levels[compiled.levels])
    # The window, and six sigma of the read that accepted the cell.
    slack = device.verify_half_width + 6.4 * device.read_noise * device.levels[-1]
    assert error.max() < slack
    assert not bare.array.pulses.any()


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_an_accelerator_gives_the_same_integers(compiled, digits, name):
    pytest.importorskip(name)
    drives = quantise_input(compiled, digits.x)
    known = build_engine(compiled).infer(drives)
    engine = build_engine(compiled, accelerator=name, threads=2)
    assert engine.accelerator is not None and engine.accelerator.name == name
    made = engine.infer(drives)
    assert made.layers.keys() == known.layers.keys()
    assert all(np.array_equal(made.layers[layer], known.layers[layer]) for layer in known.layers)
    assert (made.saturations, made.conversions) == (known.saturations, known.conversions)
    other = build_engine(compiled, accelerator=name, read_noise=False).infer(drives)
    assert not np.array_equal(other.output, known.output)


def test_accuracy():
    scores = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [2.0, 1.0]])
    assert accuracy(scores, np.array([1, 0, 0, 0])) == 0.75


@pytest.mark.parametrize(
    "labels,words",
    [
        (np.zeros(3, int), r"shape \(3,\), whole numbers of shape \(2,\)"),
        (np.zeros((2, 1), int), r"shape \(2, 1\)"),
        (np.zeros(2), "float64"),
        (np.array([0, 2]), "0 to 2, 0 to 1 are accepted"),
        (np.array([-1, 0]), "from -1"),
    ],
)
def test_labels_that_do_not_fit(labels, words):
    with pytest.raises(InputError, match=words):
        accuracy(np.zeros((2, 2)), labels)
