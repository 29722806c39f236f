from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ohmloom.boards.board import BoardError
from ohmloom.boards.build import plan_commands, prepare
from ohmloom.boards.catalogue import board
from ohmloom.boards.catalogue.icebreaker import PMODS
from ohmloom.boards.header import pinout
from ohmloom.hw.afe.array_card import pins_signature

ICEBREAKER = board("icebreaker")
STANDARD = ICEBREAKER.standard


def test_every_pin_has_a_site_of_its_own_and_the_pmods_are_full() -> None:
    plan = prepare(ICEBREAKER.controller(STANDARD), ICEBREAKER)
    sites = dict(re.findall(r"set_io (\S+) (\d+)", str(plan.files["top.pcf"])))
    assert len(set(sites.values())) == len(sites)
    assert len([name for name in sites if name.startswith("card")]) == 24
    assert sites["clk12_0__io"] == "35"
    assert (sites["uart_0__rx__io"], sites["uart_0__tx__io"]) == ("6", "9")
    assert [command[0] for command in plan_commands(plan)] == ["yosys", "nextpnr-ice40", "icepack"]


def test_without_its_chain_the_card_has_more_pins_than_the_pmods() -> None:
    with pytest.raises(BoardError, match="the card has 44 pins, the header 24"):
        pinout(pins_signature(STANDARD), PMODS)


def test_what_is_left_out_is_said_and_refused() -> None:
    for name in ("pool", "lut", "residual", "verify", "loop", "slices"):
        assert name in STANDARD.left_out
        with pytest.raises(BoardError, match=f"built without {name}, which the bundle asks for"):
            ICEBREAKER.check(replace(STANDARD, **{name: True}))
    with pytest.raises(BoardError, match="built without single"):
        ICEBREAKER.check(replace(STANDARD, single=True))
    # What is always in.
    assert STANDARD.pulse and "pulse" not in STANDARD.left_out


def test_underscores_name_it_too() -> None:
    assert board("ulx3s_85f") is board("ulx3s-85f")
