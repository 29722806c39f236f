"""Sections on costs: figures as they are in the report, and nothing where there are none."""

from __future__ import annotations

import pytest

from ohmloom.compiler.page_costs import (
    energy_section,
    programming_section,
    search_section,
    where_section,
)
from ohmloom.compiler.trial import Outcome, Trial

FIGURES = {
    "cells": 1024,
    "tries_per_cell": 1.5,
    "pulses": 3072,
    "conversions": 1536,
    "not_converged": 3,
    "seconds": 1.9,
    "pulse_j": 2e-4,
    "supplies_j": 4.5,
}


def test_writing_has_a_row_for_each_layer_and_its_tag():
    found = {
        "tag": "estimated",
        "layers": [{"name": "<one>", **FIGURES}],
        "total": {**FIGURES, "seconds": None, "supplies_j": None},
    }
    text = programming_section(found)
    assert text.count("<tr>") == 3 and "estimated" in text
    assert "&lt;one&gt;" in text and "3,072" in text and "1.9 s" in text and "200 \u00b5J" in text
    assert "<td></td>" in text  # a time that is not known


def test_energy_has_its_parts_with_where_they_come_from():
    energy = {
        "joules": 3e-3,
        "watts": 1.5,
        "parts": [
            {"name": "cells", "joules": 1e-3, "tag": "simulated", "origin": "V^2 G t"},
            {"name": "ADCs", "joules": 2e-3, "tag": "estimated", "origin": "assumed: <20 mW>"},
        ],
        "layers": [{"name": "one", "joules": {"cells": 1e-3, "ADCs": 2e-3}}],
    }
    text = energy_section(energy)
    assert "33.33%" in text and "assumed: &lt;20 mW&gt;" in text and "simulated" in text
    assert "<td>3 mJ</td><td>100.0%</td>" in text
    assert energy_section(None) == ""


@pytest.fixture
def outcome() -> Outcome:
    best = Trial(2, 7, 12, drop=0.004, error=0.001, tiles=16, cycles=29_000, pulses=2.7)
    trials = (
        Trial(1, 8, 12, drop=0.2, error=0.01, tiles=8, cycles=33_000),
        Trial(2, 8, 12, drop=0.003, error=0.001, tiles=16, cycles=33_000),
        best,
        Trial(3, 8, 12, why_not="no room <here>"),
    )
    return Outcome(0.01, trials, best)


def test_trials_say_what_they_cost_and_which_one_was_chosen(outcome):
    text = search_section(outcome.as_dict())
    assert text.count("<tr>") == 5 and text.count("<td>chosen</td>") == 1
    assert "<td>16</td><td>29,000</td><td>2.7</td><td>chosen</td>" in text
    assert "<td>enough</td>" in text and "<td>too much</td>" in text
    assert "does not fit: no room &lt;here&gt;" in text and "1.00%" in text
    assert search_section(None) == ""


def test_places_are_words():
    place = {"name": "one", "kind": "matrix", "where": "tiles 0-3", "why": "a & b"}
    assert "<td>tiles 0-3</td><td>a &amp; b</td>" in where_section([place])
