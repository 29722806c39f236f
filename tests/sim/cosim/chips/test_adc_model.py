"""The AD7606C-16 model: codes, registers, modes, and every minimum it watches."""

from dataclasses import replace

import pytest

from ohmloom.hw.afe.ad7606c import CONFIGURATION, READ_FLAG, SENSING
from ohmloom.sim.cosim.chips.ad7606c import AdcBankModel, AdcFault

from .conftest import read_bank

CLK_HZ = 200_000_000
CONVERT = 130
CYCLE = 200
RESET = 600
SETUP = 50_600
IDLE = {"cs_n": 1, "sclk": 1, "sdi": 0, "convst": 0, "reset": 0}


def word(value):
    return [value >> i & 1 for i in range(15, -1, -1)]


class Bench:
    """Collects pin cycles; :meth:`run` plays them and records the data lines."""

    def __init__(self, shape):
        self.shape = shape
        self.cycles = []

    def wait(self, cycles, **pins):
        self.cycles += [IDLE | pins] * cycles
        return self

    def reset(self, width=RESET, skipped=SETUP):
        self.wait(5)
        return self.wait(width, reset=1).wait(3, skipped=0).wait(3, skipped=skipped)

    def frame(self, bits, shape=None):
        for cs_n, sclk, sdi in (shape or self.shape).frame(bits, 1):
            self.wait(1, cs_n=cs_n, sclk=sclk, sdi=sdi)
        return self

    def configure(self, frames=CONFIGURATION):
        self.reset()
        for frame in frames:
            self.frame(word(frame))
        return self

    def convert(self, high=5, cycles=CONVERT + 5):
        return self.wait(high, convst=1).wait(cycles - high)

    def read(self, clocks=64, shape=None):
        return self.frame([0] * clocks, shape)

    def run(self, chips=1, codes=()):
        """``(words per data line, AdcFault)``; a bit is taken before each falling edge."""
        dut = AdcBankModel(chips, CLK_HZ)
        words, fault, self.sensor = read_bank(dut, CLK_HZ, self.cycles, IDLE, codes, dut.sensor)
        return words, AdcFault(fault)


@pytest.fixture
def bench(shape):
    return Bench(shape)


def test_read_out_gives_each_channel_on_its_line(bench):
    codes = [0x8001, 0x7FFE, 0x0001, 0xFFFF, 0x1234, 0x5678, 0x9ABC, 0xDEF0]
    codes += [~code & 0xFFFF for code in codes]
    bench.configure().convert().read()
    words, fault = bench.run(chips=2, codes=codes)
    assert fault is AdcFault.NONE
    assert [line[-4:] for line in words] == [codes[k : k + 4] for k in range(0, 16, 4)]


# Those of the multiplexers are what they are after a reset.
@pytest.mark.parametrize("missing", [1, 2, 3, 4, 5, 6, 11])
def test_every_setting_is_needed(bench, missing):
    frames = [frame for i, frame in enumerate(CONFIGURATION) if i != missing]
    assert bench.configure(frames).convert().run()[1] is AdcFault.NOT_CONFIGURED


def test_a_wrong_setting_is_not_the_cards(bench):
    frames = [frame ^ 1 if i == 1 else frame for i, frame in enumerate(CONFIGURATION)]
    assert bench.configure(frames).convert().run()[1] is AdcFault.NOT_CONFIGURED


@pytest.mark.parametrize("frame", [CONFIGURATION[1], READ_FLAG | 0x3F00, 0x8200])
def test_bad_register_frames_are_faults(bench, frame):
    assert bench.reset().frame(word(frame)).run()[1] is AdcFault.COMMAND


SENSOR_ON = [frame | more for frame, more in zip(CONFIGURATION, SENSING, strict=True)]


@pytest.mark.parametrize("missing", [None, 7, 8, 9, 10])
def test_each_multiplexer_takes_two_channels_to_the_sensor(bench, missing):
    frames = [frame for i, frame in enumerate(SENSOR_ON) if i != missing]
    bench.configure(frames).convert().read()
    assert bench.run(codes=range(8))[1] is AdcFault.NONE
    pair = 0 if missing is None else 0b11 << 2 * (missing - 7)
    assert bench.sensor == 0xFF & ~pair
    bench.reset()
    assert bench.run()[1] is AdcFault.NONE and bench.sensor == 0


@pytest.mark.parametrize("value", [0x02, 0x10, 0x40, 0x80])
def test_what_the_card_has_no_use_for_in_a_multiplexer_is_a_fault(bench, value):
    frames = [frame | value if i == 8 else frame for i, frame in enumerate(CONFIGURATION)]
    assert bench.configure(frames).run()[1] is AdcFault.COMMAND


@pytest.mark.parametrize("clocks", [0, 16, 63, 65])
def test_wrong_clock_count_of_a_read_out_is_a_fault(bench, clocks):
    assert bench.configure().convert().read(clocks).run()[1] is AdcFault.COUNT


@pytest.mark.parametrize("clocks", [15, 17])
def test_wrong_clock_count_of_a_register_frame_is_a_fault(bench, clocks):
    bits = (word(CONFIGURATION[0]) + [0])[:clocks]
    assert bench.reset().frame(bits).run()[1] is AdcFault.COUNT


def test_a_conversion_during_a_conversion_is_a_fault(bench):
    assert bench.configure().convert(cycles=CONVERT - 1).convert().run()[1] is AdcFault.BUSY


@pytest.mark.parametrize(
    ("wait", "fault"), [(CONVERT, AdcFault.NONE), (CONVERT - 1, AdcFault.BUSY)]
)
def test_a_read_out_during_a_conversion_is_a_fault(bench, wait, fault):
    assert bench.configure().convert(cycles=wait).read().run()[1] is fault


@pytest.mark.parametrize(("wait", "fault"), [(CYCLE, AdcFault.NONE), (CYCLE - 1, AdcFault.TIMING)])
def test_the_cycle_time_is_watched(bench, wait, fault):
    assert bench.configure().convert(cycles=wait).convert().run()[1] is fault


@pytest.mark.parametrize(("high", "fault"), [(2, AdcFault.NONE), (1, AdcFault.TIMING)])
def test_the_high_time_of_convst_is_watched(bench, high, fault):
    assert bench.configure().convert(high=high).run()[1] is fault


@pytest.mark.parametrize(("low", "fault"), [(2, AdcFault.NONE), (1, AdcFault.TIMING)])
def test_the_low_time_of_convst_is_watched(bench, low, fault):
    bench.configure().convert(high=CYCLE - low, cycles=CYCLE).convert()
    assert bench.run()[1] is fault


@pytest.mark.parametrize(("width", "fault"), [(RESET, AdcFault.NONE), (RESET - 1, AdcFault.TIMING)])
def test_the_width_of_reset_is_watched(bench, width, fault):
    assert bench.reset(width).frame(word(CONFIGURATION[0])).run()[1] is fault


@pytest.mark.parametrize(
    ("skipped", "fault"), [(SETUP - 6, AdcFault.NONE), (SETUP - 7, AdcFault.NOT_READY)]
)
def test_the_set_up_time_is_watched(bench, skipped, fault):
    bench.reset(skipped=skipped).frame(word(CONFIGURATION[0]))
    assert bench.run()[1] is fault


def test_access_before_a_reset_is_a_fault(bench):
    assert bench.wait(5).frame(word(CONFIGURATION[0])).run()[1] is AdcFault.NOT_READY


@pytest.mark.parametrize(
    ("minimum", "change"),
    [
        ("period 25 ns", {"period": (5, 4), "width": (2, 2), "change": (2, 2)}),
        ("low 10 ns", {"width": (2, 1)}),
        ("high 10 ns", {"width": (8, 9)}),
        ("set-up 8 ns", {"change": (8, 9)}),
        ("hold 8 ns", {"change": (2, 1)}),
        ("gap 25 ns", {"gap": (5, 4)}),
    ],
)
def test_every_minimum_of_a_frame_is_watched(shape, minimum, change):
    for which, fault in enumerate((AdcFault.NONE, AdcFault.TIMING)):
        wiggle = replace(shape, **{name: values[which] for name, values in change.items()})
        trial = Bench(shape).configure()
        trial.frame(word(CONFIGURATION[0]), wiggle).frame(word(CONFIGURATION[1]))
        assert trial.run()[1] is fault, minimum


@pytest.mark.parametrize(("lead", "fault"), [(1, AdcFault.NONE), (0, AdcFault.TIMING)])
def test_the_lead_of_a_frame_is_watched(bench, shape, lead, fault):
    assert (
        bench.configure().frame(word(CONFIGURATION[0]), replace(shape, lead=lead)).run()[1] is fault
    )


def test_data_that_moves_with_the_clock_is_a_fault(bench, shape):
    wiggle = replace(shape, change=shape.period)
    assert bench.reset().frame(word(CONFIGURATION[0]), wiggle).run()[1] is AdcFault.TIMING


def test_a_clock_too_slow_for_the_model_is_refused():
    with pytest.raises(ValueError, match="needs 2"):
        AdcBankModel(1, 1_000_000)
