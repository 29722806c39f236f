"""Tests by hand, with the networks of ohmloom.toml."""

import numpy as np
import pytest


@pytest.fixture
def samples(request):
    return np.load(request.config.rootpath / "model" / "test_x.npy")


def test_noise_leaves_most_answers_alone(ohmloom_network, samples):
    network = ohmloom_network("digits")
    shifted = np.roll(samples, 1, axis=0)  # the same images with other draws of the noise
    answers = network.scores(samples).argmax(axis=1)
    again = np.roll(network.scores(shifted).argmax(axis=1), -1)
    assert np.mean(answers == again) > 0.95


def test_the_bundle_is_what_a_board_gets(ohmloom_bundle):
    assert (ohmloom_bundle("digits") / "program.bin").stat().st_size > 0
