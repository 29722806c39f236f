"""Which recipes a transition takes."""

import pytest
from pydantic import ValidationError

from ohmloom.sim.devices import Recipe, TransitionError
from ohmloom.sim.devices.modes import Transition, choose


def amount(value, unit):
    return {"value": value, "unit": unit, "assumed": "test"}


def way(start="analog", to="power", **rules):
    return Transition.model_validate({"from": start, "to": to, "assumed": "test", **rules})


POWER = way(rate_max=amount(0.05, "V/s"), atmosphere=["air"], electrodes=["Pt", "Ag"])
LOW = way("power", "volatile", i_cc_max=amount(1e-4, "A"), v_min=amount(3.0, "V"))
HIGH = way("power", "nonvolatile", i_cc_min=amount(5e-4, "A"))


@pytest.mark.parametrize(
    ("rule", "recipe", "complaint"),
    [
        (POWER, Recipe(), None),
        (POWER, Recipe(rate_v_s=0.05, atmosphere="air", electrode="Ag"), None),
        (POWER, Recipe(rate_v_s=1.0), "1 V/s, accepted is 0.05 V/s or slower"),
        (POWER, Recipe(rate_v_s=0.0), "0 V/s"),
        (POWER, Recipe(atmosphere="vacuum"), "vacuum, accepted is air"),
        (POWER, Recipe(electrode="Ti"), "Ti, accepted is Pt or Ag"),
        (LOW, Recipe(i_cc=9.9e-5, volts=-3.0), None),
        (LOW, Recipe(i_cc=1e-4), "I_cc = 0.0001 A, accepted is below 0.0001 A"),
        (LOW, Recipe(volts=2.9), "2.9 V, accepted is 3 V or more"),
        (HIGH, Recipe(i_cc=5e-4), None),
        (HIGH, Recipe(i_cc=4.9e-4), "I_cc = 0.00049 A, accepted is from 0.0005 A"),
        (HIGH, Recipe(i_cc=float("nan")), "I_cc = nan A"),
        (HIGH, Recipe(volts=0.0, rate_v_s=9.0, atmosphere="vacuum", electrode="Ti"), None),
    ],
)
def test_a_recipe(rule, recipe, complaint):
    found = recipe.complaint(rule)
    assert found is None if complaint is None else found is not None and complaint in found


def test_the_first_way_that_takes_the_recipe_is_taken():
    slow = way(rate_max=amount(0.01, "V/s"))
    ways = [slow, POWER, LOW, HIGH]
    assert choose(ways, ["power"], "analog", "power", Recipe()) is slow
    assert choose(ways, ["power"], "analog", "power", Recipe(rate_v_s=0.02)) is POWER
    digital = ["volatile", "nonvolatile"]
    assert choose(ways, digital, "power", "digital", Recipe(i_cc=1e-3)) is HIGH


def test_no_way():
    ways = [POWER, LOW, HIGH]
    with pytest.raises(TransitionError, match="from power to analog; from there .* volatile, nonv"):
        choose(ways, ["analog"], "power", "analog", Recipe())
    with pytest.raises(TransitionError, match="volatile to analog; .* no other mode"):
        choose(ways, ["analog"], "volatile", "analog", Recipe())


def test_the_gap_between_two_recipes():
    with pytest.raises(TransitionError, match="below 0.0001 A or .* from 0.0005 A"):
        choose([LOW, HIGH], ["volatile", "nonvolatile"], "power", "digital", Recipe(i_cc=2e-4))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"assumed": None}, "needs its source"),
        ({"source": "seed 004"}, "not both"),
        ({"i_cc_min": amount(1e-3, "mA")}, "the unit is 'mA'"),
        ({"i_cc_min": amount(0.0, "A")}, "not above 0"),
        ({"speed": 3}, "Extra inputs"),
    ],
)
def test_a_broken_rule(rules, said):
    with pytest.raises(ValidationError, match=said):
        way(**rules)
