"""Factors and biases for cells that are not what they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.compiler.compensation import compensated, gains
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, quantise_input
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import unpack_requant
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load


@pytest.fixture(scope="module", params=["differential", "offset", "twos-complement"])
def network(zoo, tmp_path_factory, request):
    """A CNN in two slices, a matrix on several tiles, converted without an error."""
    path = zoo.save(zoo.cnn(), tmp_path_factory.mktemp("cnn"))
    device = load("ideal:16")
    x = np.random.default_rng(0).normal(size=(8, 1, 6, 6)).astype(np.float32)
    converters = Converters.counting(device.g_lsb, device.v_read)
    geometry = Geometry(rows=16, columns=16, tiles=64)
    compiled = compile_model(
        path, device, x, geometry, Options(slices=2, scheme=request.param), converters
    )
    return compiled, x


def conductances(compiled) -> np.ndarray:
    return compiled.device.levels[compiled.levels]


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.05, 5))
def test_gains_are_what_the_weights_are_multiplied_by(network, factor):
    compiled, _ = network
    found = gains(compiled, factor * conductances(compiled))
    assert len(found) == len(compiled.ranges)
    for each in found.values():
        np.testing.assert_allclose(each, factor, rtol=1e-9)


def test_each_output_has_a_gain_of_its_own(network):
    compiled, _ = network
    siemens = conductances(compiled)
    first = compiled.placements[0]
    which = first.layer, first.block
    for p in compiled.placements:
        if (p.layer, p.block) == which:
            cells = p.cells(siemens, compiled.encodings[p.layer])
            if compiled.options.scheme == "differential":
                cells[:, 2:4] *= 0.5
            else:  # half way to the reference
                cells[:, 2] = (cells[:, 2] + cells[:, 0]) / 2
    found = gains(compiled, siemens)[which]
    np.testing.assert_allclose(found, np.where(np.arange(len(found)) == 1, 0.5, 1), rtol=1e-9)


def test_what_does_not_go_with_the_weights_is_left_alone(network):
    compiled, _ = network
    for siemens in (0 * conductances(compiled), -conductances(compiled)):
        assert all((each == 1).all() for each in gains(compiled, siemens).values())


def test_cells_as_written_change_nothing(network):
    compiled, _ = network
    np.testing.assert_array_equal(
        compensated(compiled, conductances(compiled)), compiled.image.params
    )


def test_faded_cells_give_what_written_ones_did(network):
    """Half the conductance: a product half as large, made up for in the factors."""
    compiled, x = network
    drives = quantise_input(compiled, x)
    whole = conductances(compiled)
    expected = build_engine(compiled, faults=whole).infer(drives)
    engine = build_engine(compiled, faults=whole / 2)
    without = engine.infer(drives)
    engine.load_params(compensated(compiled, whole / 2))
    found = engine.infer(drives)
    # Half a conductance is rounded to a code: in a sign that counts as much as all digits.
    share = 0.03 if compiled.options.scheme == "twos-complement" else 0.01
    for name, values in expected.layers.items():
        assert np.abs(found.layers[name] - values).max() <= 2 + share * np.abs(values).max()
    assert max(np.abs(expected.layers[n] - without.layers[n]).max() for n in without.layers) > 20


def test_biases_move_with_the_weights(network):
    compiled, _ = network
    before = [unpack_requant(int(word)) for word in compiled.image.params]
    after = [unpack_requant(int(w)) for w in compensated(compiled, conductances(compiled) / 4)]
    changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    outputs = sum(p.outputs for p in compiled.placements if not (p.first_input or p.slice))
    assert len(changed) == outputs
    for (bias, mantissa, shift), (moved, scaled, by) in changed:
        assert abs(moved - bias / 4) <= 0.5
        assert scaled / 2.0**by == pytest.approx(4 * mantissa / 2.0**shift, rel=2.0**-23)


def test_a_compensation_for_other_cells_shows(network):
    """The planted fault: factors for cells that have not faded."""
    compiled, x = network
    whole = conductances(compiled)
    engine = build_engine(compiled, faults=whole)
    expected = engine.infer(quantise_input(compiled, x)).output
    engine.load_params(compensated(compiled, whole / 2))
    assert np.abs(engine.infer(quantise_input(compiled, x)).output - expected).max() > 20


def test_parameters_of_another_size_are_refused(network):
    compiled, _ = network
    engine = build_engine(replace(compiled), program=False)
    with pytest.raises(Exception, match="parameter words, the image has"):
        engine.load_params(compiled.image.params[:-1])
