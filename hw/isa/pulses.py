"""Records of ``PULSE`` and ``SWEEP``: what they do, and what they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from .records import Field, IsaError, pack_fields, unpack_fields

CYCLE_BITS = 40
"""Of a time in clock cycles: above 1000 s at every board's clock."""
LIMIT_BITS = 2
AVERAGE_BITS = 4
REACT_BITS = 32
PULSE_FIELDS = (
    (
        Field("rail", 16),
        Field("gate", 16),
        Field("limit", LIMIT_BITS),
        Field("average", AVERAGE_BITS),
        Field("inside", 8),
        Field("after", 8),
        Field("source", 1),
        Field("source_range", 2),
        Field("others", 1),
    ),
    (Field("width", CYCLE_BITS, positive=True), Field("pulses", 16, positive=True)),
    (Field("interval", CYCLE_BITS),),
    (Field("delay", CYCLE_BITS),),
    (Field("spacing", CYCLE_BITS),),
    (Field("after_delay", CYCLE_BITS),),
    (Field("after_spacing", CYCLE_BITS),),
    (
        Field("v_low", 16, signed=True),
        Field("v_high", 16, signed=True),
        Field("react", REACT_BITS),
    ),
)
"""Fields of the parameter words of a ``PULSE``, word after word."""
SWEEP_FIELDS = (
    (
        Field("start", 16),
        Field("gate", 16),
        Field("limit", LIMIT_BITS),
        Field("average", AVERAGE_BITS),
        Field("both", 1),
    ),
    (Field("width", CYCLE_BITS, positive=True), Field("step", 16, positive=True)),
    (Field("interval", CYCLE_BITS),),
    (Field("delay", CYCLE_BITS),),
    (Field("spacing", CYCLE_BITS),),
    (Field("stop", 16),),
)
"""Fields of the parameter words of a ``SWEEP``, word after word."""
OUTCOME_FIELDS = (Field("samples", 16), Field("status", 3))
SAMPLE_FIELDS = (Field("code", 16, signed=True), Field("saturated", 1))


class PulseStatus(IntEnum):
    """Outcome of a ``PULSE`` or ``SWEEP`` (:func:`unpack_outcome`); all but DONE and CUT end
    the run."""

    DONE = 0
    """All of it was done."""
    REFUSED = 1
    """The front end cannot do it, or the tile has no such cells; nothing was driven."""
    LATE = 2
    """The front end was not ready at a moment that was asked for; the gate is closed."""
    FULL = 3
    """Cell memory was full; the gate is closed."""
    ABORTED = 4
    """It was to stop: gate closed at the next clock edge, then 0 V."""
    CUT = 5
    """A sample of a pulse of the current source reached ``v_low`` or ``v_high``."""


LIMIT_POSITIVE, LIMIT_NEGATIVE = 1, 2
"""Bits of ``limit``: codes at or above 0 V, and codes below it."""


def limited(code: int, limit: int) -> bool:
    """Whether the gate limits the current of a pulse of rail code ``code``."""
    return bool(limit & (LIMIT_POSITIVE if code >= 0x8000 else LIMIT_NEGATIVE))


def selected_code(rail: int, column: int, others: int) -> int | None:
    """Voltage of the selected cell of a passive array, as a code of rail B.

    Parameters
    ----------
    rail, column, others:
        Codes of the selected row, the selected column and the other columns; other rows
        are at 0 V.

    Returns
    -------
    None where it has no code, or where another cell gets more than half of it, rounded up.
    """
    row, chosen, rest = (code - 0x8000 for code in (rail, column, others))
    most = (abs(row - chosen) + 1) // 2
    if max(abs(chosen), abs(rest), abs(row - rest)) > most:
        return None
    code = row - chosen + 0x8000
    return code if 0 <= code < 1 << 16 else None


@dataclass(frozen=True)
class Train:
    """What a ``PULSE`` does; times in clock cycles.

    Attributes
    ----------
    rail:
        DAC code of rail B; its side of 0x8000 is the polarity.
    gate, limit:
        Code of GATE_PROGRAM, and for which polarities it limits the current (sum of
        LIMIT_POSITIVE and LIMIT_NEGATIVE). For the others gates are on GATE_ON. In a
        passive array it is the selected column's voltage, 0 V for the others.
    width, pulses, interval:
        Time that the fast gate is open, number of pulses, and time from one opening to
        the next.
    inside, delay, spacing:
        Samples inside each pulse: how many, the first conversion after the opening, and
        one conversion after the other.
    after, after_delay, after_spacing:
        Samples after each pulse, read by rail A: the same, from the closing on.
    average:
        A sample is the mean of ``2**average`` conversions.
    source, source_range:
        The pulse comes from the current source behind rail B, in this range: one pulse on
        one cell, samples are the voltage of the line (ADC codes of the buffer), and those
        after it are taken with the gate closed and the cell on the line.
    others:
        In a passive array: the other columns are on GATE_ON meanwhile, instead of 0 V.
    v_low, v_high, react:
        With ``source``: at a sample inside that is at or beyond one of the two, the gate
        is closed, ``react + 1`` cycles after its last conversion.
    """

    rail: int
    width: int
    gate: int = 0
    limit: int = 0
    pulses: int = 1
    interval: int = 0
    inside: int = 0
    delay: int = 0
    spacing: int = 0
    after: int = 0
    after_delay: int = 0
    after_spacing: int = 0
    average: int = 0
    source: int = 0
    source_range: int = 0
    others: int = 0
    v_low: int = -1 << 15
    v_high: int = (1 << 15) - 1
    react: int = 0


@dataclass(frozen=True)
class Staircase:
    """What a ``SWEEP`` does; times in clock cycles.

    Attributes
    ----------
    start, stop, step:
        First and last code of rail B, and codes from step to step.
    both:
        Back to ``start`` afterwards; the step at ``stop`` is not repeated.
    gate, limit:
        As of :class:`Train`: I_cc in the SET polarity only.
    width, interval:
        Time at each step with the fast gate open, and from one step to the next. The
        rest of the interval the gate is closed and the DAC moves.
    delay, spacing, average:
        One sample a step, the mean of ``2**average`` conversions, the first one
        ``delay`` after the gate's opening.
    """

    start: int
    stop: int
    step: int
    width: int
    interval: int
    gate: int = 0
    limit: int = 0
    both: bool = False
    delay: int = 0
    spacing: int = 0
    average: int = 0

    def codes(self) -> list[int]:
        """The codes of rail B, step by step."""
        sign = 1 if self.stop >= self.start else -1
        up = list(range(self.start, self.stop + sign, sign * self.step))
        return up + up[-2::-1] if self.both else up


def _pack_words(
    kind: str, words: tuple[tuple[Field, ...], ...], record: Train | Staircase
) -> list[int]:
    return [
        pack_fields(kind, fields, tuple(int(getattr(record, field.name)) for field in fields))
        for fields in words
    ]


def _unpack_words(
    kind: str, layout: tuple[tuple[Field, ...], ...], words: Sequence[int]
) -> dict[str, int]:
    if len(words) != len(layout):
        raise IsaError(f"a {kind} of {len(words)} words, it has {len(layout)}")
    values: dict[str, int] = {}
    for fields, word in zip(layout, words, strict=True):
        names = (field.name for field in fields)
        values |= dict(zip(names, unpack_fields(fields, int(word)), strict=True))
    return values


def _check_samples(kind: str, record: Train | Staircase, last: int, tail: int, count: int) -> None:
    """Samples lie inside the pulse (``last`` < 0: none), and the next pulse comes after it."""
    if last >= 0 and last > record.width - 2:
        raise IsaError(
            f"{kind}: the last conversion is {last} cycles after the gate's opening, at a "
            f"width of {record.width} accepted are {record.width - 2}"
        )
    if count > 1 and record.interval <= record.width + tail:
        raise IsaError(
            f"{kind}: an interval of {record.interval} cycles ends before a width of "
            f"{record.width} and {tail} of samples after it"
        )


def _conversions(samples: int, average: int, delay: int, spacing: int) -> int:
    """Time of the last conversion of ``samples``; -1 without one."""
    return delay + ((samples << average) - 1) * spacing if samples else -1


def pack_pulse(train: Train) -> list[int]:
    """The parameter words of a ``PULSE``.

    Raises
    ------
    IsaError
        If a field does not fit, a sample lies outside its pulse or a pulse in the next.
    """
    last = _conversions(train.inside, train.average, train.delay, train.spacing)
    words = _pack_words("pulse", PULSE_FIELDS, train)
    tail = _conversions(train.after, train.average, train.after_delay, train.after_spacing)
    _check_samples("pulse", train, last, max(tail, 0), train.pulses)
    if train.source:
        _check_source(train)
    return words


def _check_source(train: Train) -> None:
    """One pulse of the current source, whose samples are judged one before the next."""
    if train.pulses != 1 or train.limit:
        raise IsaError(
            f"pulse: {train.pulses} pulses of the current source with limit = {train.limit}, "
            "accepted is one pulse with limit = 0"
        )
    if train.v_low >= train.v_high:
        raise IsaError(f"pulse: v_low = {train.v_low} is not below v_high = {train.v_high}")
    if train.inside << train.average > 1:
        low, high = 1, train.spacing - 1
    else:
        low, high = int(train.inside > 0), (1 << REACT_BITS) - 1
    if not low <= train.react <= high:
        raise IsaError(f"pulse: react = {train.react} is outside {low}..{high}")


def unpack_pulse(words: Sequence[int]) -> Train:
    """What the parameter words of a ``PULSE`` say.

    Raises
    ------
    IsaError
        If :func:`pack_pulse` would not make them.
    """
    train = Train(**_unpack_words("pulse", PULSE_FIELDS, words))
    pack_pulse(train)
    return train


def pack_sweep(stairs: Staircase) -> list[int]:
    """The parameter words of a ``SWEEP``.

    Raises
    ------
    IsaError
        If a field does not fit, ``stop`` is no whole number of steps from ``start``, or
        a sample lies outside its step.
    """
    words = _pack_words("sweep", SWEEP_FIELDS, stairs)
    if (stairs.stop - stairs.start) % stairs.step:
        raise IsaError(
            f"sweep: {abs(stairs.stop - stairs.start)} codes from start to stop are no whole "
            f"number of steps of {stairs.step}"
        )
    last = _conversions(1, stairs.average, stairs.delay, stairs.spacing)
    _check_samples("sweep", stairs, last, 0, len(stairs.codes()))
    return words


def unpack_sweep(words: Sequence[int]) -> Staircase:
    """What the parameter words of a ``SWEEP`` say.

    Raises
    ------
    IsaError
        If :func:`pack_sweep` would not make them.
    """
    values = _unpack_words("sweep", SWEEP_FIELDS, words)
    stairs = Staircase(**values | {"both": bool(values["both"])})
    pack_sweep(stairs)
    return stairs


def pack_outcome(samples: int, status: PulseStatus) -> int:
    """Cell-memory word 0 after a ``PULSE`` or ``SWEEP``: samples stored, and how it ended."""
    return pack_fields("outcome", OUTCOME_FIELDS, (samples, int(status)))


def unpack_outcome(word: int) -> tuple[int, PulseStatus]:
    """``(samples, status)`` of a ``PULSE`` or ``SWEEP``."""
    samples, status = unpack_fields(OUTCOME_FIELDS, word)
    return samples, PulseStatus(status)


def pack_sample(code: int, saturated: bool) -> int:
    """Cell-memory word (32 bits) of a sample: mean ADC code, and whether any was at a rail."""
    return pack_fields("sample", SAMPLE_FIELDS, (code, int(saturated)))


def unpack_sample(word: int) -> tuple[int, bool]:
    """``(code, saturated)`` of a sample."""
    code, saturated = unpack_fields(SAMPLE_FIELDS, word)
    return code, bool(saturated)
