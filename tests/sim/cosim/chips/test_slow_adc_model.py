"""The AD7606 model: codes, when bits appear, straps, and every minimum it watches."""

from dataclasses import replace

import pytest

from ohmloom.sim.cosim.chips.ad7606 import SlowAdcBankModel
from ohmloom.sim.cosim.chips.simultaneous import AdcFault

from .conftest import read_bank

CLK_HZ = 200_000_000
CONVERT = 830
CYCLE = 1000
ACQUIRE = 200
RESET = 10
SETUP = 5
LATE = 7
"""Cycles from a rising clock edge (32 ns) or the select (35 ns) to a bit that is there."""
IDLE = {"cs_n": 1, "sclk": 1, "convst": 0, "reset": 0, "range": 1, "oversampling": 0}
CODES = [0x8001, 0x7FFE, 0x0001, 0xFFFF, 0x1234, 0x5678, 0x9ABC, 0xDEF0]


@pytest.fixture
def slow(shape):
    """A frame that keeps the part's minima: low for 40 ns, high for 45 ns."""
    return replace(shape, lead=8, width=8, period=17, change=8)


class Bench:
    """Collects pin cycles; :meth:`run` plays them and records the data lines."""

    def __init__(self, shape):
        self.shape = shape
        self.cycles = []

    def wait(self, cycles, **pins):
        self.cycles += [IDLE | pins] * cycles
        return self

    def reset(self, width=RESET, setup=SETUP):
        return self.wait(5).wait(width, reset=1).wait(setup)

    def convert(self, high=5, cycles=CONVERT + 1, **straps):
        return self.wait(high, convst=1, **straps).wait(cycles - high, **straps)

    def read(self, clocks=64, shape=None):
        for cs_n, sclk, _ in (shape or self.shape).frame([0] * clocks, 1):
            self.wait(1, cs_n=cs_n, sclk=sclk)
        return self

    def run(self, chips=1, codes=CODES):
        """``(words per data line, AdcFault)``; a bit is taken before each falling edge."""
        dut = SlowAdcBankModel(chips, CLK_HZ)
        words, fault = read_bank(dut, CLK_HZ, self.cycles, IDLE, codes)
        return words, AdcFault(fault)


@pytest.fixture
def bench(slow):
    return Bench(slow)


def test_read_out_gives_each_channel_on_its_line(bench):
    codes = CODES + [~code & 0xFFFF for code in CODES]
    words, fault = bench.reset().convert().read().run(chips=2, codes=codes)
    assert fault is AdcFault.NONE
    assert words == [codes[k : k + 4] for k in range(0, 16, 4)]


@pytest.mark.parametrize(("high", "right"), [(LATE, True), (LATE - 1, False)])
def test_a_bit_that_is_taken_too_soon_is_the_one_before(bench, slow, high, right):
    """From the rising edge to the falling one; the serial clock's own limit is below that."""
    shape = replace(slow, width=17 - high)
    words, _ = bench.reset().convert().read(shape=shape).run()
    assert (words == [CODES[:4], CODES[4:]]) is right


@pytest.mark.parametrize(("lead", "right"), [(LATE, True), (LATE - 1, False)])
def test_the_first_bit_takes_its_time(bench, slow, lead, right):
    words, _ = bench.reset().convert().read(shape=replace(slow, lead=lead)).run()
    assert (words[0][0] == CODES[0]) is right


@pytest.mark.parametrize("straps", [{"range": 0}, {"oversampling": 1}])
def test_other_straps_than_the_card_s_are_faults(bench, straps):
    assert bench.reset().convert(**straps).run()[1] is AdcFault.NOT_CONFIGURED


@pytest.mark.parametrize("clocks", [0, 16, 63, 65])
def test_a_wrong_clock_count_is_a_fault(bench, clocks):
    assert bench.reset().convert().read(clocks).run()[1] is AdcFault.COUNT


def test_there_is_nothing_to_read_before_a_conversion(bench):
    assert bench.reset().read().run()[1] is AdcFault.COMMAND


def test_a_reset_forgets_the_conversion(bench):
    assert bench.reset().convert().reset().read().run()[1] is AdcFault.COMMAND


@pytest.mark.parametrize(
    ("wait", "fault"), [(CONVERT, AdcFault.NONE), (CONVERT - 1, AdcFault.BUSY)]
)
def test_a_read_out_during_a_conversion_is_a_fault(bench, wait, fault):
    assert bench.reset().convert(cycles=wait).read().run()[1] is fault


def test_a_conversion_during_a_conversion_is_a_fault(bench):
    assert bench.reset().convert(cycles=CONVERT - 1).convert().run()[1] is AdcFault.BUSY


@pytest.mark.parametrize(
    ("wait", "fault"),
    [(CONVERT + ACQUIRE, AdcFault.NONE), (CONVERT + ACQUIRE - 1, AdcFault.TIMING)],
)
def test_the_acquisition_time_is_watched(bench, wait, fault):
    """It ends later than the cycle time, since the conversion is the longest one."""
    assert wait > CYCLE
    assert bench.reset().convert(cycles=wait).convert().run()[1] is fault


@pytest.mark.parametrize("which", ["cycle", "acquire"])
def test_cycle_and_acquisition_are_watched_each(bench, monkeypatch, which):
    """One of the two is switched off, the other finds what is below both."""
    build = SlowAdcBankModel.__init__

    def without(model, chips, clk_hz):
        build(model, chips, clk_hz)
        model.part = replace(model.part, **{f"{which}_ps": 0})

    monkeypatch.setattr(SlowAdcBankModel, "__init__", without)
    trial = bench.reset().convert(cycles=CYCLE - 1).convert()
    assert trial.run()[1] is AdcFault.TIMING


@pytest.mark.parametrize(("high", "fault"), [(5, AdcFault.NONE), (4, AdcFault.TIMING)])
def test_the_high_time_of_convst_is_watched(bench, high, fault):
    assert bench.reset().convert(high=high).run()[1] is fault


@pytest.mark.parametrize(("low", "fault"), [(5, AdcFault.NONE), (4, AdcFault.TIMING)])
def test_the_low_time_of_convst_is_watched(bench, low, fault):
    whole = CONVERT + ACQUIRE
    assert bench.reset().convert(high=whole - low, cycles=whole).convert().run()[1] is fault


@pytest.mark.parametrize(("width", "fault"), [(RESET, AdcFault.NONE), (RESET - 1, AdcFault.TIMING)])
def test_the_width_of_reset_is_watched(bench, width, fault):
    assert bench.reset(width).convert().run()[1] is fault


@pytest.mark.parametrize(
    ("setup", "fault"), [(SETUP, AdcFault.NONE), (SETUP - 1, AdcFault.NOT_READY)]
)
def test_the_time_from_reset_to_convst_is_watched(bench, setup, fault):
    assert bench.reset(setup=setup).convert().run()[1] is fault


def test_a_conversion_before_a_reset_is_a_fault(bench):
    assert bench.wait(5).convert().run()[1] is AdcFault.NOT_READY


@pytest.mark.parametrize(
    ("minimum", "change"),
    [
        ("period 80 ns", {"period": (16, 15), "width": (8, 8)}),
        ("low 32 ns", {"width": (7, 6)}),
        ("high 32 ns", {"width": (10, 11)}),
        ("gap 22 ns", {"gap": (5, 4)}),
        ("lead above 0", {"lead": (1, 0)}),
    ],
)
def test_every_minimum_of_a_frame_is_watched(slow, minimum, change):
    for which, fault in enumerate((AdcFault.NONE, AdcFault.TIMING)):
        wiggle = replace(slow, **{name: values[which] for name, values in change.items()})
        trial = Bench(slow).reset().convert().read(shape=wiggle).read()
        assert trial.run()[1] is fault, minimum


def test_a_clock_too_slow_for_the_model_is_refused():
    with pytest.raises(ValueError, match="needs 2"):
        SlowAdcBankModel(1, 200_000)
