"""The states and transitions of a design, and which of them a simulation has been through."""

from __future__ import annotations

import pytest
from amaranth import Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from ohmloom.hw.link.microcode import Step
from ohmloom.sim.cosim.fast.coverage import Coverage, Covered, Microprogram


class Door(wiring.Component):
    """Opens when asked, unless it is locked; a second machine rings a bell."""

    def __init__(self) -> None:
        self.hold = Signal(init=1)
        super().__init__(
            {"ask": In(1), "lock": In(1), "broken": In(1), "alarm": In(1), "open": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m, inner = Module(), Module()
        with inner.FSM() as fsm:
            inner.d.comb += self.open.eq(fsm.ongoing("OPEN"))
            with inner.State("SHUT"), inner.If(self.ask & self.hold):
                inner.next = "OPEN"
                # The last one counts, whatever has been said before.
                with inner.If(self.lock):
                    inner.next = "LOCKED"
            with inner.State("OPEN"):
                inner.next = "SHUT"
                with inner.If(self.broken):
                    inner.next = "OPEN"
            with inner.State("LOCKED"), inner.If(~self.lock):
                inner.next = "SHUT"
        with m.FSM(name="bell"):
            with m.State("QUIET"), m.If(self.alarm):
                m.next = "RINGING"
            with m.State("RINGING"):
                pass
        m.submodules.leaf = ResetInserter(self.alarm)(inner)
        return m


LEAF = ["SHUT -> OPEN", "SHUT -> LOCKED", "OPEN -> SHUT", "OPEN -> OPEN", "LOCKED -> SHUT"]


@pytest.fixture
def visit():
    """``visit(inputs of each cycle)``: the coverage."""

    def run(*cycles: dict[str, int]) -> Coverage:
        design = Door()
        covered = Covered(design, {"hold": design.hold})
        found = []

        async def testbench(ctx):
            for inputs in (*cycles, {}, {}):
                for name in ("ask", "lock", "broken", "alarm"):
                    ctx.set(getattr(covered, name), inputs.get(name, 0))
                ctx.set(covered.hold, inputs.get("hold", 1))
                where = covered.states(ctx.get(covered.present))
                assert ctx.get(covered.open) == (where["leaf"] == "OPEN")
                await ctx.tick()
            found.append(covered.coverage(ctx.get(covered.seen)))

        sim = Simulator(covered)
        sim.add_clock(1e-6)
        sim.add_testbench(testbench)
        sim.run()
        return found[0]

    return run


def seen(coverage: Coverage, path: str) -> tuple[set[str], set[str]]:
    each = coverage.machines[path]
    return each.seen_states, each.seen_transitions


def test_all_machines_with_their_states_and_transitions_are_found(visit):
    coverage = visit({})
    assert set(coverage.machines) == {"bell", "leaf"}
    assert coverage.machines["bell"].states == ["QUIET", "RINGING"]
    assert set(coverage.machines["leaf"].states) == {"SHUT", "OPEN", "LOCKED"}
    assert coverage.machines["leaf"].transitions == [*LEAF, "* -> SHUT"]
    assert seen(coverage, "leaf") == ({"SHUT"}, set())


def test_only_the_transition_that_counts_has_been_taken(visit):
    assert seen(visit({"ask": 1, "lock": 1}), "leaf")[1] == {"SHUT -> LOCKED", "LOCKED -> SHUT"}
    assert seen(visit({"ask": 1}), "leaf")[1] == {"SHUT -> OPEN", "OPEN -> SHUT"}
    stays = {"SHUT -> OPEN", "OPEN -> OPEN", "OPEN -> SHUT"}
    assert seen(visit({"ask": 1}, {"broken": 1}), "leaf")[1] == stays
    assert seen(visit({"ask": 1, "hold": 0}), "leaf")[1] == set()


def test_a_reset_is_no_other_transition_and_none_in_the_first_state(visit):
    assert seen(visit({"alarm": 1}), "leaf")[1] == set()
    assert seen(visit({"ask": 1, "alarm": 1}), "leaf")[1] == set()
    assert seen(visit({"ask": 1}, {"alarm": 1}), "leaf")[1] == {"SHUT -> OPEN", "* -> SHUT"}
    assert seen(visit({"alarm": 1}), "bell") == ({"QUIET", "RINGING"}, {"QUIET -> RINGING"})


WHOLE = ({"ask": 1}, {"broken": 1}, {}, {"ask": 1, "lock": 1}, {}, {"ask": 1}, {"alarm": 1})


def test_runs_add_up_and_what_is_missing_is_named(visit):
    total = Coverage()
    total.merge(visit({"ask": 1}))
    assert total.complaints({})[0] == "bell: RINGING has not been seen"
    assert "leaf: SHUT -> LOCKED has not been seen" in total.complaints({})
    total.merge(visit(*WHOLE))
    assert total.complaints({}) == []
    record = total.record()["leaf"]
    assert record["transitions"] == record["transitions_seen"] == 6 and record["missing"] == []
    assert "leaf                                    3/3          6/6" in total.table()


def test_excuses_are_held_to_what_they_say(visit):
    some = visit(*WHOLE[:-1])
    true = {
        ("bell", "RINGING"): "no alarm",
        ("bell", "QUIET -> RINGING"): "no alarm",
        ("leaf", "* -> SHUT"): "no alarm",
    }
    assert some.complaints(true) == []
    assert some.complaints(true | {("leaf", "OPEN"): "planted"}) == [
        "leaf: OPEN has been seen, though planted"
    ]
    assert some.complaints(true | {("leaf", "LOST"): "planted"}) == [
        "leaf: there is no LOST, which is excused"
    ]
    assert some.complaints(true | {("bell", "RINGING"): ""}) == [
        "bell: RINGING is excused without a reason"
    ]


def test_a_part_has_names_of_its_own(visit):
    part = visit(*WHOLE).part("leaf", "other")
    assert list(part.machines) == ["other"] and not part.complaints({})


class Looping(wiring.Component):
    """Takes two cycles an instruction: one to three, then back to two if asked, or to one."""

    def __init__(self) -> None:
        self.counter, self.fetching = Signal(2, init=1), Signal(init=1)
        self.jumped = Signal()
        super().__init__({"ask": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.fetching.eq(~self.fetching)
        with m.If(~self.fetching):
            m.d.sync += self.jumped.eq(self.counter == 3)
            m.d.sync += self.counter.eq(self.counter + 1)
            with m.If(self.counter == 3):
                m.d.sync += self.counter.eq(Mux(self.ask, 2, 1))
        return m


@pytest.mark.parametrize("asked", [0, 1])
def test_a_microprogram_is_followed_from_instruction_to_instruction(asked: int) -> None:
    """Only one of two ends of a branch is taken: the other one is missing."""
    design = Looping()
    steps = [
        Step("one", 1, "two", None),
        Step("two", 2, "three", None),
        Step("three", 3, None, "two" if asked else "one"),
        Step("never", 0, "one", "two"),
    ]
    program = Microprogram("p", steps, design.counter, design.fetching, design.jumped)
    covered = Covered(design, programs=[program])
    found = []

    async def testbench(ctx) -> None:
        ctx.set(covered.ask, asked)
        await ctx.tick().repeat(20)
        found.append(covered.coverage(ctx.get(covered.seen)))

    sim = Simulator(covered)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert found[0].machines["p"].missing == ["never", "never -> one", "never -> two"]
    assert found[0].machines["p"].seen_states == {"one", "two", "three"}
