"""The whole compilation: accuracy with everything off and everything on, and repeatability."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from ohmloom.compiler.bundle import load_bundle, write_bundle
from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import accuracy, build_engine, dequantise_output, quantise_input
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import CellStatus, Op, unpack_result
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load
from ohmloom.sim.devices.device import Mode


@pytest.fixture(scope="module")
def float_scores(digits):
    network = load_model(digits.model)
    return network.forward(digits.x.reshape(len(digits.x), -1).astype(float))


def scores_of(compiled, digits, **engine):
    trace = build_engine(compiled, **engine).infer(quantise_input(compiled, digits.x))
    assert trace.saturations == 0
    return dequantise_output(compiled, trace.output)


def test_ideal_device_follows_the_float_model(digits, float_scores):
    compiled = compile_model(digits.model, load("ideal:256"), digits.calib)
    scores = scores_of(compiled, digits)
    assert accuracy(float_scores, digits.y) - accuracy(scores, digits.y) <= 0.01
    # Not only the winner: the scores themselves, but for what exceeds the calibrated range.
    error = np.abs(scores - float_scores)
    assert np.percentile(error, 99) < 0.005 * np.ptp(float_scores)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_real_device_with_spread_and_noise(compiled, digits, float_scores, seed):
    scores = scores_of(compiled, digits, seed=seed)
    assert accuracy(float_scores, digits.y) - accuracy(scores, digits.y) <= 0.02


def test_spread_and_noise_are_really_on(compiled, digits):
    noisy, other = (scores_of(compiled, digits, seed=seed) for seed in (1, 2))
    assert not np.array_equal(noisy, other)
    quiet = scores_of(compiled, digits, read_noise=False)
    assert not np.array_equal(noisy, quiet)


def test_scrambled_weights_lose_the_accuracy(compiled, digits):
    engine = build_engine(compiled, program=False)
    engine.program(np.flip(compiled.levels, axis=1).copy())
    trace = engine.infer(quantise_input(compiled, digits.x))
    assert accuracy(dequantise_output(compiled, trace.output), digits.y) < 0.5


def test_same_compilation_twice(compiled, digits):
    again = compile_model(digits.model, load("cspbbr3_ogb"), digits.calib)
    assert again.image.code == compiled.image.code
    np.testing.assert_array_equal(again.image.params, compiled.image.params)
    np.testing.assert_array_equal(again.levels, compiled.levels)
    for one, two in zip(again.golden.layers, compiled.golden.layers, strict=True):
        np.testing.assert_array_equal(one, two)


def test_seed_changes_the_noise_and_not_the_targets(compiled, digits):
    other = compile_model(digits.model, load("cspbbr3_ogb"), digits.calib, options=Options(seed=99))
    np.testing.assert_array_equal(other.levels, compiled.levels)
    assert not np.array_equal(other.golden.layers[-1], compiled.golden.layers[-1])


@pytest.mark.parametrize("act_bits", [4, 6, 12, 16])
def test_other_activation_widths(digits, float_scores, act_bits):
    compiled = compile_model(
        digits.model, load("ideal:256"), digits.calib, options=Options(act_bits=act_bits)
    )
    lost = accuracy(float_scores, digits.y) - accuracy(scores_of(compiled, digits), digits.y)
    assert lost <= 0.02


def test_signed_inputs_and_hidden_layers_without_relu(zoo, tmp_path):
    nodes = [zoo.node("Gemm", ["x", "v"], "h"), zoo.node("Gemm", ["h", "w"], "y")]
    rng = np.random.default_rng(4)
    weights = {
        "v": rng.normal(size=(20, 12)).astype("f"),
        "w": rng.normal(size=(12, 5)).astype("f"),
    }
    path = zoo.save(zoo.model(nodes, weights, ("N", 20)), tmp_path)
    x = rng.normal(size=(200, 20)).astype("f")
    compiled = compile_model(path, load("ideal:256"), x[:100])
    assert compiled.layers[0].output.signed and compiled.layers[0].output.planes == 9
    found = dequantise_output(
        compiled, build_engine(compiled).infer(quantise_input(compiled, x[:100])).output
    )
    expected = x[:100] @ weights["v"] @ weights["w"]
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_activations_wider_than_words(digits):
    with pytest.raises(TargetError, match="9-bit activations do not fit the target's 8-bit words"):
        compile_model(
            digits.model, load("ideal"), digits.calib, Geometry(act_width=8), Options(act_bits=9)
        )


def test_a_device_without_levels_is_refused(digits):
    with pytest.raises(TargetError, match="vb1 has no mode that holds weight levels: no network"):
        compile_model(digits.model, load("vb1"), digits.calib)


def test_a_film_holds_weights_that_a_host_writes_by_pulses(digits, tmp_path):
    compiled = compile_model(digits.model, load("all_in_one"), digits.calib)
    made = build_engine(compiled)
    error = made.array.g[: len(compiled.levels)] - compiled.device.levels[compiled.levels]
    step = compiled.device.level_step * compiled.device.g_lsb
    assert np.abs(error).max() < 0.5 * step and error.std() < 0.1 * step
    # Nothing is programmed by the controller, and single cells are read in a range of their own.
    assert Op.PROGRAM not in {instr.op for instr in compiled.image.code}
    assert compiled.verify_range == 3 and set(compiled.ranges) == {2}
    trace = made.infer(quantise_input(compiled, digits.x))
    assert accuracy(dequantise_output(compiled, trace.output), digits.y) > 0.97
    # A bundle of it is read as it was written.
    found = load_bundle(write_bundle(compiled, tmp_path / "film.ohm"))
    assert found.image.entries == compiled.image.entries
    again = build_engine(found)
    np.testing.assert_array_equal(again.array.g, made.array.g)


def test_open_loop_is_an_option(digits):
    device = load("all_in_one")
    compiled = compile_model(digits.model, device, digits.calib, options=Options(verify=False))
    words = build_engine(compiled, program=False).program(compiled.levels)
    assert {unpack_result(int(word))[1] for word in words.flat} == {1}


@pytest.mark.parametrize(
    "geometry,words",
    [
        (Geometry(pulse=False), "cannot do: it has no PULSE$"),
        (Geometry(verify=False), "cannot do: it has no READ$"),
        (Geometry(passive=True), "cannot do: its array has no transistors$"),
    ],
)
def test_controllers_that_cannot_drive_a_hosts_pulses(digits, geometry, words):
    with pytest.raises(TargetError, match=words):
        compile_model(digits.model, load("all_in_one"), digits.calib, geometry)


@pytest.mark.parametrize(
    "geometry,words",
    [
        (Geometry(verify=False, pulse=False), "cannot do: it has no PULSE$"),
        (Geometry(passive=True), "cannot do: its array has no transistors$"),
    ],
)
def test_controllers_that_can_write_no_cell_by_its_current(digits, geometry, words):
    with pytest.raises(TargetError, match=words):
        compile_model(digits.model, load("cspbbr3_ogb"), digits.calib, geometry)


def test_cells_that_change_by_themselves_need_a_controller_with_program(digits, monkeypatch):
    monkeypatch.setattr(Mode, "relaxes", property(lambda mode: True))
    assert compile_model(digits.model, load("cspbbr3_ogb"), digits.calib).image.tiles
    with pytest.raises(TargetError, match="change by themselves between a pulse and a read"):
        compile_model(digits.model, load("cspbbr3_ogb"), digits.calib, Geometry(verify=False))


def test_a_host_writes_for_a_controller_without_program(digits, tmp_path):
    """The same cells as with it, and a bundle of it is read as it was written."""
    device, found = load("cspbbr3_ogb"), []
    for geometry in (Geometry(), Geometry(verify=False, line=False, wear=False)):
        compiled = compile_model(digits.model, device, digits.calib, geometry)
        again = load_bundle(write_bundle(compiled, tmp_path / f"{geometry.verify}.ohm"))
        assert again.image.entries == compiled.image.entries
        assert ("program/0" in again.image.entries) is geometry.verify
        engine = build_engine(again)
        output = engine.infer(compiled.golden.inputs).output
        np.testing.assert_array_equal(output, compiled.golden.layers[-1])
        found.append(engine.array.g)
    np.testing.assert_array_equal(*found)


def test_a_card_whose_rails_do_not_reach_the_pulses(digits):
    card = Converters(dac_volts_span=5.0, gate_on_volts=4.0)
    with pytest.raises(TargetError, match=r"all_in_one does not suit .* -7.5 V is outside"):
        compile_model(digits.model, load("all_in_one"), digits.calib, converters=card)


@pytest.mark.parametrize("name", ["bion", "vb3"])
def test_a_filament_holds_weights_of_two_levels(digits, name):
    compiled = compile_model(digits.model, load(name), digits.calib)
    made = build_engine(compiled)  # programs the cells
    results = [unpack_result(int(word)) for word in made.program(compiled.levels).flat]
    done = np.array([status is CellStatus.DONE for _, _, status in results])
    assert done.mean() > 0.999
    high = made.array.g[: len(compiled.levels)] > 0.5 * made.array.device.levels[1]
    assert (high.reshape(-1) == compiled.levels.reshape(-1))[done].all()


def test_one_calibration_sample_is_enough(digits):
    compiled = compile_model(digits.model, load("ideal"), digits.calib[:1])
    assert compiled.golden.inputs.shape == (1, 64)


@pytest.mark.parametrize("field", [{"act_bits": 3}, {"act_bits": 17}, {"act_bits": "8"}, {"x": 1}])
def test_options_are_checked(field):
    with pytest.raises(ValidationError):
        Options(**field)


def test_golden_vectors_are_those_of_the_device(compiled):
    trace = build_engine(replace(compiled, device=load("ideal"))).infer(compiled.golden.inputs)
    assert not np.array_equal(trace.output, compiled.golden.layers[-1])
