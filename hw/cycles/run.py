"""Cycles of a run, instruction by instruction. Plain Python.

What a run takes follows from its program, its ``POOL`` records and the front end alone:
not from activations, conductances or codes. Instructions execute one after the other, and
what one takes depends on those before it in three ways only, which :class:`State` holds.
Each round of a loop leaves the state that the first one has left, so that all rounds but
the first take the same: two walks of a body do, whatever it counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from ...errors import OhmloomError
from ..banks import Banks
from ..geometry import Geometry
from ..image import Image
from ..isa import LOOP_DEPTH, Instruction, Op, Reg
from ..profile import ADOPT_CYCLES
from ..ranges import RANGE_BITS, TEMPERATURE_RANGE
from .front_end import FrontEndCycles
from .mvm import mvm_cycles
from .post import POST_OPS, post_cycles

BEGIN_CYCLES = 2
"""From the strobe of a run to its first fetch, where the front end is ready."""
DISPATCH_CYCLES = 3
"""Fetch, decode and execute."""
MOVE_CYCLES = 1
"""More for every instruction inside a loop."""
ENGINE_CYCLES = 2
"""More for an engine, around the cycles from its start strobe to ``done``."""
RESTORE_CYCLES = 2
ADOPTED_CYCLES = 1
"""From start to ``done`` of an ``ADOPT`` where a profile is adopted."""

CELL_OPS = (Op.PROGRAM, Op.READ, Op.PULSE, Op.SWEEP, Op.MODE)
"""Instructions whose time depends on cells, modes or measurements; an ``MVM`` behind one of
them connects columns and gates anew."""


class CycleError(OhmloomError, ValueError):
    """A run that has no cycles of its own: they depend on more than its program."""


@dataclass(frozen=True)
class State:
    """What a controller keeps from run to run that counts; the default is that of a reset.

    Attributes
    ----------
    tia_range:
        The range on the pins (``Reg.TIA_RANGE``).
    configured:
        Columns and gates are still connected from an ``MVM``.
    adopted:
        A device profile is adopted.
    banks:
        What the bank registers hold.
    """

    tia_range: int = 0
    configured: bool = False
    adopted: bool = False
    banks: Banks = Banks()


@dataclass(frozen=True)
class Step:
    """An instruction of a run.

    Attributes
    ----------
    address:
        Where it is.
    instruction:
        What it is, with the addresses that banks make.
    times:
        How often it is executed.
    cycles:
        What it takes, all of these together.
    """

    address: int
    instruction: Instruction
    times: int
    cycles: int


@dataclass(frozen=True)
class Run:
    """A run that ends at its ``HALT``.

    Attributes
    ----------
    cycles:
        What the controller counts: from RUN to HALT.
    steps:
        Its instructions by address; ``HALT`` has its own cycles, and the run
        :data:`BEGIN_CYCLES` on top.
    after:
        The state that it leaves.
    parts:
        Of an inference in several runs, with the host between them: what each takes.
    """

    cycles: int
    steps: tuple[Step, ...]
    after: State
    parts: tuple[int, ...] = ()

    def by_op(self) -> dict[str, int]:
        """Cycles of each kind of instruction, by its name, in the order of opcodes."""
        found: dict[Op, int] = defaultdict(int)
        for step in self.steps:
            found[step.instruction.op] += step.cycles
        return {op.name: found[op] for op in sorted(found)}


@dataclass(frozen=True)
class Inference:
    """Inferences: the first one after the cells have been driven, and the following.

    Where the host takes part in it, all of its runs together.
    """

    first: Run
    later: Run


def run_cycles(
    image: Image, front_end: FrontEndCycles, entry: str = "infer", before: State | None = None
) -> Run:
    """What the run of an entry takes.

    A run that the controller refuses ends sooner.

    Parameters
    ----------
    image : Image
        Program and parameters.
    front_end : FrontEndCycles
        What is behind the controller. It is ready when the run begins.
    entry : str
        Entry of the image.
    before : State, optional
        Of the controller; by default what ``setup`` leaves (:func:`state_after`), and for
        ``setup`` itself that of a reset.

    Raises
    ------
    CycleError
        If an instruction takes as long as cells or a host make it, the controller lacks it,
        or the run has no end.
    IsaError
        If a ``POOL`` has no record.
    """
    if before is None:
        before = State() if entry == "setup" else state_after(image, "setup")
    params = image.params.tolist()

    def cost(instr: Instruction, state: State) -> int:
        return instruction_cycles(instr, params, image.geometry, front_end, state)

    walk = _Walk(image, cost)
    _, after = walk.body(image.entries[entry], before)
    steps = tuple(
        Step(at, walk.instructions[at], walk.times[at], walk.cycles[at])
        for at in sorted(walk.times)
    )
    return Run(BEGIN_CYCLES + sum(step.cycles for step in steps), steps, after)


def state_after(image: Image, entry: str, before: State | None = None) -> State:
    """The state that a run of an entry leaves; ``before`` where there is no such entry."""
    before = before or State()
    if entry not in image.entries:
        return before
    return _Walk(image, lambda instr, state: 0).body(image.entries[entry], before)[1]


def executed(image: Image) -> dict[int, int]:
    """How often each instruction of an inference is executed, by its address.

    Raises
    ------
    CycleError
        If the controller lacks an instruction, or the run has no end.
    """
    walk = _Walk(image, lambda instr, state: 0)
    for entry in image.runs:
        walk.body(image.entries[entry], State())
    return {at: walk.times[at] for at in sorted(walk.times)}


def inference(image: Image, front_end: FrontEndCycles) -> Inference:
    """What inferences take behind ``setup``; see :func:`run_cycles`.

    Raises
    ------
    CycleError, IsaError
        See there.
    """
    first = _together(image, front_end, None)
    return Inference(first, _together(image, front_end, first.after))


def _together(image: Image, front_end: FrontEndCycles, before: State | None) -> Run:
    """All runs of an inference."""
    runs: list[Run] = []
    for entry in image.runs:
        runs.append(run_cycles(image, front_end, entry, before))
        before = runs[-1].after
    return Run(
        sum(run.cycles for run in runs),
        tuple(step for run in runs for step in run.steps),
        runs[-1].after,
        tuple(run.cycles for run in runs),
    )


def instruction_cycles(
    instr: Instruction,
    params: list[int],
    geometry: Geometry,
    front_end: FrontEndCycles,
    state: State,
) -> int:
    """Cycles of an instruction that is inside no loop, fetching and decoding included.

    Raises
    ------
    CycleError, IsaError
        See :func:`run_cycles`.
    """
    engine = DISPATCH_CYCLES + ENGINE_CYCLES
    match instr.op:
        case Op.WAIT:
            return DISPATCH_CYCLES + instr["cycles"]
        case Op.DAC:
            if geometry.compact:
                raise CycleError(
                    "DAC in a compact controller takes a cycle more where its guard has to "
                    "fetch the limits of another channel, which the link may have asked for"
                )
            shifting = front_end.write[instr["channel"]]
            return DISPATCH_CYCLES + 1 + shifting + max(1, front_end.dac_settle)
        case Op.MVM:
            return engine + mvm_cycles(
                geometry,
                front_end,
                instr["planes"],
                state.tia_range,
                clear=bool(instr["clear"]),
                configured=state.configured,
            )
        case Op.ADOPT:
            return engine + (ADOPTED_CYCLES if state.adopted else ADOPT_CYCLES)
        case Op.RESTORE:
            return engine + RESTORE_CYCLES
        case op if op in POST_OPS:
            return engine + post_cycles(instr, params, geometry)
        case op if op in CELL_OPS:
            raise CycleError(f"{op.name} takes as long as cells and modes make it")
        case _:
            return DISPATCH_CYCLES


def _following(instr: Instruction, state: State) -> State:
    """The state behind an instruction."""
    match instr.op:
        case Op.MVM:
            return replace(state, configured=True)
        case Op.ADOPT:
            return replace(state, adopted=True)
        case Op.SET if instr["reg"] == Reg.TIA_RANGE:
            return replace(state, tia_range=instr["value"] & (1 << RANGE_BITS) - 1)
        case op if op in CELL_OPS:
            return replace(state, configured=False)
        case Op.SET:
            return replace(state, banks=state.banks.after(instr))
        case _:
            return state


class _Walk:
    """Follows a program and adds up what ``cost`` says of its instructions."""

    def __init__(self, image: Image, cost: Callable[[Instruction, State], int]) -> None:
        self.code = image.code
        self.geometry = image.geometry
        self.cost = cost
        self.instructions: dict[int, Instruction] = {}
        self.times: dict[int, int] = defaultdict(int)
        self.cycles: dict[int, int] = defaultdict(int)

    def body(
        self, at: int, state: State, times: int = 1, depth: int = 0
    ) -> tuple[int | None, State]:
        """What is executed ``times`` times from ``at`` on, to the ``END`` of its loop or ``HALT``.

        Returns the address behind the former, or None, and the state.
        """
        while at < len(self.code):
            instr = self.code[at]
            if self.geometry.banks:
                instr = state.banks.moved(instr)
            self._check(at, instr, depth)
            self.instructions[at] = instr
            taken = self.cost(instr, state) + MOVE_CYCLES * (depth > 0)
            self.times[at] += times
            self.cycles[at] += times * taken
            state, at = _following(instr, state), at + 1
            if instr.op is Op.HALT:
                return None, state
            if instr.op is Op.END:
                return at, state
            if instr.op is Op.LOOP:
                behind, state = self.body(at, state, times, depth + 1)
                if behind is None:  # in the first round of all loops around
                    return None, state
                if instr["count"] > 1:
                    _, state = self.body(at, state, times * (instr["count"] - 1), depth + 1)
                at = behind
        raise CycleError(f"the program runs past its end, address {len(self.code)}")

    def _check(self, at: int, instr: Instruction, depth: int) -> None:
        op = instr.op
        if not self.geometry.has(op):
            raise CycleError(f"address {at}: this controller has no {op.name}")
        if op is Op.END and depth == 0:
            raise CycleError(f"address {at}: an END without a LOOP")
        if op is Op.LOOP and depth == LOOP_DEPTH:
            raise CycleError(f"address {at}: a LOOP inside {LOOP_DEPTH} others")
        if _following(instr, State()).tia_range == TEMPERATURE_RANGE:
            raise CycleError(
                f"address {at}: range {TEMPERATURE_RANGE} is that of the converters' "
                "temperatures, and what sets them for it goes on beside the program"
            )
