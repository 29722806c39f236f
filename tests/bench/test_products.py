"""Products of our engine and of other simulators: the same work, and what is not installed."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

import numpy as np
import pytest


@pytest.fixture(scope="module")
def bench(benchmark_module):
    return benchmark_module("products")


@pytest.fixture(scope="module")
def matrix(bench):
    """Of 64 x 32 weights, without errors but those of DAC and ADC."""
    rng = np.random.default_rng(4)
    weight = rng.standard_normal((64, 32)).astype(np.float32)
    return bench.Matrix(weight, 1e-4, 4e-4, 0.0, 0.0, 0.0)


def test_ours_is_beside_what_makes_the_same(bench, monkeypatch):
    monkeypatch.setattr(sys.modules["works"], "SIZE", 64)
    monkeypatch.setattr(bench, "WAY", replace(bench.WAY, rows=64, columns=128))
    seen = []

    def exact(matrix, threads):
        seen.append(matrix)
        return lambda x: x @ matrix.weight

    for read_noise in (False, True):
        row = bench.measure(3, read_noise, 1, 1, {"exact": exact})
        ours, other = row.figures["Ohmloom"], row.figures["exact"]
        assert 0.01 < ours.error < 0.15 and other.error < 1e-6
        assert ours.ratio == ours.seconds / row.figures["floats"].seconds > 0
        assert "batch 3: floats 1.0 x" in str(row) and "exact" in str(row)
    quiet, noisy = seen
    assert noisy == replace(quiet, weight=noisy.weight, noise=noisy.noise)
    assert quiet.noise == 0 and noisy.noise == pytest.approx(0.01, rel=0.01)
    assert 0.02 < quiet.spread < 0.04


def test_what_is_not_installed_is_told_in_a_line(bench, monkeypatch, caplog):
    for _, module in bench.PEERS.values():
        monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    with caplog.at_level(logging.INFO, "bench"):
        assert bench.importable() == {}
    assert [record.message.split()[0] for record in caplog.records] == [*bench.PEERS]
    assert all("\n" not in record.message for record in caplog.records)


@pytest.mark.parametrize("name", ["CrossSim", "AIHWKit"])
def test_products_of_another_simulator(bench, matrix, name):
    peer, module = bench.PEERS[name]
    pytest.importorskip(module)
    x = np.random.default_rng(5).uniform(0, 1, (200, 64)).astype(np.float32)
    wanted = x @ matrix.weight
    matrix = replace(matrix, most=float(np.abs(wanted).max()))

    def error(**changes: float) -> float:
        return bench.error(peer(replace(matrix, **changes), 1)(x), wanted)

    assert 0 < error() < 0.02  # of converters alone
    assert 0.03 < error(spread=0.03) < 0.3
    assert 0.01 < error(noise=0.01) < 0.1
    assert error(most=matrix.most / 3) > 0.1  # outputs beyond the ADC's range
