"""The whole controller with its chips, whose state machines say what they have been through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ohmloom.hw.afe import ad7476a
from ohmloom.hw.afe.adc_part import CODE_BITS
from ohmloom.hw.afe.pmod import PmodCard
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Dac, Instruction, Op, Reg, encode, instruction
from ohmloom.hw.link.codec import Frame, encode_frame
from ohmloom.hw.link.coroutine import AsyncLinkClient
from ohmloom.hw.link.exchange import LinkError, LinkRefused, RunResult
from ohmloom.hw.link.program import write
from ohmloom.hw.link.protocol import RUN_HEAD, Info, Kind, Space
from ohmloom.hw.profile import Drive, ModeRecord, Profile, WayRecord, pack_profile, quarters
from ohmloom.hw.profile import Kind as Mode
from ohmloom.hw.top import Top
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.bench import Bench
from ohmloom.sim.cosim.chips.pmod import PmodChips
from ohmloom.sim.cosim.fast.build import library, ports
from ohmloom.sim.cosim.fast.coverage import Coverage, Covered, Microprogram
from ohmloom.sim.cosim.fast.engine import Engine
from ohmloom.sim.cosim.fast.harness import FastHarness, complete

CLK_HZ, BIT_CYCLES = 48_000_000, 4
GEOMETRY = Geometry(rows=8, columns=8, tiles=2, program_depth=64, param_depth=512, act_depth=128)
PMOD_HZ = 12_000_000
PMOD_GEOMETRY = Geometry(
    rows=4, columns=4, tiles=1, step=2, program_depth=64, param_depth=32, act_depth=16,
    lut=False, pool=False, residual=False, argmax=False,
)  # fmt: skip
CARD = Converters()
REPLY_CYCLES = 50_000
ANSWER_CYCLES = 5000
"""More than an acknowledgement takes on the line."""
STEPS = 200_000
"""Clock edges after which something that is waited for counts as missing."""


WIDE = Drive(
    gate_low=0, gate_high=0xFFFF, gap_low=0, gap_high=0, rail_low=0, rail_high=0xFFFF,
    width_max=1 << 30, limited=0,
)  # fmt: skip
ANALOG, POWER, WRITE_ONCE, VOLATILE = range(4)
RECIPE = 400
"""Parameter address of the recipe of each way."""
PROFILE = Profile(
    modes=(
        ModeRecord(Mode.ANALOG, WIDE, verify=True),
        ModeRecord(Mode.POWER, WIDE, source=True),
        ModeRecord(Mode.NONVOLATILE, WIDE, write_once=True, unwritten=50),
        ModeRecord(Mode.VOLATILE, WIDE),
    ),
    ways=(
        WayRecord(ANALOG, VOLATILE, WIDE, RECIPE),
        WayRecord(ANALOG, POWER, WIDE, RECIPE, irreversible=True),
        WayRecord(VOLATILE, ANALOG, WIDE, RECIPE),
    ),
)
"""Of a device that does not exist: each kind of mode and way."""


@dataclass
class Card:
    """A controller with one of the front ends and its chips, elaborated."""

    covered: Covered
    clk_hz: int
    code_bits: int

    @classmethod
    def of(cls, bench: Any, clk_hz: int, code_bits: int) -> Card:
        driven = {"interlock": bench.chips.interlock, "abort": bench.top.abort}
        shown = {"ready": bench.top.afe.core.ready}
        command = bench.top.link.command
        info = Info.of(command.geometry, command.clk_hz, command.front_end).pack()
        steps = write(command.geometry, info).steps()
        program = Microprogram(
            "top.link.command", steps, command.counter, command.fetching, command.jumped
        )
        return cls(Covered(bench, driven, shown, [program]), clk_hz, code_bits)


class Rig:
    """One simulation: the host's link, the pins, and where each machine is.

    Attributes
    ----------
    codes : callable
        The codes of a conversion, one a column; a scenario sets it.
    """

    def __init__(self, card: Card, path: Path) -> None:
        self.covered = covered = card.covered
        self.geometry: Geometry = covered.design.geometry
        self.code_bits = card.code_bits
        self.engine = Engine(path, ports(covered), BIT_CYCLES)
        clk_hz = card.clk_hz
        job: Any = SimpleNamespace(clk_hz=clk_hz, bit_cycles=BIT_CYCLES, jump=True)
        self.harness = FastHarness(self.engine, job)
        self.link = AsyncLinkClient(self.harness.transport, timeout=REPLY_CYCLES / clk_hz)
        self.codes: Callable[[], Sequence[int]] = lambda: [100 * n for n in range(8)]
        self.watched = ()
        self.adopted = False
        self.moved = None

    def play(self, scenario: Callable) -> Coverage:
        """What the machines have been through when the scenario has ended."""
        with self.engine as engine:
            engine.set("interlock", 1)
            complete(self._play(scenario))
            return self.covered.coverage(engine.get("seen"))

    async def _play(self, scenario: Callable) -> None:
        pins: Any = self
        await self.harness.begin(pins)
        self.until_ready()
        self.answer(7, Kind.CLEAR)  # before a PING any number is taken
        await self.link.ping()
        await scenario(self)
        self.step(20)

    def convert(self, now: int, inference: int, epoch: int, index: int) -> int:
        """Answers a conversion: see :class:`~ohmloom.sim.cosim.pins.CardPins`."""
        bits = self.code_bits
        codes = list(self.codes())[: self.geometry.columns]
        return sum((code & (1 << bits) - 1) << bits * n for n, code in enumerate(codes))

    def step(self, edges: int = 1) -> None:
        until = self.engine.edges + edges
        while self.engine.edges < until:
            self.harness.run(until)

    def state(self, path: str) -> str:
        return self.covered.states(self.engine.get("present"))[path]

    def until(self, path: str, *states: str) -> None:
        """Step until the machine is in one of the states."""
        for _ in range(STEPS):
            self.step()
            if self.state(path) in states:
                return
        raise TimeoutError(f"{path} is in {self.state(path)} and never in {states}")

    @property
    def ready(self) -> bool:
        """Whether the front end is initialised."""
        return bool(self.engine.get("ready"))

    def until_ready(self) -> None:
        while not self.ready:
            self.step()

    def set(self, name: str, value: int) -> None:
        self.engine.set(name, value)

    async def request(self, kind: Kind, payload: bytes = b"") -> None:
        """A request that the client has no method for; a refusal is an answer too."""
        with suppress(LinkRefused):
            await self.link._perform(self.link.exchanges._request(kind, payload))

    def answer(self, seq: int, kind: int, payload: bytes = b"", edges: int = 4000) -> None:
        """A frame as it is, and time for what comes of it."""
        self.engine.send(encode_frame(Frame(seq, kind, payload)))
        self.step(edges + 2 * BIT_CYCLES * 10 * len(payload))
        self.engine.received()

    async def load(self, *code: Instruction | int, params: Sequence[int] = ()) -> None:
        """A program from address 0 on, with its HALT, and parameters from 0 on."""
        words = [each if isinstance(each, int) else encode(each) for each in code]
        await self.link.write_words(Space.PROGRAM, 0, [*words, encode(instruction(Op.HALT))])
        if params:
            await self.link.write_words(Space.PARAM, 0, params)

    async def run(self, *code: Instruction | int, params: Sequence[int] = ()) -> RunResult:
        await self.load(*code, params=params)
        return await self.link.run(0, 0)

    async def refused(self, *code: Instruction | int, params: Sequence[int] = ()) -> None:
        """Run what the controller does not take, or cannot finish."""
        with pytest.raises(LinkError):
            await self.run(*code, params=params)
        assert (await self.link.status()).last.illegal

    async def start(self, *code: Instruction | int, params: Sequence[int] = ()) -> None:
        """Run, after a wait that is longer than the answer, and do not wait for the end."""
        await self.load(instruction(Op.WAIT, cycles=ANSWER_CYCLES), *code, params=params)
        await self.request(Kind.RUN, RUN_HEAD.pack(0, 0))

    def stop(self) -> None:
        """Open the interlock and close it again."""
        self.set("interlock", 0)
        self.step(8)
        self.set("interlock", 1)
        self.step(8)

    async def recover(self) -> None:
        """Out of the safe state, and initialised again."""
        self.step(REPLY_CYCLES // 10)
        self.engine.received()
        await self.link.clear()
        self.until_ready()

    async def set_up(self, **registers: int) -> None:
        """A profile, the modes of both tiles, the rails for reading, and registers."""
        if not self.adopted:
            words = quarters(pack_profile(PROFILE))
            await self.link.write_words(Space.PROFILE, 0, words)
            self.adopted = True
        await self.run(
            instruction(Op.ADOPT),
            *(
                instruction(Op.RESTORE, tile=tile, mode=mode)
                for tile, mode in enumerate((ANALOG, POWER)[: self.geometry.tiles])
            ),
            instruction(Op.DAC, channel=Dac.RAIL_A, code=CARD.read_code(0.1)),
            instruction(Op.DAC, channel=Dac.GATE_ON, code=CARD.gate_on_code),
            *(instruction(Op.SET, reg=Reg[name], value=n) for name, n in registers.items()),
        )


def array_card() -> Card:
    """The array card's bench."""
    bench = Bench(GEOMETRY, CLK_HZ, CLK_HZ // BIT_CYCLES)
    return Card.of(bench, CLK_HZ, CODE_BITS)


class PmodBench(wiring.Component):
    """The controller behind the pmod front end, with the ports that the engine needs."""

    def __init__(self) -> None:
        self.geometry = PMOD_GEOMETRY
        self.top = Top(
            PMOD_GEOMETRY, PMOD_HZ, PMOD_HZ // BIT_CYCLES, PmodCard(PMOD_GEOMETRY, PMOD_HZ)
        )
        self.chips = PmodChips(PMOD_GEOMETRY, PMOD_HZ)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "jump": In(1),
                "horizon": In(64),
                "now": Out(64),
                "skipped": Out(64),
                "sample": Out(1),
                "codes": In(ad7476a.CODE_BITS * PMOD_GEOMETRY.columns),
                "tag_inference": Out(1),
                "tag_epoch": Out(32),
                "tag_index": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.top, m.submodules.chips = top, chips = self.top, self.chips
        wiring.connect(m, top.pins, chips.pins)
        m.d.comb += [
            top.rx.eq(self.rx),
            self.tx.eq(top.tx),
            top.jump.eq(self.jump),
            top.horizon.eq(self.horizon),
            self.now.eq(top.now),
            self.skipped.eq(top.skipped),
            chips.skipped.eq(top.skipped),
            self.sample.eq(chips.sample),
            chips.codes.as_value().eq(self.codes),
            self.tag_inference.eq(top.tag.inference),
            self.tag_epoch.eq(top.tag.epoch),
            self.tag_index.eq(top.tag.index),
        ]
        return m


def pmod() -> Card:
    """The breadboard's bench."""
    bench = PmodBench()
    return Card.of(bench, PMOD_HZ, ad7476a.CODE_BITS)


CARDS = {"array_card": array_card, "pmod": pmod}


@pytest.fixture(scope="session")
def play() -> Callable[[Callable, str], Coverage]:
    """``play(scenario, card)``: a simulation of its own for each."""
    made: dict[str, tuple[Card, Path]] = {}

    def one(scenario: Callable, name: str) -> Coverage:
        if name not in made:
            card = CARDS[name]()
            made[name] = card, library(card.covered)
        return Rig(*made[name]).play(scenario)

    return one
