from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from ohmloom.sim.devices import Device, DeviceError, build, changed, load
from ohmloom.sim.experiments import Bench, Result
from ohmloom.sim.experiments.registry import assumptions

Function = Callable[[Bench], Result]


def without_pulses(name: str) -> Device:
    """A device without levels that pulses put cells on: no experiment here uses them, and with
    the numbers of another film they would be out of reach."""
    device = load(name)
    if device.pulses is None:
        return device
    document = device.document()
    for section in ("levels", "verify", "codes", "pulses"):
        del document["modes"][device.programmable.mode][section]
    return build(document, name)


def rows_that_fail(experiment: Function, device: str, values: Mapping[str, float]) -> str:
    """The rows that fail, a line each, on a device with other numbers."""
    bench = Bench(seeds=(1, 2), replaced={device: changed(without_pulses(device), **values)})
    return "\n".join(row.quantity for row in experiment(bench).rows if not row.passed)


@pytest.fixture
def failing() -> Callable[[Function, str, Mapping[str, float]], str]:
    return rows_that_fail


@pytest.fixture
def unlisted_change_nothing() -> Callable[[Function, str], None]:
    """Asserts that assumed parameters which are listed without influence have none."""

    def check(experiment: Function, device: str) -> None:
        bench = Bench(seeds=(1,))
        result = experiment(bench)
        listed = assumptions([bench.device(device)], result)
        assert any(item.influences for item in listed)
        other, tried = bench.device(device), 0
        for item in listed:
            if not item.influences:
                value = item.value * 1.05 if item.value else 0.01
                other, done = _moved(other, item.parameter, value)
                tried += done
        assert tried
        again = experiment(Bench(seeds=(1,), replaced={device: other}))
        assert [row.quantity for row in again.rows] == [row.quantity for row in result.rows]
        for one, other_one in zip(result.rows, again.rows, strict=True):
            assert other_one.ours == pytest.approx(one.ours, rel=1e-9), one.quantity

    return check


def _moved(device: Device, parameter: str, value: float) -> tuple[Device, bool]:
    """The device with another value where that is a value it may have."""
    try:
        return changed(device, **{parameter: value}), True
    except DeviceError:
        return device, False
