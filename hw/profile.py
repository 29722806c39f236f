"""The device profile: what a lane may do to cells in each mode, and the ways between modes.

A profile is a short list of 64-bit words that the compiler writes from the device
catalogue; the controller adopts it once per reset (``ADOPT``) and holds every
instruction that drives cells to it. It can only take away from what the front end's
ceilings allow. This file is plain Python: compiler, engines and gateware share it.

Word 0 is the header, modes begin at word 4, ways at word 36, four words each. Codes
are offset binary, ``gate`` codes are those of GATE_PROGRAM: a larger one is a larger
compliance current.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from .isa import CYCLE_BITS, WORD_BITS, Field, IsaError, Op, pack_fields, unpack_fields

MAGIC = 0x0D0E
VERSION = 1
MODE_SLOTS, WAY_SLOTS = 8, 7
"""Modes of a profile, and ways, at most: with the header 256 quarters, a whole block RAM."""
SLOT_WORDS = 4
MODE_BASE = 4
WAY_BASE = MODE_BASE + MODE_SLOTS * SLOT_WORDS
PROFILE_WORDS = WAY_BASE + WAY_SLOTS * SLOT_WORDS
QUARTER_BITS = 16
QUARTERS = WORD_BITS // QUARTER_BITS
"""The controller's memory of the profile has words of a quarter each, the low one first."""
PROFILE_QUARTERS = PROFILE_WORDS * QUARTERS
WALK_CYCLES = SLOT_WORDS * QUARTERS + 1
"""In which the controller looks at all quarters of a slot."""
ADOPT_CYCLES = (2 * (MODE_SLOTS + WAY_SLOTS) + 1) * WALK_CYCLES + 2
"""From start to ``done`` of an ``ADOPT`` that finds nothing wrong: header, modes and ways for
the checksum, then modes and ways for their limits."""
ARM_KEY = 0x4152
"""Upper half of the key that an irreversible change of mode wants in ``Reg.ARM``."""


class Kind(IntEnum):
    """What a mode is for; ``NONE`` is a slot without a mode."""

    NONE = 0
    ANALOG = 1
    VOLATILE = 2
    NONVOLATILE = 3
    POWER = 4


class ProfileStatus(IntEnum):
    """What ``ADOPT`` found; all but ``OK`` end the run, and no profile is adopted."""

    OK = 0
    HEADER = 1
    """No header of this version, or numbers of modes and ways beyond the slots."""
    CHECKSUM = 2
    """The words do not add up to the header's checksum."""
    MODE = 3
    """A mode of no known kind, or limits that are no range."""
    WAY = 4
    """A way from or to a mode that is not there, or limits that are no range."""


class ModeStatus(IntEnum):
    """Why an instruction was let through, or not (:mod:`ohmloom.hw.modes`)."""

    OK = 0
    NO_PROFILE = 1
    """No profile has been adopted since the reset."""
    UNKNOWN = 2
    """The tile's mode is not known: RESTORE says it."""
    FAULT = 3
    """A change of the tile's mode was broken off; RESTORE ends that."""
    FORBIDDEN = 4
    """The tile's mode is not driven by this instruction."""
    NO_WAY = 5
    """The profile has no way from the tile's mode to that one."""
    UNARMED = 6
    """An irreversible way without its key in ``Reg.ARM``."""
    LOCKED = 7
    """A cell that can be written once is not known to be unwritten."""
    CONTRADICTED = 8
    """RESTORE says another mode than the controller knows, or one that the profile lacks."""


PROFILE_SENTENCES: MappingProxyType[ProfileStatus, str] = MappingProxyType(
    {
        ProfileStatus.OK: "the profile was adopted",
        ProfileStatus.HEADER: f"its header is none of version {VERSION}, "
        f"or it has more than {MODE_SLOTS} modes or {WAY_SLOTS} ways",
        ProfileStatus.CHECKSUM: "its words do not add up to its checksum",
        ProfileStatus.MODE: "a mode is of no known kind, or its limits are no range",
        ProfileStatus.WAY: "a way is not from one of its modes to another, "
        "or its limits are no range",
    }
)
"""What a host says of a profile."""

MODE_SENTENCES: MappingProxyType[ModeStatus, str] = MappingProxyType(
    {
        ModeStatus.OK: "it was let through",
        ModeStatus.NO_PROFILE: "no device profile has been adopted since the reset, "
        "ADOPT does that",
        ModeStatus.UNKNOWN: "the mode of the tile is not known since the reset, RESTORE says it",
        ModeStatus.FAULT: "a change of the tile's mode was broken off, "
        "RESTORE says in which mode it is",
        ModeStatus.FORBIDDEN: "the tile's mode is not driven by this instruction",
        ModeStatus.NO_WAY: "the device has no way from the tile's mode to that one",
        ModeStatus.UNARMED: "the change of mode is irreversible and register ARM does not "
        "hold its key",
        ModeStatus.LOCKED: "a cell that can be written once is not known to be unwritten",
        ModeStatus.CONTRADICTED: "RESTORE says another mode than the controller knows",
    }
)
"""What a host says of an instruction that was not let through."""


@dataclass(frozen=True)
class Drive:
    """Limits of rail B's pulses; codes, both ends included.

    Attributes
    ----------
    gate_low, gate_high:
        GATE_PROGRAM while it limits the current.
    gap_low, gap_high:
        Forbidden between them, ``gap_low <= code < gap_high``; equal: no gap.
    rail_low, rail_high:
        Rail B while its gate is open.
    width_max:
        Longest opening [clock cycles].
    limited:
        Polarities in which only GATE_PROGRAM may conduct, as ``limit`` of a
        :class:`~ohmloom.hw.isa.Train`: bit 0 at or above 0 V, bit 1 below it.
    """

    gate_low: int
    gate_high: int
    gap_low: int
    gap_high: int
    rail_low: int
    rail_high: int
    width_max: int
    limited: int


@dataclass(frozen=True)
class ModeRecord:
    """A mode of the device.

    Attributes
    ----------
    kind:
        What it is for.
    drive:
        Its limits.
    write_once:
        A cell is pulsed once in its life: only a ``PULSE`` of one pulse drives it,
        and only cells that are known to be unwritten.
    verify:
        ``PROGRAM`` may be used.
    source:
        The current source may be used.
    unwritten:
        Largest code of a ``READ`` that says a write-once cell is unwritten.
    """

    kind: Kind
    drive: Drive
    write_once: bool = False
    verify: bool = False
    source: bool = False
    unwritten: int = 0


@dataclass(frozen=True)
class WayRecord:
    """A way from one mode to another: ``MODE`` runs its recipe on each row of the tile.

    Attributes
    ----------
    start, to:
        Numbers of the modes.
    drive:
        Limits while the recipe runs.
    param:
        Parameter address of the recipe, the record of a ``SWEEP`` or ``PULSE``.
    sweep:
        Whether it is a ``SWEEP``.
    irreversible:
        It needs its key, :func:`arm_key`.
    """

    start: int
    to: int
    drive: Drive
    param: int
    sweep: bool = True
    irreversible: bool = False


@dataclass(frozen=True)
class Profile:
    """The modes, numbered from 0, and the ways."""

    modes: tuple[ModeRecord, ...]
    ways: tuple[WayRecord, ...]


@dataclass(frozen=True)
class TileMode:
    """What the controller knows of a tile; nothing after a reset.

    Attributes
    ----------
    known:
        Whether RESTORE has said its mode.
    fault:
        Whether a change of its mode was broken off.
    mode:
        Number of its mode.
    """

    known: bool = False
    fault: bool = False
    mode: int = 0


HEADER_FIELDS = (
    Field("magic", 16),
    Field("version", 8),
    Field("modes", 4),
    Field("ways", 4),
    Field("checksum", 32),
)
MODE_FIELDS = (
    Field("kind", 3),
    Field("write_once", 1),
    Field("verify", 1),
    Field("source", 1),
    Field("unwritten", 16, signed=True),
)
"""Word 0 of a mode; words 1 to 3 are its limits."""
WAY_FIELDS = (
    Field("start", 3),
    Field("to", 3),
    Field("sweep", 1),
    Field("irreversible", 1),
    Field("param", 16),
)
"""Word 0 of a way; words 1 to 3 are its limits."""
GATE_FIELDS = (
    Field("gate_low", 16),
    Field("gate_high", 16),
    Field("gap_low", 16),
    Field("gap_high", 16),
)
RAIL_FIELDS = (Field("rail_low", 16), Field("rail_high", 16), Field("limited", 2))
WIDTH_FIELDS = (Field("width_max", CYCLE_BITS, positive=True),)
TILE_FIELDS = (
    Field("known", 1),
    Field("fault", 1),
    Field("mode", 3),
    Field("spare", 3),
    Field("status", 4),
    Field("found", 3),
    Field("adopted", 1),
)
"""What the link reads of a tile, and of the lane: what the last mode instruction of the
run said (:class:`ModeStatus`), what ``ADOPT`` found (:class:`ProfileStatus`), and whether a
profile is adopted."""


def arm_key(tile: int, to: int) -> int:
    """What ``Reg.ARM`` has to hold for an irreversible change of that tile to that mode."""
    return ARM_KEY << 16 | (tile & 0xFFF) << 4 | to


def checksum(words: Sequence[int]) -> int:
    """Sum of both halves of all words after the header, modulo 2**32."""
    return sum((word & 0xFFFFFFFF) + (word >> 32) for word in words[1:]) & 0xFFFFFFFF


def quarters(words: Sequence[int]) -> list[int]:
    """The words as the controller's memory holds them."""
    mask = (1 << QUARTER_BITS) - 1
    return [word >> QUARTER_BITS * n & mask for word in words for n in range(QUARTERS)]


def unpack_tile(word: int) -> tuple[TileMode, ModeStatus, ProfileStatus, bool]:
    """``(mode, status, found, adopted)`` of what the link reads of a tile."""
    known, fault, mode, _, status, found, adopted = unpack_fields(TILE_FIELDS, word)
    tile = TileMode(bool(known), bool(fault), mode)
    return tile, ModeStatus(status), ProfileStatus(found), bool(adopted)


# What the controller says, in the order in which it looks.


def known(profile: Profile | None, tile: TileMode) -> ModeStatus:
    """Whether cells of a tile may be driven at all."""
    if profile is None:
        return ModeStatus.NO_PROFILE
    if tile.fault:
        return ModeStatus.FAULT
    return ModeStatus.OK if tile.known else ModeStatus.UNKNOWN


def permit(
    profile: Profile | None, tile: TileMode, op: Op, pulses: int = 1, source: bool = False
) -> ModeStatus:
    """Whether a tile's mode is driven by ``op``: ``PULSE``, ``SWEEP`` or ``PROGRAM``.

    ``pulses`` and ``source`` are those of a ``PULSE``. In a write-once mode the lock bits
    come after it.
    """
    status = known(profile, tile)
    if profile is None or status is not ModeStatus.OK:
        return status
    mode = profile.modes[tile.mode]
    if op is Op.PROGRAM and not mode.verify:
        return ModeStatus.FORBIDDEN
    if op is Op.PULSE and source and not mode.source:
        return ModeStatus.FORBIDDEN
    if mode.write_once and (op is not Op.PULSE or pulses != 1):
        return ModeStatus.FORBIDDEN
    return ModeStatus.OK


def restore(profile: Profile | None, tile: TileMode, mode: int) -> tuple[ModeStatus, TileMode]:
    """What ``RESTORE`` says, and the tile after it."""
    if profile is None:
        return ModeStatus.NO_PROFILE, tile
    sure = tile.known and not tile.fault
    if mode >= len(profile.modes) or (sure and tile.mode != mode):
        return ModeStatus.CONTRADICTED, tile
    return ModeStatus.OK, TileMode(True, False, mode)


def change(
    profile: Profile | None, tile: TileMode, number: int, to: int, arm: int
) -> tuple[ModeStatus, WayRecord | None]:
    """What ``MODE`` says before its recipe, and the way that it takes.

    No way leaves a write-once mode: its recipe would drive cells a second time.
    """
    status = known(profile, tile)
    if profile is None or status is not ModeStatus.OK:
        return status, None
    if profile.modes[tile.mode].write_once:
        return ModeStatus.FORBIDDEN, None
    for way in profile.ways:
        if (way.start, way.to) == (tile.mode, to):
            if way.irreversible and arm & 0xFFFFFFFF != arm_key(number, to):
                return ModeStatus.UNARMED, None
            return ModeStatus.OK, way
    return ModeStatus.NO_WAY, None


def _pack_drive(kind: str, drive: Drive) -> list[int]:
    return [
        pack_fields(kind, fields, tuple(getattr(drive, field.name) for field in fields))
        for fields in (GATE_FIELDS, RAIL_FIELDS, WIDTH_FIELDS)
    ]


def _unpack_drive(words: Sequence[int]) -> Drive:
    values: dict[str, int] = {}
    for fields, word in zip((GATE_FIELDS, RAIL_FIELDS, WIDTH_FIELDS), words, strict=True):
        names = (field.name for field in fields)
        values |= dict(zip(names, unpack_fields(fields, word), strict=True))
    return Drive(**values)


def pack_profile(profile: Profile) -> list[int]:
    """The words of a profile, :data:`PROFILE_WORDS` of them.

    Raises
    ------
    IsaError
        If a field does not fit, or :func:`check` would refuse the words.
    """
    if len(profile.modes) > MODE_SLOTS or len(profile.ways) > WAY_SLOTS:
        raise IsaError(
            f"a profile has up to {MODE_SLOTS} modes and {WAY_SLOTS} ways, "
            f"not {len(profile.modes)} and {len(profile.ways)}"
        )
    words = [0] * PROFILE_WORDS
    for n, mode in enumerate(profile.modes):
        head = (
            int(mode.kind), int(mode.write_once), int(mode.verify), int(mode.source),
            mode.unwritten,
        )  # fmt: skip
        at = MODE_BASE + n * SLOT_WORDS
        words[at] = pack_fields(f"mode {n}", MODE_FIELDS, head)
        words[at + 1 : at + SLOT_WORDS] = _pack_drive(f"mode {n}", mode.drive)
    for n, way in enumerate(profile.ways):
        head = (way.start, way.to, int(way.sweep), int(way.irreversible), way.param)
        at = WAY_BASE + n * SLOT_WORDS
        words[at] = pack_fields(f"way {n}", WAY_FIELDS, head)
        words[at + 1 : at + SLOT_WORDS] = _pack_drive(f"way {n}", way.drive)
    counts = (len(profile.modes), len(profile.ways))
    words[0] = pack_fields("profile", HEADER_FIELDS, (MAGIC, VERSION, *counts, checksum(words)))
    status = check(words)
    if status is not ProfileStatus.OK:
        raise IsaError(f"the profile would be refused: {status.name}")
    return words


def unpack_profile(words: Sequence[int]) -> Profile:
    """The profile that words say.

    Raises
    ------
    IsaError
        If :func:`check` refuses them.
    """
    status = check(words)
    if status is not ProfileStatus.OK:
        raise IsaError(f"the profile is refused: {status.name}")
    modes, ways = _counts(words)
    return Profile(
        tuple(_unpack_mode(_slot(words, MODE_BASE, n)) for n in range(modes)),
        tuple(_unpack_way(_slot(words, WAY_BASE, n)) for n in range(ways)),
    )


def check(words: Sequence[int]) -> ProfileStatus:
    """What ``ADOPT`` says of words, in the order in which the gateware looks at them."""
    if len(words) != PROFILE_WORDS:
        return ProfileStatus.HEADER
    magic, version, modes, ways, total = unpack_fields(HEADER_FIELDS, words[0])
    if (magic, version) != (MAGIC, VERSION) or modes > MODE_SLOTS or ways > WAY_SLOTS:
        return ProfileStatus.HEADER
    if total != checksum(words):
        return ProfileStatus.CHECKSUM
    for n in range(modes):
        slot = _slot(words, MODE_BASE, n)
        kind = slot[0] & 7
        if kind not in range(Kind.ANALOG, Kind.POWER + 1) or not _is_range(slot):
            return ProfileStatus.MODE
    for n in range(ways):
        slot = _slot(words, WAY_BASE, n)
        start, to, *_ = unpack_fields(WAY_FIELDS, slot[0])
        if start >= modes or to >= modes or start == to or not _is_range(slot):
            return ProfileStatus.WAY
    return ProfileStatus.OK


def _is_range(slot: Sequence[int]) -> bool:
    drive = _unpack_drive(slot[1:])
    return (
        drive.gate_low <= drive.gate_high
        and drive.gap_low <= drive.gap_high
        and drive.rail_low <= drive.rail_high
        and drive.width_max > 0
    )


def _counts(words: Sequence[int]) -> tuple[int, int]:
    _, _, modes, ways, _ = unpack_fields(HEADER_FIELDS, words[0])
    return modes, ways


def _slot(words: Sequence[int], base: int, n: int) -> Sequence[int]:
    at = base + n * SLOT_WORDS
    return words[at : at + SLOT_WORDS]


def _unpack_mode(slot: Sequence[int]) -> ModeRecord:
    kind, write_once, verify, source, unwritten = unpack_fields(MODE_FIELDS, slot[0])
    return ModeRecord(
        Kind(kind), _unpack_drive(slot[1:]), bool(write_once), bool(verify), bool(source), unwritten
    )


def _unpack_way(slot: Sequence[int]) -> WayRecord:
    start, to, sweep, irreversible, param = unpack_fields(WAY_FIELDS, slot[0])
    return WayRecord(start, to, _unpack_drive(slot[1:]), param, bool(sweep), bool(irreversible))
