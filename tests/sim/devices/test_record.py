"""A device survives JSON with every bit."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ohmloom.sim.devices import DeviceError, catalogue, load
from ohmloom.sim.devices.record import from_record, to_record


def through_json(record):
    return from_record(json.loads(json.dumps(record)))


@pytest.mark.parametrize("name", [*catalogue(), "ideal:256"])
def test_round_trip(name):
    device = load(name)
    found = through_json(to_record(device))
    assert found.parameters == device.parameters
    assert found.transitions == device.transitions
    assert to_record(found) == to_record(device)
    assert (found.name, found.title, found.stack) == (device.name, device.title, device.stack)
    assert [mode.p for mode in found.modes] == [mode.p for mode in device.modes]
    if device.weights is not None:
        limited = () if device.pulses else ("level_i_cc",)
        for field in ("level_codes", "levels", *limited):
            np.testing.assert_array_equal(
                getattr(found, field), getattr(device, field), strict=True
            )
            assert not getattr(found, field).flags.writeable


def broken(*path, value):
    record = to_record(load("ideal"))
    node = record
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    return record


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (broken("name", value=3), "name: "),
        (broken("extra", value=1), "extra: is not a field"),
        (broken("modes", value={}), "modes: "),
        (broken("modes", "nonvolatile", "family", value="magic"), "'magic' is no family"),
        (broken("modes", "nonvolatile", "family", value=["icc_line"]), "is no family"),
        (broken("modes", "nonvolatile", "read", "noise", "value", value="0.1"), "noise.value: "),
        (broken("modes", "nonvolatile", "read", "noise", "value", value=float("nan")), "finite"),
        (broken("modes", "nonvolatile", "codes", value=None), "all three"),
        ([], "the device record: "),
        (None, "the device record: "),
    ],
)
def test_records_that_are_no_device(record, said):
    with pytest.raises(DeviceError, match=said):
        through_json(record)
