"""The emulated device: the law of the device that it emulates, in integers."""

from __future__ import annotations

import json
from typing import Any, cast

import numpy as np
import pytest

from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import ConverterError, Converters
from ohmloom.sim.devices import ComplianceError, DeviceError, load
from ohmloom.sim.devices.families import emulated as family
from ohmloom.sim.devices.families import icc_line
from ohmloom.sim.devices.record import from_record, to_record
from ohmloom.sim.emulated import emulate, emulated_tables

CARD = Converters()
BASE = load("cspbbr3_ogb")
DEVICE = emulate(BASE)
CELLS = 20_000


def written(i_cc, seed=1):
    """Conductances of cells after a RESET and a SET."""
    array = SimulatedArray(DEVICE, 1, CELLS // 10, 10, seed)
    cells = np.arange(CELLS)
    array.pulse(cells, DEVICE.v_reset, DEVICE.reset_width_s, None)
    low = array.g.ravel().copy()
    array.pulse(cells, DEVICE.v_set, DEVICE.set_width_s, i_cc)
    return low, array.g.ravel(), array


@pytest.mark.parametrize("gate_code", [37300, 38001, 39200])
def test_a_set_has_mean_and_spread_of_the_line(gate_code):
    i_cc = float(CARD.i_cc(gate_code))
    low, g, _ = written(i_cc)
    p: Any = BASE.mode("nonvolatile").p
    assert g.mean() == pytest.approx(float(icc_line.mean(p, i_cc)), abs=1.2 * DEVICE.g_lsb)
    assert g.std() == pytest.approx(float(icc_line.sigma(p, i_cc)), rel=0.04)
    assert low.mean() == pytest.approx(p.hrs.conductance.value, rel=0.1)
    assert 0.3 < low.std() / low.mean() < 0.6  # 0.2 decade


def test_states_are_whole_codes_that_come_back():
    _, g, array = written(1e-4)
    codes = DEVICE.g_codes(g)
    assert np.array_equal(codes * DEVICE.g_lsb, g)
    assert codes.min() >= 0 and codes.max() < 1 << family.CODE_BITS
    assert np.array_equal(array.g_code.ravel(), codes)


def test_variances_are_those_of_the_table():
    tables = emulated_tables(DEVICE, CARD, 1)
    codes = np.arange(1 << family.CODE_BITS)
    found = DEVICE.var_codes(codes * DEVICE.g_lsb)
    assert np.array_equal(found, np.array(tables.variances)[codes // family.VARIANCE_STEP])
    exact = (DEVICE.read_noise * codes) ** 2
    assert np.abs(np.sqrt(found) - np.sqrt(exact)).max() < 0.8


def test_a_cell_never_begins_its_draws_again():
    """Not before the count of SETs has come round; the code before a pulse is in the name too."""
    array = SimulatedArray(DEVICE, 1, 2, 2, 1)
    seen = []
    for _ in range(100):
        array.pulse([0], DEVICE.v_reset, DEVICE.reset_width_s, None)
        array.pulse([0], DEVICE.v_set, DEVICE.set_width_s, 1e-4)
        seen.append(float(array.g.ravel()[0]))
    assert len(set(seen[:16])) > 12
    assert all(seen[:16] != seen[n : n + 16] for n in range(1, 17))


def test_conversions_are_numbered_within_their_read():
    array = SimulatedArray(DEVICE, 1, 2, 2, 1)
    array.pulse([0, 1], DEVICE.v_reset, DEVICE.reset_width_s, None)

    def read():
        return [array.verify_totals([0, 1])[2].tolist() for _ in range(3)]

    first = read()
    array.select([0, 1])
    assert read() == first
    assert read() != first
    plain = SimulatedArray(BASE, 1, 2, 2, 1)
    before = plain.verify_totals([0])[2]
    plain.select([0])
    assert plain.verify_totals([0])[2] != before


def test_thresholds_are_those_of_the_device():
    tables, section = emulated_tables(DEVICE, CARD, 1), cast(Any, BASE.mode("nonvolatile").p)
    p = section.pulses
    volts = CARD.dac_volts
    assert volts(tables.rail_set - 1) < p.v_set_threshold.value <= volts(tables.rail_set)
    assert volts(tables.rail_reset) <= p.v_reset_threshold.value < volts(tables.rail_reset + 1)
    assert (tables.set_s, tables.reset_s) == (p.set_width_min.value, p.reset_width_min.value)


def test_the_device_comes_back_from_its_record():
    again = from_record(json.loads(json.dumps(to_record(DEVICE))))
    assert emulated_tables(again, CARD, 3) == emulated_tables(DEVICE, CARD, 3)
    assert again.name == "emulated_cspbbr3_ogb" and emulate(again) is again
    assert emulated_tables(DEVICE, CARD, 3).digest != emulated_tables(DEVICE, CARD, 4).digest


def test_every_number_has_its_origin():
    for parameter in DEVICE.parameters:
        assert bool(parameter.source) != bool(parameter.assumed)


@pytest.mark.parametrize("name", ["bion", "all_in_one", "vb3", "ohm"])
def test_other_devices_are_refused(name):
    with pytest.raises(DeviceError):
        emulate(load(name))


def test_what_it_has_no_law_for_is_refused():
    array = SimulatedArray(DEVICE, 1, 2, 2, 1)
    with pytest.raises(DeviceError, match="no currents inside a pulse"):
        array.sweep([0], [0.5], 1e-3, None)
    with pytest.raises(ComplianceError):
        array.pulse([0], DEVICE.v_set, DEVICE.set_width_s, 1e-3)
    with pytest.raises(DeviceError, match="no device of an emulated array"):
        emulated_tables(BASE, CARD, 1)
    with pytest.raises(ConverterError, match="12 bits"):
        emulated_tables(DEVICE, Converters(adc_bits=12), 1)
