"""The seam between the controller core and an analog front end (AFE).

The core speaks this one signature; each front end is a provider that turns it
into the pins of real parts. The core never sees a chip.

Row, column and gate switches change in two steps, so that the next setting can
be shifted out while the present one is still being used: a transfer on
``switch`` loads the chips (``loaded`` rises when it is complete), and a strobe
on ``latch`` makes the loaded setting take effect at once.

A conversion starts with a strobe on ``convert``; from the next cycle on the
inputs are held and the switches may move. Every column is sampled at once and
arrives on ``samples``. ``tag`` names the conversion for simulated and emulated
arrays, whose read noise is keyed by it; real ones leave it open.
"""

import enum as py_enum
from dataclasses import dataclass

from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from ..geometry import Geometry

COUNT_BITS = 40
"""Of the longest wait of all, a pulse's or a ``WAIT``'s."""


class SwitchGroup(enum.Enum, shape=2):
    """Which lines a switch update sets; every line of the group at once."""

    ROWS = 0
    """``a``: rows on rail A, ``b``: rows on rail B, neither: 0 V."""
    COLUMNS = 1
    """``a``: columns on their TIA, otherwise 0 V (which is all that ``b`` asks for)."""
    GATES = 2
    """``a``: gates on GATE_PROGRAM, ``b``: gates on GATE_ON, neither: 0 V (off)."""


class Tag(data.Struct):
    """The name of a conversion (rule 2): keyed by inference, or by the cell's own counts."""

    inference: 1
    epoch: 32
    index: 32


class DacWrite(data.Struct):
    """A rail DAC channel (:class:`~ohmloom.hw.isa.Dac`) and its offset-binary code."""

    channel: 2
    code: 16


def switch_update_layout(geometry: Geometry) -> data.StructLayout:
    """Payload of a switch update: the group and its two line masks."""
    lines = max(geometry.rows, geometry.columns)
    return data.StructLayout({"group": SwitchGroup, "a": lines, "b": lines})


def sample_layout() -> data.StructLayout:
    """One column's conversion: column number and two's-complement ADC code."""
    return data.StructLayout({"column": 8, "code": 16})


class TimerChannel(wiring.Signature):
    """One request port of the timer service.

    A strobe on ``start`` with ``cycles`` >= 1 loads the channel; ``busy`` is
    high from the next cycle and ``done`` is high for one cycle, exactly
    ``cycles`` cycles after the strobe. ``cycles`` = 0 counts as 1. A strobe on
    ``stop`` is one on ``start`` with ``cycles`` = 1.

    Parameters
    ----------
    bits : int
        Of ``cycles``, which the longest wait of the channel's user must fit.
    """

    def __init__(self, bits: int = COUNT_BITS) -> None:
        self.bits = bits
        super().__init__(
            {
                "start": Out(1),
                "stop": Out(1),
                "cycles": Out(bits),
                "busy": In(1),
                "done": In(1),
            }
        )

    @classmethod
    def lasting(cls, *cycles: int) -> "TimerChannel":
        """A channel for these waits."""
        return cls(max(1, max(cycles).bit_length()))


class FrontEndSignature(wiring.Signature):
    """Core side of a front end (directions as the core sees them).

    Members
    -------
    ready : In(1)
        The parts have been initialised; until then nothing else is accepted.
    active : In(1)
        Something is moving at the pins that no timer waits for.
    switch, loaded, latch
        Two-step switch update; ``switch.ready`` is low while an update is
        being loaded or waits for its latch.
    dac : stream of :class:`DacWrite`
        Rail DAC writes; ``dac_idle`` is high when the last one has been
        latched by the part (its settling is the core's wait).
    convert, tag, adc_idle, samples
        Conversion of all columns. ``adc_idle`` is high when a new ``convert``
        may come; it falls in the cycle after ``convert`` and rises only after the
        last sample. ``samples`` has no back-pressure (the core is always ready);
        one conversion gives each column exactly once, in any order.
    gate_a, gate_b : Out(1)
        Fast gates of rails A and B: the rail reaches its rows only while high.
    tile, range : Out
        Tile-select bus and TIA range pins.
    source, source_range : Out
        Rail B's DAC sets a current instead of a voltage behind gate B, in this range, and
        column 0's sample is the voltage of the line behind the gate. While gate B is
        closed the line is left open instead of at 0 V.
    safe : Out(1)
        While high the parts stay in their safe state: gates closed, DACs cleared,
        switches reset. Then they are initialised again, and ``ready`` comes back.
    interlock : In(1)
        The interlock is open: nothing may be driven.
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(
            {
                "ready": In(1),
                "active": In(1),
                "switch": Out(stream.Signature(switch_update_layout(geometry))),
                "loaded": In(1),
                "latch": Out(1),
                "dac": Out(stream.Signature(DacWrite)),
                "dac_idle": In(1),
                "convert": Out(1),
                "tag": Out(Tag),
                "adc_idle": In(1),
                "samples": In(stream.Signature(sample_layout(), always_ready=True)),
                "gate_a": Out(1),
                "gate_b": Out(1),
                "tile": Out(12),
                "range": Out(3),
                "source": Out(1),
                "source_range": Out(2),
                "safe": Out(1),
                "interlock": In(1),
            }
        )


@dataclass(frozen=True)
class FrontEndTiming:
    """What the core must wait for, in picoseconds, from data-sheet formulas.

    Attributes
    ----------
    settle_ps:
        Row switch, TIA and ADC input filter, from ``latch`` to ``convert``, to
        half an LSB.
    dac_settle_ps:
        Rail or gate DAC, from ``dac_idle`` to its final value.
    switch_ps:
        Column or gate switches alone, from ``latch`` to a conducting path.
    pulse_min_ps:
        The shortest pulse that a fast gate can make.
    source_ps:
        From a change of ``source`` or its range until the line is settled on the new way;
        None: the front end has no current source.
    range_settle_ps:
        ``settle_ps`` of each TIA range, by its number; empty: there is one range.
    """

    settle_ps: int
    dac_settle_ps: int
    switch_ps: int
    pulse_min_ps: int
    source_ps: int | None = None
    range_settle_ps: tuple[int, ...] = ()


@dataclass(frozen=True)
class Ceilings:
    """What a front end may ever be asked to drive. A profile can only lower it.

    Codes are offset binary, and what a code is worth is its distance from
    ``zero_code``. Times are longest times and rounded down to whole clock cycles.

    Attributes
    ----------
    low, high:
        Lowest and highest code of each DAC channel (:class:`~ohmloom.hw.isa.Dac`).
    read, sense:
        Highest distance of rail A while its gate is open, and of rail B while its
        gate is open and a column is on its TIA.
    width_ps:
        Longest pulse on rail B.
    budget_ps, duty:
        Gate-on time of rail B that may be spent at once, and its refill: one cycle
        in every ``2**duty``.
    energy_ps:
        Highest distance of rail B times that of the highest gate voltage that a gate
        is on, times the width of the pulse.
    watchdog_ps:
        Longest silence of the host while rail B drives.
    limiter:
        In a passive array, the gate voltage that limits the current of rail B, in codes
        from 0 V; None: the front end has no limiter, and is for arrays with transistors.
    zero_code:
        Code of 0 V, which every channel has after initialisation.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    read: int
    sense: int
    width_ps: int
    budget_ps: int
    duty: int
    energy_ps: int
    watchdog_ps: int
    limiter: int | None = None
    zero_code: int = 0x8000


class PlaneStep(py_enum.Enum):
    """The three steps that bound the plane period of an MVM; the longest one rules."""

    SETTLE = "settling of switch, TIA and ADC filter"
    READOUT = "conversion and read-out"
    SWITCH = "switch update"


def cycles_from_ps(duration_ps: int, clk_hz: int) -> int:
    """Clock cycles that last at least ``duration_ps``: integers only, rounded up."""
    return -(-duration_ps * clk_hz // 10**12)


def half_period_cycles(f_max_hz: int, clk_hz: int) -> int:
    """Clock cycles of half a period of the fastest serial clock <= ``f_max_hz``."""
    return max(1, -(-clk_hz // (2 * f_max_hz)))
