"""The MAX11125 model: words, when their bits appear, commands, and every minimum it watches."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from ohmloom.hw.afe.max11125 import (
    CONFIGURATION,
    FRAME_BITS,
    REGISTER_FRAMES,
    RESET_FRAME,
    mode_frame,
)
from ohmloom.sim.cosim.chips.max11125 import ScanAdcFault, ScanAdcModel

CLK_HZ = 400_000_000
POWER_UP = 400_000
ACQUIRE = 63
LATE = 8
"""Cycles from a falling clock edge, or the select, to a bit that is there: 20 ns."""
IDLE = {"cs_n": 1, "sclk": 1, "din": 0}
CODES = [0x800, 0x7FF, 0x001, 0xFFE, 0xA5A, 0x5A5, 0x0F0, 0xF0F]


def word(value):
    return [value >> i & 1 for i in range(FRAME_BITS - 1, -1, -1)]


@pytest.fixture
def scan(shape):
    """A frame that keeps the part's minima: 62.5 ns, low for 32.5 ns.

    The part takes data when the clock rises: ``change - width`` is the hold time.
    """
    return replace(shape, lead=8, width=13, period=25, change=20, lag=25, gap=4)


class Bench:
    """Collects pin cycles; :meth:`run` plays them and records the data line."""

    def __init__(self, shape):
        self.shape = shape
        self.cycles = []

    def wait(self, cycles, **pins):
        self.cycles += [IDLE | pins] * cycles
        return self

    def power_up(self, skipped=POWER_UP):
        return self.wait(3, skipped=0).wait(3, skipped=skipped)

    def frame(self, value, shape=None, clocks=FRAME_BITS):
        bits = (word(value) + [0])[:clocks]
        for cs_n, sclk, din in (shape or self.shape).frame(bits, 1):
            self.wait(1, cs_n=cs_n, sclk=sclk, din=din)
        return self

    def configure(self, frames=CONFIGURATION):
        self.power_up()
        for value in frames:
            self.frame(value)
        return self

    def run(self, late=False):
        """``(words, ScanAdcFault)``; a bit is taken before each falling edge and at the end."""
        dut = ScanAdcModel(CLK_HZ, late)
        words, fault = [], []

        async def bench(ctx):
            for i, code in enumerate(CODES):
                ctx.set(dut.codes[i], code)
            before, shown, bits = IDLE, 0, []
            for pins in self.cycles:
                fallen = before["sclk"] and not pins["sclk"]
                risen = pins["sclk"] and not before["sclk"]
                if fallen or (risen and len(bits) == FRAME_BITS):
                    bits.append(shown)
                if pins["cs_n"] and not before["cs_n"]:
                    taken = bits[1:] if late else bits[:FRAME_BITS]
                    words.append(int("".join(map(str, taken or [0])), 2))
                    bits = []
                for name, level in pins.items():
                    ctx.set(getattr(dut, name), level)
                before, shown = pins, ctx.get(dut.dout)
                await ctx.tick()
            fault.append(ScanAdcFault(ctx.get(dut.fault)))

        sim = Simulator(dut)
        sim.add_clock(1 / CLK_HZ)
        sim.add_testbench(bench)
        sim.run()
        return words, fault[0]


@pytest.fixture
def bench(scan):
    return Bench(scan)


@pytest.mark.parametrize("late", [False, True])
def test_a_word_is_that_of_the_channel_of_the_frame_before(bench, late):
    bench.configure()
    for channel in (1, 7, 2, 2, 0):
        bench.frame(mode_frame(channel))
    words, fault = bench.run(late)
    assert fault is ScanAdcFault.NONE
    assert words[: len(CONFIGURATION) - 2] == [0] * (len(CONFIGURATION) - 2)
    asked = (0, 5, 0, 1, 7, 2, 2)
    assert words[len(CONFIGURATION) - 2 :] == [channel << 12 | CODES[channel] for channel in asked]


def test_a_bit_that_is_taken_too_soon_is_the_one_before(scan):
    """The last one, half a period after its edge: the clock's own limit is above that."""
    for low, right in ((LATE, True), (LATE - 1, False)):
        trial = Bench(scan).configure().frame(mode_frame(2))
        words, _ = trial.frame(mode_frame(0), replace(scan, width=low)).run(late=True)
        assert (words[-1] == 2 << 12 | CODES[2]) is right, low


@pytest.mark.parametrize("frame", [0xA000, 0x8404, 0x1B82, 0x0806, 0x0C04, 0xFFFF, 0x0000])
def test_frames_that_the_card_has_no_use_for_are_faults(bench, frame):
    assert bench.configure().frame(frame).run()[1] is ScanAdcFault.COMMAND


@pytest.mark.parametrize("missing", [RESET_FRAME, *REGISTER_FRAMES])
def test_every_setting_is_needed(bench, missing):
    frames = [frame for frame in CONFIGURATION if frame != missing]
    assert bench.configure(frames).run()[1] is ScanAdcFault.NOT_CONFIGURED


def test_a_reset_takes_the_settings(bench):
    bench.configure().frame(RESET_FRAME).frame(mode_frame(0)).frame(mode_frame(0))
    assert bench.run()[1] is ScanAdcFault.NOT_CONFIGURED


@pytest.mark.parametrize("clocks", [0, 1, 15, 17])
def test_a_wrong_clock_count_is_a_fault(bench, clocks):
    assert bench.configure().frame(RESET_FRAME, clocks=clocks).run()[1] is ScanAdcFault.COUNT


def test_a_clock_that_does_not_end_is_a_fault(bench, scan):
    """The select goes high before the last rising edge."""
    frame = mode_frame(0)
    assert bench.configure().frame(frame, replace(scan, lag=12)).run()[1] is ScanAdcFault.COUNT


@pytest.mark.parametrize(
    ("skipped", "fault"),
    [(POWER_UP - 6, ScanAdcFault.NONE), (POWER_UP - 7, ScanAdcFault.NOT_READY)],
)
def test_the_power_up_time_is_watched(bench, skipped, fault):
    assert bench.power_up(skipped).frame(RESET_FRAME).run()[1] is fault


def test_the_acquisition_time_is_watched(scan, monkeypatch):
    """From the 14th falling edge. The part's own time is within its fastest frame: a longer one."""
    rest = 2 * scan.period + scan.lag + scan.gap
    assert rest >= ACQUIRE
    monkeypatch.setattr("ohmloom.hw.afe.max11125.ACQUIRE_PS", 1_000_000)
    for short, fault in ((0, ScanAdcFault.NONE), (1, ScanAdcFault.ACQUIRE)):
        wide = replace(scan, gap=scan.gap + 400 - rest)
        trial = Bench(wide).configure()
        trial.frame(mode_frame(0), replace(wide, gap=wide.gap - short)).frame(mode_frame(0))
        assert trial.run()[1] is fault


@pytest.mark.parametrize(
    ("minimum", "change"),
    [
        ("period 62.5 ns", {"period": (25, 24), "width": (12, 12)}),
        ("low 25 ns", {"width": (10, 9)}),
        ("high 25 ns", {"width": (15, 16)}),
        ("set-up 10 ns", {"change": (34, 35)}),
        ("hold 10 ns", {"change": (17, 16)}),
        ("gap 10 ns", {"gap": (4, 3)}),
        ("lead 10 ns", {"lead": (4, 3)}),
    ],
)
def test_every_minimum_of_a_frame_is_watched(scan, minimum, change):
    for which, fault in enumerate((ScanAdcFault.NONE, ScanAdcFault.TIMING)):
        wiggle = replace(scan, **{name: values[which] for name, values in change.items()})
        trial = Bench(scan).configure()
        trial.frame(mode_frame(5), wiggle).frame(mode_frame(2))
        assert trial.run()[1] is fault, minimum


def test_data_that_moves_with_the_clock_is_a_fault(bench, scan):
    wiggle = replace(scan, change=scan.width)
    assert bench.power_up().frame(RESET_FRAME, wiggle).run()[1] is ScanAdcFault.TIMING


def test_a_clock_that_is_too_slow_is_a_fault(bench, scan):
    """6.25 us between two falling edges."""
    shape = replace(scan, period=2500, width=1250, change=1300, lag=1300)
    slow = replace(scan, period=2501, width=1250, change=1300, lag=1300)
    assert bench.power_up().frame(RESET_FRAME, shape).run()[1] is ScanAdcFault.NONE
    assert Bench(scan).power_up().frame(RESET_FRAME, slow).run()[1] is ScanAdcFault.TIMING
