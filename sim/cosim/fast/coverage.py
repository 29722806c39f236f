"""Which states and transitions of every state machine a simulation has been through.

What can be taken is read off the elaborated design: each ``m.next`` is a transition
from the state that it stands in. Beside each of them a register is told its number, so
that the last assignment counts, as it does for the state; a sticky bit for each state
and transition comes out of the design. Any simulator can run it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from amaranth import Cat, Const, Elaboratable, Module, Signal
from amaranth.hdl import Fragment, Value
from amaranth.hdl._ast import Assign, Switch
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ....hw.link.microcode import Step

ANY = "*"
"""Stands for any state but the first, which a reset leads back to."""
SEPARATOR = "."
FSM_SUFFIX = "_state"
"""Amaranth calls the register of ``m.FSM(name="x")`` ``x_state``."""


@dataclass(frozen=True)
class Transition:
    """From one state to another; ``before`` is :data:`ANY` for a reset."""

    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.before} -> {self.after}"


@dataclass
class Machine:
    """A state machine of an elaborated design.

    Attributes
    ----------
    path : str
        Names of the submodules that lead to it, and its own where it has one.
    states, transitions
        All that it has, each once.
    state, seen_states, seen_transitions : Signal
        Its register, and a sticky bit for each state and transition in those orders.
    """

    path: str
    states: tuple[str, ...]
    transitions: tuple[Transition, ...]
    state: Signal = field(repr=False)
    seen_states: Signal = field(repr=False)
    seen_transitions: Signal = field(repr=False)


@dataclass(frozen=True)
class Microprogram:
    """A microprogram, which is followed as a state machine of its instructions.

    Attributes
    ----------
    path : str
        What it is called.
    steps : sequence of Step
        Its instructions.
    counter, fetching, jumped : Signal
        Where it is; strobe: this instruction is fetched; a branch has led there.
    """

    path: str
    steps: Sequence[Step]
    counter: Signal
    fetching: Signal
    jumped: Signal

    def followed(self, m: Module) -> Machine:
        """Keep in ``m`` what it does."""
        size = 1 << len(self.counter)
        fetched, onward, jumped = (
            Signal(size, name=f"{kind}_seen") for kind in ("fetched", "onward", "jumped")
        )
        before, known = Signal.like(self.counter), Signal()
        with m.If(self.fetching):
            m.d.sync += [
                before.eq(self.counter),
                known.eq(1),
                fetched.bit_select(self.counter, 1).eq(1),
            ]
            with m.If(known & self.jumped):
                m.d.sync += jumped.bit_select(before, 1).eq(1)
            with m.Elif(known):
                m.d.sync += onward.bit_select(before, 1).eq(1)
        transitions = [
            (Transition(step.name, after), bits[step.place])
            for step in self.steps
            for after, bits in ((step.onward, onward), (step.jump, jumped))
            if after is not None
        ]
        seen_states = Signal(len(self.steps), name="steps_seen")
        seen_transitions = Signal(len(transitions), name="transitions_seen")
        m.d.comb += [
            seen_states.eq(Cat(fetched[step.place] for step in self.steps)),
            seen_transitions.eq(Cat(bit for _, bit in transitions)),
        ]
        return Machine(
            self.path,
            tuple(step.name for step in self.steps),
            tuple(transition for transition, _ in transitions),
            self.counter,
            seen_states,
            seen_transitions,
        )


def instrument(fragment: Fragment, path: tuple[str, ...] = ()) -> list[Machine]:
    """Find the state machines of ``fragment`` and below, and make them keep what they do."""
    machines = [
        _follow(fragment, domain, state, path) for domain, state in _state_registers(fragment)
    ]
    for i, (inner, name, _) in enumerate(fragment.subfragments):
        machines += instrument(inner, (*path, name or f"U{i}"))
    return machines


def _state_registers(fragment: Fragment) -> list[tuple[str, Signal]]:
    """Domain and register of each machine, in the order in which they stand there."""
    found: dict[int, tuple[str, Signal]] = {}
    for domain, statements in fragment.statements.items():
        for statement in statements if domain != "comb" else ():
            if isinstance(statement, Switch) and _is_state(statement.test):
                found[id(statement.test)] = domain, statement.test
    return list(found.values())


def _is_state(value: Value) -> bool:
    return isinstance(value, Signal) and value.name.endswith(FSM_SUFFIX) and callable(value.decoder)


def _name(state: Signal, code: int) -> str:
    decoder: Any = state.decoder
    return decoder(code).rpartition("/")[0]


def _names(state: Signal) -> Iterator[str]:
    for code in range(1 << len(state)):
        try:
            yield _name(state, code)
        except KeyError:
            return


def _follow(fragment: Fragment, domain: str, state: Signal, path: tuple[str, ...]) -> Machine:
    """Number the transitions of the machine, and record each that is taken."""
    names = tuple(_names(state))
    numbers: dict[Transition, int] = {}
    taken = Signal(16, name=f"{state.name}_taken", reset_less=True)

    def beside(assign: Assign, before: str | None) -> list[Assign]:
        if assign.lhs is not state:
            return [assign]
        if not isinstance(assign.rhs, Const):
            raise TypeError(f"{SEPARATOR.join(path)}: {assign!r} is no transition")
        after = _name(state, assign.rhs.value)
        transition = Transition(ANY if before is None else before, after)
        return [assign, taken.eq(numbers.setdefault(transition, len(numbers) + 1))]

    def rewrite(statements: Iterable, before: str | None) -> Iterator:
        for statement in statements:
            if isinstance(statement, Assign):
                yield from beside(statement, before)
            elif isinstance(statement, Switch):
                mine = statement.test is state
                cases = [
                    (
                        patterns,
                        list(rewrite(inner, _name(state, int(patterns[0], 2)) if mine else before)),
                        where,
                    )
                    for patterns, inner, where in statement.cases
                ]
                yield Switch(statement.test, cases, src_loc=statement.src_loc)
            else:
                yield statement

    rewritten = list(rewrite(fragment.statements.pop(domain), None))
    seen_states = Signal(len(names), name=f"{state.name}_seen", reset_less=True)
    seen = Signal(len(numbers), name=f"{state.name}_transitions", reset_less=True)
    was_first = Signal(name=f"{state.name}_was_first", reset_less=True)
    # A reset of a machine that is in its first state leads nowhere.
    cases = [
        (n, [seen[n - 1].eq(1 if each.before != ANY else seen[n - 1] | ~was_first)], None)
        for each, n in numbers.items()
    ]
    fragment.add_statements(
        domain,
        taken.eq(0),
        *rewritten,
        was_first.eq(state == state.init),
        seen_states.bit_select(state, 1).eq(1),
        Switch(taken, cases),
    )
    own = state.name.removesuffix(FSM_SUFFIX)
    return Machine(
        SEPARATOR.join(path if own == "fsm" else (*path, own)),
        names,
        tuple(numbers),
        state,
        seen_states,
        seen,
    )


class _Elaborated(Elaboratable):
    """A fragment as a submodule."""

    def __init__(self, fragment: Fragment) -> None:
        self.fragment = fragment

    def elaborate(self, platform: object) -> Fragment:
        return self.fragment


class Covered(wiring.Component):
    """A design whose state machines say what they have been through.

    Parameters
    ----------
    design : Component
        Not elaborated before; its members must be signals.
    driven, shown : mapping of str to Signal
        Further inputs, and what inside the design they drive; further outputs, and what
        they show.
    programs : sequence of Microprogram
        Those of ``design``.

    Members
    -------
    (those of ``design``, ``driven`` and ``shown``)
    present : Out
        The registers of all machines, one after the other.
    seen : Out
        For each machine a bit for each state, then one for each transition; they
        stay set until the simulation ends.

    Attributes
    ----------
    machines : list of Machine
        In the order of ``present``; ``seen`` has those of the microprograms behind them.
    """

    def __init__(
        self,
        design: wiring.Component,
        driven: Mapping[str, Signal] | None = None,
        shown: Mapping[str, Signal] | None = None,
        programs: Sequence[Microprogram] = (),
    ) -> None:
        self.design = design
        self.driven, self.shown = dict(driven or {}), dict(shown or {})
        self.fragment = Fragment.get(design, None)
        self.machines = instrument(self.fragment)
        self.present_bits = sum(len(machine.state) for machine in self.machines)
        # Made here, since the width of ``seen`` follows from it.
        self._following = Module()
        followed = [program.followed(self._following) for program in programs]
        self._counted = [*self.machines, *followed]
        seen = sum(len(m.states) + len(m.transitions) for m in self._counted)
        super().__init__(
            {
                **design.signature.members,
                **{name: In(len(each), init=each.init) for name, each in self.driven.items()},
                **{name: Out(len(each)) for name, each in self.shown.items()},
                "present": Out(self.present_bits),
                "seen": Out(seen),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.design = _Elaborated(self.fragment)
        m.submodules.following = self._following
        for name, member in self.design.signature.members.items():
            inside, outside = getattr(self.design, name), getattr(self, name)
            m.d.comb += outside.eq(inside) if member.flow is Out else inside.eq(outside)
        m.d.comb += [
            *(inside.eq(getattr(self, name)) for name, inside in self.driven.items()),
            *(getattr(self, name).eq(inside) for name, inside in self.shown.items()),
            self.present.eq(Cat(machine.state for machine in self.machines)),
            self.seen.eq(Cat((each.seen_states, each.seen_transitions) for each in self._counted)),
        ]
        return m

    def coverage(self, seen: int) -> Coverage:
        """What the value of ``seen`` means."""
        found = Coverage()
        for machine in self._counted:
            both: list[set[str]] = []
            for things in (machine.states, machine.transitions):
                both.append({str(thing) for i, thing in enumerate(things) if seen >> i & 1})
                seen >>= len(things)
            every = (list(map(str, machine.states)), list(map(str, machine.transitions)))
            found.add(machine.path, *every, *both)
        return found

    def states(self, present: int) -> dict[str, str]:
        """The state of each machine by its path, for a value of ``present``."""
        found = {}
        for machine in self.machines:
            code = present & (1 << len(machine.state)) - 1
            present >>= len(machine.state)
            found[machine.path] = machine.states[code]
        return found


@dataclass
class Covering:
    """What there is of one machine, and what of it has been seen."""

    states: list[str]
    transitions: list[str]
    seen_states: set[str] = field(default_factory=set)
    seen_transitions: set[str] = field(default_factory=set)

    @property
    def missing(self) -> list[str]:
        """States and transitions that have not been seen, in their order."""
        return [
            *(state for state in self.states if state not in self.seen_states),
            *(each for each in self.transitions if each not in self.seen_transitions),
        ]


class Coverage:
    """What any number of simulations have been through, by the path of the machine."""

    def __init__(self) -> None:
        self.machines: dict[str, Covering] = {}

    def add(
        self,
        path: str,
        states: list[str],
        transitions: list[str],
        seen_states: set[str],
        seen_transitions: set[str],
    ) -> None:
        """One machine of one simulation."""
        each = self.machines.setdefault(path, Covering([], []))
        each.states += [state for state in states if state not in each.states]
        each.transitions += [one for one in transitions if one not in each.transitions]
        each.seen_states |= seen_states
        each.seen_transitions |= seen_transitions

    def merge(self, other: Coverage) -> None:
        """What the other has seen has been seen."""
        for path, each in other.machines.items():
            self.add(path, each.states, each.transitions, each.seen_states, each.seen_transitions)

    def part(self, prefix: str, name: str) -> Coverage:
        """The machine at path ``prefix`` and those below, which become ``name``."""
        found = Coverage()
        for path, each in self.machines.items():
            if path == prefix or path.startswith(prefix + SEPARATOR):
                found.machines[name + path.removeprefix(prefix)] = each
        return found

    def complaints(self, excused: dict[tuple[str, str], str]) -> list[str]:
        """What has not been seen and is not excused, and excuses that are none.

        Parameters
        ----------
        excused : dict
            Reason why it cannot happen, by path and state or transition (``"A -> B"``).
        """
        found = [
            f"{path}: {what} has not been seen"
            for path, each in self.machines.items()
            for what in each.missing
            if (path, what) not in excused
        ]
        for (path, what), reason in excused.items():
            each = self.machines.get(path)
            if each is None or what not in (*each.states, *each.transitions):
                found.append(f"{path}: there is no {what}, which is excused")
            elif what not in each.missing:
                found.append(f"{path}: {what} has been seen, though {reason}")
            elif not reason:
                found.append(f"{path}: {what} is excused without a reason")
        return found

    def table(self) -> str:
        """A line for each machine: states and transitions seen, of all there are."""
        lines = [f"{'machine':36} {'states':>9} {'transitions':>12}"]
        sums = [0, 0, 0, 0]
        for path, each in sorted(self.machines.items()):
            row = [
                len(each.seen_states),
                len(each.states),
                len(each.seen_transitions),
                len(each.transitions),
            ]
            sums = [a + b for a, b in zip(sums, row, strict=True)]
            lines.append(_line(path, row))
        return "\n".join([*lines, _line(f"{len(self.machines)} machines", sums)])

    def record(self) -> dict[str, dict[str, object]]:
        """The same for a file, with what is missing by name."""
        return {
            path: {
                "states": len(each.states),
                "states_seen": len(each.seen_states),
                "transitions": len(each.transitions),
                "transitions_seen": len(each.seen_transitions),
                "missing": each.missing,
            }
            for path, each in sorted(self.machines.items())
        }


def _line(path: str, row: list[int]) -> str:
    return f"{path:36} {row[0]:4}/{row[1]:<4} {row[2]:7}/{row[3]:<4}"
