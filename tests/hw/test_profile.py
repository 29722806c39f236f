"""The words of a device profile: round trips, corruption, and what is said of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.isa import IsaError
from ohmloom.hw.profile import (
    HEADER_FIELDS,
    MAGIC,
    MODE_BASE,
    MODE_SENTENCES,
    MODE_SLOTS,
    PROFILE_SENTENCES,
    PROFILE_WORDS,
    SLOT_WORDS,
    VERSION,
    WAY_BASE,
    WAY_SLOTS,
    Drive,
    Kind,
    ModeRecord,
    ModeStatus,
    Profile,
    ProfileStatus,
    WayRecord,
    check,
    checksum,
    pack_profile,
    unpack_profile,
)

CODE = st.integers(0, 0xFFFF)
RANGE = st.tuples(CODE, CODE).map(sorted)


@st.composite
def drives(draw) -> Drive:
    gate, gap, rail = (draw(RANGE) for _ in range(3))
    return Drive(*gate, *gap, *rail, draw(st.integers(1, (1 << 40) - 1)), draw(st.integers(0, 3)))


@st.composite
def profiles(draw) -> Profile:
    modes = draw(
        st.lists(
            st.builds(
                ModeRecord,
                kind=st.sampled_from(list(Kind)[1:]),
                drive=drives(),
                write_once=st.booleans(),
                verify=st.booleans(),
                source=st.booleans(),
                unwritten=st.integers(-0x8000, 0x7FFF),
            ),
            max_size=MODE_SLOTS,
        )
    )
    pairs = [(a, b) for a in range(len(modes)) for b in range(len(modes)) if a != b]
    ways = []
    for start, to in draw(st.lists(st.sampled_from(pairs), max_size=WAY_SLOTS)) if pairs else []:
        ways.append(
            WayRecord(
                start, to, draw(drives()), draw(CODE), draw(st.booleans()), draw(st.booleans())
            )
        )
    return Profile(tuple(modes), tuple(ways))


def drive(**changes: int) -> Drive:
    values = {
        "gate_low": 0x8800, "gate_high": 0x9000, "gap_low": 0, "gap_high": 0,
        "rail_low": 0x7000, "rail_high": 0x9000, "width_max": 48_000, "limited": 1,
    }  # fmt: skip
    return Drive(**values | changes)


def small() -> Profile:
    """Two modes and a way between them."""
    modes = (ModeRecord(Kind.ANALOG, drive(), verify=True), ModeRecord(Kind.POWER, drive()))
    return Profile(modes, (WayRecord(0, 1, drive(rail_low=0x8000), 40, irreversible=True),))


def with_word(words: list[int], place: int, word: int, summed: bool = True) -> list[int]:
    """The words with another one; the checksum made right, or not."""
    words = [*words]
    words[place] = word
    if summed:
        total = sum(field.width for field in HEADER_FIELDS[:-1])
        words[0] = words[0] & (1 << total) - 1 | checksum(words) << total
    return words


@given(profiles())
def test_what_is_packed_comes_back(profile: Profile) -> None:
    words = pack_profile(profile)
    assert len(words) == PROFILE_WORDS
    assert check(words) is ProfileStatus.OK
    assert unpack_profile(words) == profile


@settings(deadline=None)
@given(profiles(), st.integers(1, PROFILE_WORDS - 1), st.integers(0, 63))
def test_a_wrong_bit_is_refused_or_takes_away(profile: Profile, place: int, bit: int) -> None:
    """A wrong number of modes or ways is the one that may pass: the last ones are missing."""
    words = pack_profile(profile)
    wrong = [*words]
    wrong[place] ^= 1 << bit
    assert check(wrong) is ProfileStatus.CHECKSUM
    for header_bit in range(64):
        wrong = [words[0] ^ 1 << header_bit, *words[1:]]
        if check(wrong) is ProfileStatus.OK:
            found = unpack_profile(wrong)
            assert found.modes == profile.modes[: len(found.modes)]
            assert found.ways == profile.ways[: len(found.ways)]
            assert 24 <= header_bit < 32


def test_every_bit_after_the_header_counts_in_the_sum() -> None:
    words = pack_profile(small())
    for place in range(1, PROFILE_WORDS):
        for bit in range(64):
            wrong = [*words]
            wrong[place] ^= 1 << bit
            assert check(wrong) is ProfileStatus.CHECKSUM


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], ProfileStatus.HEADER),
        ([0] * PROFILE_WORDS, ProfileStatus.HEADER),
        ([0xFFFF_FFFF_FFFF_FFFF] * PROFILE_WORDS, ProfileStatus.HEADER),
        (pack_profile(small())[:-1], ProfileStatus.HEADER),
        ([*pack_profile(small()), 0], ProfileStatus.HEADER),
        (with_word(pack_profile(small()), 0, MAGIC ^ 1 | VERSION << 16), ProfileStatus.HEADER),
        (with_word(pack_profile(small()), 0, MAGIC | 2 << 16), ProfileStatus.HEADER),
        (with_word(pack_profile(small()), 0, MAGIC | VERSION << 16 | 9 << 24),
         ProfileStatus.HEADER),
        (with_word(pack_profile(small()), 0, MAGIC | VERSION << 16 | 9 << 28),
         ProfileStatus.HEADER),
        (with_word(pack_profile(small()), 1, 1, summed=False), ProfileStatus.CHECKSUM),
    ],
)  # fmt: skip
def test_words_that_are_no_profile(words: list[int], status: ProfileStatus) -> None:
    assert check(words) is status
    with pytest.raises(IsaError, match=status.name):
        unpack_profile(words)


def changed(place: int, change) -> list[int]:
    words = pack_profile(small())
    return with_word(words, place, change(words[place]))


SECOND_MODE = MODE_BASE + SLOT_WORDS


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (changed(MODE_BASE, lambda w: w & ~7), ProfileStatus.MODE),  # of no kind
        (changed(SECOND_MODE, lambda w: w | 7), ProfileStatus.MODE),
        (changed(SECOND_MODE + 1, lambda w: 0x9000 | 0x8FFF << 16), ProfileStatus.MODE),
        (changed(SECOND_MODE + 1, lambda w: 0x9000 << 16 | 2 << 32 | 1 << 48), ProfileStatus.MODE),
        (changed(MODE_BASE + 2, lambda w: 0x9001 | 0x9000 << 16), ProfileStatus.MODE),
        (changed(MODE_BASE + 3, lambda w: 0), ProfileStatus.MODE),
        (changed(WAY_BASE, lambda w: w & ~0b111000), ProfileStatus.WAY),  # to where it starts
        (changed(WAY_BASE, lambda w: w | 0b010), ProfileStatus.WAY),  # from a mode 2
        (changed(WAY_BASE, lambda w: w | 0b111000), ProfileStatus.WAY),
        (changed(WAY_BASE + 3, lambda w: 0), ProfileStatus.WAY),
        (changed(MODE_BASE + 2 * SLOT_WORDS, lambda w: 7), ProfileStatus.OK),  # beyond the modes
    ],
)
def test_records_that_are_none(words: list[int], status: ProfileStatus) -> None:
    assert check(words) is status


def test_what_does_not_fit_is_not_packed() -> None:
    with pytest.raises(IsaError, match="up to 8 modes"):
        pack_profile(Profile((ModeRecord(Kind.ANALOG, drive()),) * 9, ()))
    with pytest.raises(IsaError, match=r"mode 0\.rail_high = 65536"):
        pack_profile(Profile((ModeRecord(Kind.ANALOG, drive(rail_high=1 << 16)),), ()))
    with pytest.raises(IsaError, match="would be refused: WAY"):
        pack_profile(Profile(small().modes, (WayRecord(1, 1, drive(), 0),)))


@pytest.mark.parametrize(
    ("sentences", "statuses"), [(MODE_SENTENCES, ModeStatus), (PROFILE_SENTENCES, ProfileStatus)]
)
def test_there_is_a_sentence_for_every_status(sentences, statuses) -> None:
    assert set(sentences) == set(statuses)
    assert len(set(sentences.values())) == len(statuses)
    assert all(text and "\n" not in text for text in sentences.values())
