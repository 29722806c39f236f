"""A device survives JSON with every bit."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest
from pydantic import ValidationError

from ohmloom.sim.devices import catalogue, load
from ohmloom.sim.devices.record import from_record, record_model, to_record


def through_json(record):
    return from_record(record_model().model_validate_json(json.dumps(record)))


@pytest.mark.parametrize("name", [*catalogue(), "ideal:256"])
def test_round_trip(name):
    device = load(name)
    found = through_json(to_record(device))
    for field in fields(device):
        expected, value = getattr(device, field.name), getattr(found, field.name)
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(value, expected, strict=True)
            assert not value.flags.writeable
        else:
            assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    "change",
    [{"v_read": "0.1"}, {"v_read": float("nan")}, {"level_codes": [1.5, 2]}, {"extra": 1}],
)
def test_records_that_are_no_device(change):
    with pytest.raises(ValidationError):
        through_json({**to_record(load("ideal")), **change})


def test_missing_field():
    record = to_record(load("ideal"))
    del record["g_lsb"]
    with pytest.raises(ValidationError, match="g_lsb"):
        through_json(record)


def test_level_tables_of_different_length():
    with pytest.raises(ValueError, match="level tables have"):
        through_json({**to_record(load("ideal")), "level_codes": [1, 2, 3]})
