"""A controller with a device's profile adopted: programs that drive cells, and what they leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...compiler.profile import make_profile
from ...hw.afe.array_card import front_end_cycles
from ...hw.geometry import Feature, Geometry
from ...hw.isa import Dac, Instruction, Op, PulseStatus, encode, instruction, unpack_outcome
from ...hw.link.exchange import GuardStopped, RunRefused
from ...hw.link.protocol import GuardState, Space, Trap
from ...hw.profile import (
    PROFILE_QUARTERS,
    QUARTER_BITS,
    QUARTERS,
    Profile,
    TileMode,
    WayRecord,
    quarters,
    unpack_profile,
    unpack_tile,
)
from ...sim.converters import Converters
from ...sim.devices import Device
from ..link import LinkClient
from .errors import BenchError

NEEDED = (Op.PULSE, Op.SWEEP, Op.READ)
READER_WORDS = 16
"""Words at the end of program memory that single reads use (``boards/reader.py``)."""
LONG_S = 4.0
"""Runs from here on are long."""
SLACK_S = 60.0
"""Longer than any run takes beside what it waits for; assumed."""

_OUTCOMES = {
    PulseStatus.REFUSED: "the front end cannot make it, and nothing was driven",
    PulseStatus.LATE: "the front end was not ready at a moment that was asked for",
    PulseStatus.FULL: "there was no room for its samples",
    PulseStatus.ABORTED: "it was to stop",
}


class Controller:
    """Adopts the profile, or finds that it is adopted, and runs programs.

    Words that program and parameter memory hold already are not sent again.

    Parameters
    ----------
    client : LinkClient
        The link; nothing else may use it meanwhile.
    device, converters
        What is driven, and the card's transfer functions.
    beat_s:
        Seconds on the line after which a long run is asked for its status: the guard wants to
        hear the host every 10 s while cells are driven. None: as the client asks anyway.

    Attributes
    ----------
    info, geometry:
        What the controller says of itself, and its dimensions.
    cycles:
        What the card takes at its clock.
    profile, told:
        The profile that is adopted, and what the catalogue says of it.

    Raises
    ------
    BenchError
        If the controller lacks an instruction, has no array with transistors, or holds
        another device's profile.
    GuardStopped
        If the guard is in its safe state: :meth:`LinkClient.clear` leaves it.
    """

    def __init__(
        self,
        client: LinkClient,
        device: Device,
        converters: Converters,
        beat_s: float | None = None,
    ) -> None:
        self.client = client
        self.beat_s = beat_s
        self.info = info = client.ping()
        lacking = [op.name for op in NEEDED if not info.has(op)]
        if lacking:
            raise BenchError(f"the controller lacks {', '.join(lacking)}, which the bench needs")
        if info.has(Feature.PASSIVE):
            raise BenchError("the controller is for arrays without transistors")
        self.geometry = Geometry(rows=info.rows, columns=info.columns, tiles=info.tiles)
        self.cycles = front_end_cycles(self.geometry, info.clk_hz)
        self.converters = converters
        self.told = make_profile(device, converters, info.clk_hz)
        self._sent: dict[tuple[Space, int], int] = {}
        health = client.health()
        if health.state is GuardState.SAFE:
            raise GuardStopped(health)
        adopted = unpack_tile(client.read_words(Space.MODE, 0, 1)[0])[3]
        self.profile = self._held(device) if adopted else self._load()
        ends = [way.param + len(self.recipe(way)) for way in self.profile.ways]
        self.base = max(ends, default=0)
        self.setup(adopt=not adopted)

    def _load(self) -> Profile:
        """The catalogue's profile, into the controller's memory."""
        self.client.write_words(Space.PROFILE, 0, quarters(self.told.words))
        return self.told.profile

    def _held(self, device: Device) -> Profile:
        """The profile that the controller has adopted; its recipes may lie elsewhere."""
        parts = self.client.read_words(Space.PROFILE, 0, PROFILE_QUARTERS)
        words = [
            sum(part << QUARTER_BITS * n for n, part in enumerate(parts[at : at + QUARTERS]))
            for at in range(0, PROFILE_QUARTERS, QUARTERS)
        ]
        found = unpack_profile(words)
        if _elsewhere(found) != _elsewhere(self.told.profile):
            raise BenchError(
                f"the controller has adopted another profile than that of {device.name}: it "
                "keeps it until the FPGA is configured again"
            )
        return found

    def setup(self, *, adopt: bool = False) -> None:
        """What a program relies on: recipes in their places, and the gates' voltage."""
        for way in self.profile.ways:
            self.write(Space.PARAM, way.param, self.recipe(way))
        code = self.converters.gate_on_code
        gates = instruction(Op.DAC, channel=Dac.GATE_ON, code=code)
        self.run([*([instruction(Op.ADOPT)] if adopt else []), gates])

    def recipe(self, way: WayRecord) -> tuple[int, ...]:
        """The record of a way's sweep, as the catalogue has it."""
        size = len(self.told.records) // len(self.profile.ways)
        at = size * self.profile.ways.index(way)
        return self.told.records[at : at + size]

    # -- programs ---------------------------------------------------------------------

    @property
    def room(self) -> int:
        """Instructions that a program may have."""
        return self.info.program_depth - READER_WORDS - 1

    @property
    def words(self) -> int:
        """Parameter words for records."""
        return self.info.param_depth - self.base

    def write(self, space: Space, address: int, words: Sequence[int]) -> None:
        """Send what of some words is not there yet."""
        changed = [
            n for n, word in enumerate(words) if self._sent.get((space, address + n)) != word
        ]
        if not changed:
            return
        first, last = changed[0], changed[-1] + 1
        self.client.write_words(space, address + first, words[first:last])
        self._sent.update({(space, address + n): words[n] for n in range(first, last)})

    def run(self, code: Iterable[Instruction], seconds: float = 0.0) -> int:
        """Run instructions that take ``seconds`` of waits and pulses; cycles that they took.

        Raises
        ------
        BenchError
            If a pulse could not be made.
        GuardStopped
            If the guard stopped it.
        """
        program = [*code, instruction(Op.HALT)]
        self.write(Space.PROGRAM, 0, [encode(word) for word in program])
        exchanges = self.client.exchanges
        kept = exchanges.timeout
        if self.beat_s is not None and seconds > LONG_S:
            exchanges.timeout = self.beat_s
        try:
            return self.client.run(0, 0, seconds + SLACK_S).cycles
        except RunRefused as refused:
            if refused.trap is not Trap.ENGINE:
                raise
            status = self.outcome()[1]
            raise BenchError(f"a pulse was not made: {_OUTCOMES[status]}") from refused
        except GuardStopped as stopped:
            self._sent.clear()
            raise BenchError(f"{stopped}: nothing is driven until that is cleared") from stopped
        finally:
            exchanges.timeout = kept

    def outcome(self) -> tuple[int, PulseStatus]:
        """Samples and status of the last pulse or sweep."""
        return unpack_outcome(self.client.read_words(Space.CELL, 0, 1)[0])

    def samples(self, count: int) -> list[int]:
        """Words of the first samples of the last pulse or sweep.

        Raises
        ------
        BenchError
            If there are fewer.
        """
        head, *found = self.client.read_words(Space.CELL, 0, 1 + count)
        made, _ = unpack_outcome(head)
        if made != count:
            raise BenchError(f"{made} samples were taken, {count} were asked for")
        return found

    # -- modes ------------------------------------------------------------------------

    def tiles(self, first: int, count: int) -> list[TileMode]:
        """What the controller knows of the modes of tiles."""
        words = self.client.read_words(Space.MODE, first, count)
        return [unpack_tile(word)[0] for word in words]


def _elsewhere(profile: Profile) -> Profile:
    """A profile without the places of its recipes."""
    return replace(profile, ways=tuple(replace(way, param=0) for way in profile.ways))
