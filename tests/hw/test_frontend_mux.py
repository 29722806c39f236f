"""The front end's multiplexer: one user sees everything, the others see it busy."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Const, Value
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from ohmloom.hw.frontend_mux import FrontEndMux
from ohmloom.hw.geometry import Geometry

GEOMETRY = Geometry(rows=8, columns=16)
USERS = 3
SHARED = {("ready",), ("active",), ("samples", "payload")}
"""What every user sees, selected or not."""


def leaves(interface, flow) -> dict[tuple, Value]:
    """The plain signals of an interface in one direction, by path; constants left out."""
    found = {
        path: Value.cast(value)
        for path, member, value in interface.signature.flatten(interface)
        if member.flow is flow
    }
    return {path: value for path, value in found.items() if not isinstance(value, Const)}


def drive(ctx, signals: dict[tuple, Value], value) -> dict[tuple, int]:
    """Set every signal to ``value(bits)``; what was set."""
    given = {path: value(len(signal)) for path, signal in signals.items()}
    for path, signal in signals.items():
        ctx.set(signal, given[path])
    return given


def read(ctx, signals: dict[tuple, Value]) -> dict[tuple, int]:
    return {path: ctx.get(signal) for path, signal in signals.items()}


def run(bench, dut) -> None:
    sim = Simulator(dut)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("select", range(USERS))
def test_the_selected_user_has_the_front_end_and_the_others_see_it_busy(select):
    dut = FrontEndMux(GEOMETRY, USERS)
    rng = random.Random(select)

    async def bench(ctx):
        ctx.set(dut.select, select)
        for _ in range(20):
            # A request is an output of its user, hence an input of the mux.
            asked = [drive(ctx, leaves(user, In), rng.getrandbits) for user in dut.users]
            told = drive(ctx, leaves(dut.fe, In), rng.getrandbits)
            tia_range = rng.getrandbits(3)
            ctx.set(dut.range, tia_range)
            assert read(ctx, leaves(dut.fe, Out)) == asked[select] | {("range",): tia_range}
            for n, user in enumerate(dut.users):
                seen = {
                    path: value if n == select or path in SHARED else 0
                    for path, value in told.items()
                }
                assert read(ctx, leaves(user, Out)) == seen

    run(bench, dut)


def test_what_the_others_ask_does_nothing():
    dut = FrontEndMux(GEOMETRY, USERS)

    async def bench(ctx):
        ctx.set(dut.select, 1)
        for user in (dut.users[0], dut.users[2]):
            drive(ctx, leaves(user, In), lambda bits: (1 << bits) - 1)
        assert set(read(ctx, leaves(dut.fe, Out)).values()) == {0}
        # What is driven and read here is the whole interface.
        names = {path[0] for flow in (In, Out) for path in leaves(dut.fe, flow)}
        assert names == set(dut.fe.signature.members)

    run(bench, dut)
