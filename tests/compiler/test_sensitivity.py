"""Sensitivity: a layer made bad on purpose comes first, and nothing else has changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.options import LayerOptions, Options
from ohmloom.compiler.pipeline import calibrated, compile_network
from ohmloom.compiler.sensitivity import sensitivity
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import changed, load


@pytest.fixture(scope="module")
def source(digits):
    found = calibrated(load_model(digits.model), digits.calib)
    return replace(found, x=found.x[:48])


def compiled(source, device, faults=None, **options):
    return compile_network(
        "digits", source, device, Geometry(), Options(**options), Converters(), faults
    )


def by_name(found):
    return {layer.name: layer for layer in found.layers}


@pytest.mark.parametrize("bad", ["hidden", "readout"])
def test_a_layer_with_broken_cells_comes_first(source, bad):
    ogb = load("cspbbr3_ogb")
    sound = compiled(source, ogb)
    number = [layer.name for layer in sound.layers].index(bad)
    faults = np.full(sound.levels.shape, np.nan)
    broken = np.random.default_rng(1).random(faults.shape) < 0.3
    tiles = sorted({p.tile for p in sound.placements if p.layer == number})
    faults[tiles] = np.where(broken[tiles], ogb.levels[-1], np.nan)

    told = []
    found = sensitivity(
        source,
        compiled(source, ogb, faults, permute=False),  # which makes up for most of them
        faults,
        seeds=1,
        progress=told.append,
    )
    first, second = found.layers
    assert first.name == bad and first.regained > 0.05
    assert first.ideal.accuracy == found.floats == 1.0 and not found.labelled
    assert first.ideal.output_error < found.real.output_error / 4
    assert found.verdict == f"fixing {bad} regains the most"
    # The other one has nothing to give.
    assert abs(second.regained) <= 0.05
    assert second.ideal.output_error > found.real.output_error / 2
    assert len(told) == 5 and f"{bad} ideal" in told


def test_a_layer_of_few_bits_loses_most_by_another_one(source):
    quiet = load("ideal:256")
    made = compiled(source, quiet, layers={"hidden": LayerOptions(act_bits=5)})
    whole = sensitivity(source, made, seeds=1)
    assert whole.verdict.endswith("leaves the smallest output error")
    found = by_name(whole)
    hidden, readout = found["hidden"], found["readout"]
    assert hidden.bits == 5 and readout.bits == 16
    assert hidden.fewer and readout.fewer
    assert hidden.fewer.output_error > 1.5 * readout.fewer.output_error
    # Ideal cells were ideal already: there is nothing to regain.
    for layer in (hidden, readout):
        assert layer.regained == layer.error == 0
        assert layer.ideal.output_error == pytest.approx(readout.fewer.output_error, rel=0.01)


def test_both_causes_are_off_in_ideal_cells(source):
    """With all layers but one exact, that one's cells leave nothing when they are ideal."""
    ogb = load("cspbbr3_ogb")
    noisy = changed(ogb, **{"modes.nonvolatile.read.noise": 0.05})
    found = sensitivity(source, compiled(source, noisy), seeds=1)
    for layer in found.layers:
        assert layer.ideal.output_error < 0.9 * found.real.output_error
    calm = sensitivity(source, compiled(source, ogb), seeds=1)
    assert calm.real.output_error < found.real.output_error / 2


def test_it_is_the_same_again_and_labels_say_what_is_right(source):
    made = compiled(source, load("cspbbr3_ogb"))
    first = sensitivity(source, made, seeds=1)
    assert sensitivity(source, made, seeds=1) == first
    classes = source.network.forward(source.x.astype(np.float64)).argmax(axis=1)
    wrong = (classes + 1) % 10
    found = sensitivity(source, made, labels=wrong, seeds=1)
    assert found.labelled and found.floats == 0.0
    assert found.real.output_error == first.real.output_error


def test_layers_without_bits_to_give(source):
    made = compiled(source, load("ideal:256"), act_bits=4)
    found = by_name(sensitivity(source, made, seeds=1))
    assert found["hidden"].bits == 4 and found["hidden"].fewer is None
    assert found["readout"].fewer is not None


def test_a_network_without_matrices_is_refused(source):
    made = replace(compiled(source, load("ideal:256")), placements=())
    with pytest.raises(TargetError, match="no layer has a matrix"):
        sensitivity(source, made)
