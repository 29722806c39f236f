"""The controller behind the pmod front end runs a program; the numpy engine agrees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from ohmloom.hw.afe import ad5628, pmod
from ohmloom.hw.afe.pmod import PmodAdc, PmodCard
from ohmloom.hw.cycles import inference
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import Dac, Instruction, Op, Reg, encode, instruction, pack_level, pack_requant
from ohmloom.hw.link.coroutine import AsyncLinkClient
from ohmloom.hw.link.protocol import Space
from ohmloom.hw.profile import Drive, Kind, ModeRecord, Profile, pack_profile, quarters
from ohmloom.hw.top import Top
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters.pmod import PmodConverters, for_device
from ohmloom.sim.cosim.bench import DAC_SETTLE_TAUS
from ohmloom.sim.cosim.card import AnalogCard, ConversionTag, Lags
from ohmloom.sim.cosim.chips.pmod import PmodChips
from ohmloom.sim.devices import load
from ohmloom.sim.engine import NumpyEngine

CLK_HZ, BAUD = 12_000_000, 3_000_000
BIT = CLK_HZ // BAUD
GEOMETRY = Geometry(
    rows=4, columns=4, tiles=1, step=2, program_depth=64, param_depth=32, act_depth=16,
    lut=False, pool=False, residual=False, argmax=False,
)  # fmt: skip
GEOMETRIES = {PmodAdc.AD7476A: GEOMETRY, PmodAdc.MAX11125: replace(GEOMETRY, pulse=False)}
"""One converter for all columns goes with no pulses."""
CELLS = 4
PLANES = 3
SAMPLES = np.array([[7, 1, 0, 5], [3, 6, 2, 7]])
IDEAL = Path(__file__).parents[3] / "sim" / "devices" / "ideal.toml"


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    """Three levels and a RESET that the breadboard can give; read noise and all else of ideal."""
    text = IDEAL.read_text()
    for before, after in (
        ('name = "ideal"', 'name = "breadboard"'),
        ("value = -1.5", "value = -1.2"),
        ("value = -1.2, unit = \"V\", assumed = \"as cspbbr3_ogb\" }\nset_width",
         "value = -1.0, unit = \"V\", assumed = \"as cspbbr3_ogb\" }\nset_width"),
        ("count = { value = 32", "count = { value = 3"),
        ("noise = { value = 0.0", "noise = { value = 0.01"),
    ):  # fmt: skip
        assert before in text, before
        text = text.replace(before, after)
    path = tmp_path_factory.mktemp("device") / "breadboard.toml"
    path.write_text(text)
    return load(path)


FREE = Profile(
    (
        ModeRecord(
            Kind.NONVOLATILE, Drive(0, 0xFFFF, 0, 0, 0, 0xFFFF, (1 << 40) - 1, 0), verify=True
        ),
    ),
    (),
)
"""One mode without limits."""


def image(device, card: PmodConverters, geometry: Geometry = GEOMETRY) -> Image:
    """Write-verify of the first cells, reads, and one layer."""
    gain = card.gain(device.g_lsb, device.v_read, 0)
    scale = gain.mantissa / 2.0**gain.shift
    half = device.verify_window * device.level_step * scale
    params = [
        pack_level(int(gate), int(np.floor(code * scale - half)), int(np.ceil(code * scale + half)))
        for gate, code in zip(
            card.gate_code(device.level_i_cc), device.level_codes, strict=True
        )
    ]  # fmt: skip
    requant = len(params)
    params += [pack_requant(9 - k, (1 << 23) + 777 * k, 30) for k in range(GEOMETRY.pairs)]
    registers = {
        Reg.LEVELS: 0,
        Reg.TRIES: 4,
        Reg.SET_CYCLES: int(device.set_width_s * CLK_HZ),
        Reg.RESET_CYCLES: int(device.reset_width_s * CLK_HZ),
        Reg.RAIL_SET: card.dac_code(device.v_set),
        Reg.RAIL_RESET: card.dac_code(device.v_reset),
        Reg.TIA_RANGE: 0,
        Reg.CLAMP_LO: -30000,
        Reg.CLAMP_HI: 30000,
    }
    entries: dict[str, int] = {}
    code: list[Instruction] = []

    def entry(name: str, *instructions: Instruction) -> None:
        entries[name] = len(code)
        code.extend([*instructions, instruction(Op.HALT)])

    entry(
        "setup",
        instruction(Op.ADOPT),
        instruction(Op.DAC, channel=Dac.RAIL_A, code=card.read_code(device.v_read)),
        instruction(Op.DAC, channel=Dac.GATE_ON, code=card.gate_on_code),
        *(instruction(Op.SET, reg=reg, value=value) for reg, value in registers.items()),
    )
    known = instruction(Op.RESTORE, tile=0, mode=0)
    entry("program/0", known, instruction(Op.PROGRAM, tile=0, cell=2, count=CELLS))
    entry("read", instruction(Op.READ, tile=0, cell=1, count=CELLS))
    entry(
        "infer",
        instruction(
            Op.MVM, tile=0, act=0, first=0, rows=GEOMETRY.rows, planes=PLANES, signed=1, clear=1
        ),
        instruction(Op.REQUANT, out=GEOMETRY.rows, param=requant, count=GEOMETRY.pairs),
    )
    return Image(
        geometry=geometry,
        code=tuple(code),
        entries=entries,
        params=np.array(params, np.uint64),
        tiles=1,
        input=Span(0, GEOMETRY.rows),
        layers=(LayerSpan("dense", Span(GEOMETRY.rows, GEOMETRY.pairs)),),
        profile=tuple(pack_profile(FREE)),
    )


class Board(wiring.Component):
    """The controller and the breadboard's chips."""

    def __init__(self, adc: PmodAdc, card: type[PmodCard] = PmodCard) -> None:
        geometry = GEOMETRIES[adc]
        self.top = Top(geometry, CLK_HZ, BAUD, card(geometry, CLK_HZ, adc))
        self.chips = PmodChips(geometry, CLK_HZ, adc)
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.top, m.submodules.chips = top, chips = self.top, self.chips
        wiring.connect(m, top.pins, chips.pins)
        m.d.comb += [chips.skipped.eq(top.skipped), top.jump.eq(1)]
        return m


class HastyCard(PmodCard):
    """Lets the next setting be latched while columns are still to be sampled."""

    def _switches(self, m, ready):
        self.scan = False
        super()._switches(m, ready)
        self.scan = True


def lags(adc: PmodAdc = PmodAdc.AD7476A) -> Lags:
    """Of the breadboard, in clock cycles."""
    cycles_per_ps = CLK_HZ / 10**12
    return Lags(
        input_tau=sum(pmod.input_taus_ps(adc)) * cycles_per_ps,
        input_delay=pmod.T_ON_PS * cycles_per_ps,
        dac_tau=ad5628.SETTLE_PS / DAC_SETTLE_TAUS * cycles_per_ps,
    )


@dataclass
class Found:
    """What one round of reads and inferences has given."""

    read: list[int]
    outputs: list[list[int]]
    saturations: int


@dataclass
class Whole:
    """What a run has given: write-verify, then a round for each fault or none."""

    programmed: list[int]
    pulses: int
    g_code: np.ndarray
    rounds: list[Found]
    cycles: list[int] = field(default_factory=list)
    """Of every inference, and what was predicted of it."""
    predicted: list[int] = field(default_factory=list)


def bits(value: int, count: int) -> np.ndarray:
    return np.array([value >> i & 1 for i in range(count)], bool)


class Rig:
    """Runs a program on the board, with the simulated array behind its chips."""

    def __init__(self, device, converters, adc, card=PmodCard) -> None:
        self.board = Board(adc, card)
        self.array = SimulatedArray(device, 1, GEOMETRY.rows, GEOMETRY.columns, 5)
        self.converters = converters
        self.received = bytearray()
        self.state = (0,) * 8
        self.held, self.codes = self.state, np.zeros(GEOMETRY.columns, np.int64)
        self.build(0, lags(adc))

    def build(self, now: int, analog: Lags, flip: int = 0) -> None:
        """What lies behind the chips from now on, and the data line's wrong bits."""
        self.card = AnalogCard(self.array, self.converters, GEOMETRY, CLK_HZ, analog)
        self.flip = flip
        self.card.set_gate_a(now, True)  # the fast gates are part of the rows' switches
        self._tell(now, (0,) * 8, self.state)

    async def follow(self, ctx) -> None:
        """Tell the card what the chips do, and give them its codes."""
        chips, top = self.board.chips, self.board.top
        rails = [chips.rails[i] for i in (Dac.RAIL_A, Dac.RAIL_B, Dac.GATE_PROGRAM)]
        lines = [chips.row_a, chips.row_b, chips.column_tia, chips.gate_program, chips.gate_on]
        parts = [*lines, *rails, chips.sample, chips.fault]
        widths = [len(part) for part in parts]
        everything = Cat(*parts)
        last, sample = 0, 0
        while True:
            _, _, now, packed = await ctx.tick().sample(top.now, everything)
            if packed == last:
                continue
            last, values = packed, []
            for width in widths:
                values.append(packed & (1 << width) - 1)
                packed >>= width
            *state, sampled, fault = values
            assert not fault, f"cycle {now}: {ctx.get(chips.faults)}"
            # The select has fallen a cycle ago, before what has moved since.
            if sampled != sample:
                sample = sampled
                inference, epoch, index = (
                    ctx.get(getattr(top.tag, name)) for name in ("inference", "epoch", "index")
                )
                # One converter for all columns: what has settled stays until something moves.
                if not ctx.get(chips.channel) or self.state != self.held:
                    self.held, self.codes = self.state, np.zeros(GEOMETRY.columns, np.int64)
                    if self.state[0]:  # the conversion that wakes the converters reads nothing
                        tag = ConversionTag(bool(inference), epoch, index)
                        self.codes = self.card.convert(now - 1, tag)
                for i, raw in enumerate(self.converters.raw(self.codes)):
                    ctx.set(chips.codes[i], int(raw) ^ self.flip)
            before, self.state = self.state, tuple(state)
            if self.state != before:
                self._tell(now, before, self.state)

    def _tell(self, now, old, new) -> None:
        card, rows, columns = self.card, GEOMETRY.rows, GEOMETRY.columns
        a, b, tia, program, on, rail_a, rail_b, limit = new
        if old[1] and old[1] != b:
            card.set_gate_b(now, False)
        for channel, code, was in (
            (Dac.RAIL_A, rail_a, old[5]),
            (Dac.RAIL_B, rail_b, old[6]),
            (Dac.GATE_PROGRAM, limit, old[7]),
        ):
            if code != was:
                card.set_dac(now, channel, code)
        if (a, b, tia, program, on) != old[:5]:
            sensed = bits(tia, columns)
            card.set_lines(
                now,
                row_a=bits(a, rows),
                row_b=bits(b, rows),
                row_ground=~bits(a | b, rows),
                column_tia=sensed,
                column_ground=~sensed,
                gate_program=bits(program, columns),
                gate_on=bits(on, columns),
            )
        if b and old[1] != b:
            card.set_gate_b(now, True)

    async def listen(self, ctx) -> None:
        """Sample ``tx`` in the middle of every bit."""
        top = self.board.top
        while True:
            await ctx.negedge(top.tx)
            levels = 0
            for i in range(10):
                await ctx.tick().repeat(BIT // 2 if i == 0 else BIT)
                levels |= ctx.get(top.tx) << i
            self.received.append(levels >> 1 & 0xFF)

    async def write(self, data: bytes) -> None:
        for byte in data:
            for i in range(10):
                self.ctx.set(self.board.top.rx, (byte << 1 | 0x200) >> i & 1)
                await self.ctx.tick().repeat(BIT)

    async def read(self, timeout: float) -> bytes:
        for _ in range(int(timeout * CLK_HZ) // 8):
            if self.received:
                break
            await self.ctx.tick().repeat(8)
        received = bytes(self.received)
        self.received.clear()
        return received

    def run(self, image: Image, faults: list[tuple[Lags, int]]) -> Whole:
        """Set up, write-verify, then a round of reads and inferences per fault."""
        found: list[Whole] = []
        cycles: list[int] = []

        async def a_round(link: AsyncLinkClient, epoch: int) -> Found:
            await link.run(image.entries["read"], 0)
            read = await link.read_words(Space.CELL, 0, CELLS)
            outputs, saturations = [], 0
            (span,), width = image.outputs, GEOMETRY.act_width
            for i, sample in enumerate(SAMPLES):
                await link.write_words(Space.ACT, 0, sample.tolist())
                done = await link.run(image.entries["infer"], epoch + i)
                saturations += done.saturations
                cycles.append(done.cycles)
                words = await link.read_words(Space.ACT, span.address, span.count)
                outputs.append([word - (word >> width - 1 << width) for word in words])
            return Found(read, outputs, saturations)

        async def host(ctx) -> None:
            self.ctx = ctx
            link = AsyncLinkClient(self, timeout=0.005)
            await link.ping()
            await link.write_words(Space.PROGRAM, 0, [encode(instr) for instr in image.code])
            await link.write_words(Space.PARAM, 0, image.params.tolist())
            await link.write_words(Space.PROFILE, 0, quarters(image.profile))
            await link.write_words(Space.LEVEL, 0, LEVELS)
            await link.run(image.entries["setup"], 0)
            await link.run(image.entries["program/0"], 0)
            programmed = await link.read_words(Space.CELL, 0, CELLS)
            whole = Whole(programmed, self.card.pulses, self.array.g_code.copy(), [])
            for n, fault in enumerate(faults):
                self.build(ctx.get(self.board.top.now), *fault)
                whole.rounds.append(await a_round(link, n * len(SAMPLES)))
            # A round begins with a read, so that its first inference connects all columns.
            told = inference(image, self.board.top.afe.cycles())
            later = [told.later.cycles] * (len(SAMPLES) - 1)
            whole.cycles, whole.predicted = cycles, [told.first.cycles, *later] * len(faults)
            found.append(whole)

        sim = Simulator(self.board)
        sim.add_clock(1 / CLK_HZ)
        sim.add_testbench(self.follow, background=True)
        sim.add_testbench(self.listen, background=True)
        sim.add_testbench(host)
        for _ in range(2 * 200_000):
            if not sim.advance():
                return found[0]
        raise TimeoutError("the controller is stuck")


def expected(device, converters, image: Image, rounds: int) -> Whole:
    """The same on the numpy engine, without faults."""
    array = SimulatedArray(device, 1, GEOMETRY.rows, GEOMETRY.columns, 5)
    engine = NumpyEngine(image, array, converters, CLK_HZ, 5)
    engine.setup()
    wanted = np.zeros((GEOMETRY.rows, GEOMETRY.columns), np.int64)
    wanted.reshape(-1)[:CELLS] = LEVELS
    programmed = engine.program_tile(0, wanted)[:CELLS].tolist()
    whole = Whole(programmed, int(array.pulses.sum()), array.g_code.copy(), [])
    for n in range(rounds):
        # The engine has no entry point for a read of its own: the same run, by its name.
        engine._run("read", engine._batch(np.zeros(1, np.int64)))
        read = engine.cell_memory[:CELLS].tolist()
        trace = engine.infer(SAMPLES, n * len(SAMPLES))
        whole.rounds.append(Found(read, trace.output.tolist(), trace.saturations))
    return whole


LEVELS = [0, 2, 1, 2]


def faults(adc: PmodAdc) -> list[tuple[Lags, int]]:
    """None, an amplifier slower than its sheet, a wrong bit of every converter, none."""
    sound = lags(adc)
    slow = replace(sound, input_tau=4 * sound.input_tau)
    return [(sound, 0), (slow, 0), (sound, 1 << 6), (sound, 0)]


def both(device, adc: PmodAdc, planted, card=PmodCard) -> tuple[Whole, Whole]:
    """``(found, wanted)``: the controller's run and the engine's."""
    converters = for_device(device, GEOMETRY.rows)
    program = image(device, converters, GEOMETRIES[adc])
    wanted = expected(device, converters, program, len(planted))
    return Rig(device, converters, adc, card).run(program, planted), wanted


@pytest.fixture(
    scope="module",
    params=[pytest.param(adc, marks=pytest.mark.slow) for adc in PmodAdc],
    ids=lambda adc: adc.name,
)
def runs(device, request):
    """``(found, wanted)`` with each kind of converter."""
    return both(device, request.param, faults(request.param))


def test_write_verify_equals_the_numpy_engine(runs):
    found, wanted = runs
    assert found.programmed == wanted.programmed
    assert found.pulses == wanted.pulses >= 2 * CELLS
    assert np.array_equal(found.g_code, wanted.g_code)
    assert len(set(found.programmed)) == CELLS


@pytest.mark.parametrize("which", [0, 3])
def test_reads_and_inferences_equal_the_numpy_engine(runs, which):
    found, wanted = (run.rounds[which] for run in runs)
    assert found == wanted
    # Not all the same, so that something has been compared.
    assert len(set(found.read)) == CELLS and len(set(map(tuple, found.outputs))) == len(SAMPLES)


def test_inferences_take_what_is_predicted(runs):
    found, _ = runs
    assert found.cycles == found.predicted and len(set(found.cycles)) == 2


@pytest.mark.parametrize("which", [1, 2], ids=["slow amplifier", "wrong bit"])
def test_a_planted_fault_is_found(runs, which):
    found, wanted = (run.rounds[which] for run in runs)
    assert found.read != wanted.read


@pytest.mark.slow
def test_a_setting_before_the_last_column_is_sampled_is_found(device):
    adc = PmodAdc.MAX11125
    found, wanted = both(device, adc, faults(adc)[:1], HastyCard)
    assert found.programmed == wanted.programmed
    assert found.rounds[0].outputs != wanted.rounds[0].outputs
