"""A device: its modes, its weights, what it lacks."""

import pytest

from ohmloom.sim.devices import DeviceError, Recipe, TransitionError, build, load

OGB = load("cspbbr3_ogb")


def test_modes_are_found_by_name_and_then_by_kind():
    assert OGB.modes_called("nonvolatile") == [0]  # the name goes before the kind
    assert OGB.modes_called("nonvolatile_1ma") == [OGB.mode_index("nonvolatile_1ma")]
    assert OGB.modes_called("power") == []
    with pytest.raises(DeviceError, match="cspbbr3_ogb has no mode 'power', it has nonvolatile"):
        OGB.mode("power")


def test_ways_are_those_of_the_entry():
    way = OGB.transition(0, "nonvolatile_1ma", Recipe(i_cc=1e-3))
    assert (way.start, way.to) == ("nonvolatile", "nonvolatile_1ma")
    with pytest.raises(TransitionError, match="I_cc = 0.0001 A"):
        OGB.transition(0, "nonvolatile_1ma", Recipe(i_cc=1e-4))


def test_a_device_without_weights_says_so():
    with pytest.raises(DeviceError, match="vb1 has no mode that holds weight levels, only nonv"):
        load("vb1").levels  # noqa: B018
    assert load("vb1").weights is None


def test_a_number_by_its_name():
    assert OGB.number("modes.nonvolatile.read.v_read") == 0.1 == OGB.v_read
    with pytest.raises(DeviceError, match="no parameter 'read.v_read'"):
        OGB.number("read.v_read")


def test_weights_need_a_family_that_is_programmed():
    document = OGB.document()
    donor = document["modes"].pop("nonvolatile")
    document["modes"]["volatile"].update({key: donor[key] for key in ("levels", "verify", "codes")})
    document["modes"]["nonvolatile_1ma"].pop("wears_with")
    document["transitions"] = []
    with pytest.raises(DeviceError, match="volatile.levels: diffusive cells are not put on levels"):
        build(document, "x")


def test_cells_are_written_by_a_compliance_current_or_by_pulses():
    assert OGB.pulses is None and OGB.compliance.v_set == OGB.v_set == 1.0
    device = load("all_in_one")
    assert device.pulses is not None and device.pulses.made == pytest.approx(1e-7)
    with pytest.raises(DeviceError, match="all_in_one cells are put on levels by pulses of chosen"):
        device.level_i_cc  # noqa: B018
    assert load("vb1").pulses is None


def test_two_modes_that_hold_weights_are_refused():
    document = OGB.document()
    document["modes"]["second"] = document["modes"]["nonvolatile"]
    with pytest.raises(DeviceError, match="second: a second mode that holds weights"):
        build(document, "x")
