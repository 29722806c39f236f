"""The search for knobs: cheaper ones where a device allows it, a refusal where none does."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.options import LayerOptions, Options
from ohmloom.compiler.pipeline import calibrated
from ohmloom.compiler.search import Search
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load


@pytest.fixture(scope="module")
def source(digits):
    return calibrated(load_model(digits.model), digits.calib)


def search(source, digits, device, target=0.02, **changes):
    x = digits.x[:200].reshape(200, -1).astype(np.float32)
    settings = {"geometry": Geometry(tiles=256), "labels": digits.y[:200], "seeds": 2,
        "options": Options()} | changes  # fmt: skip
    return Search(
        source, load(device), settings["geometry"], settings["options"], Converters(), x,
        settings["labels"], target, settings["seeds"],
    )  # fmt: skip


def test_a_device_of_many_levels_needs_one_slice(source, digits):
    made = search(source, digits, "cspbbr3_ogb")
    found = made.run()
    best = found.chosen
    assert found.trials == tuple(made.trials) and found.target == 0.02
    assert best.slices == 1 and best.keeps(0.02) and best in made.trials
    assert best.act_bits < 8 or best.adc_bits < 12
    # What is next on the way down was tried, and does not keep the accuracy.
    assert best.adc_bits == 8 or not made.trials[-1].keeps(0.02)
    # Less bits take less cycles, but what reads less well takes more pulses.
    first = made.trials[0]
    assert best.cycles and first.cycles and best.cycles < first.cycles and best.tiles == 8
    assert best.pulses >= first.pulses > 2
    options, converters = made.chosen(best)
    assert (options.act_bits, converters.adc_bits) == (best.act_bits, best.adc_bits)


def test_a_device_of_two_levels_needs_several(source, digits):
    made = search(source, digits, "vb3")
    assert made.run().chosen.slices > 1
    drops = [trial.drop for trial in made.trials if trial.slices == 1]
    assert drops[0] is not None and drops[0] > 0.1


def test_slices_begin_with_those_that_a_scheme_takes(source, digits):
    made = search(source, digits, "vb3", options=Options(scheme="twos-complement"), target=0.3)
    best = made.run().chosen
    assert made.trials[0].slices == 2 and all(trial.drop is not None for trial in made.trials)
    assert made.chosen(best)[0].scheme == "twos-complement"


def test_slices_of_a_layer_stay_what_they_are(source, digits):
    own = {"hidden": LayerOptions(slices=3, scheme="offset")}
    made = search(source, digits, "cspbbr3_ogb", options=Options(layers=own))
    best = made.run().chosen
    assert best.slices == 1 and made.chosen(best)[0].layers == own


def test_without_labels_floats_are_right(source, digits):
    made = search(source, digits, "cspbbr3_ogb", labels=None)
    assert made.run().chosen.keeps(0.02)
    assert all(trial.drop is None or trial.drop >= 0 for trial in made.trials)


def test_refusals_say_what_was_lost_or_why_it_does_not_fit(source, digits):
    with pytest.raises(TargetError, match=r"loses at most -1: the best, . slices"):
        search(source, digits, "vb3", target=-1.0, seeds=1).run()
    with pytest.raises(TargetError, match="fits the target; the network needs 8 tiles"):
        search(source, digits, "vb3", geometry=Geometry(tiles=4)).run()
