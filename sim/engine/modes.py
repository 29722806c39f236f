"""Modes in the numpy engine: what the controller's mode engine and warden let through.

The rules are the plain functions of :mod:`ohmloom.hw.profile`; here is what they are
applied to: the adopted profile, the mode of each tile, and the lock bits of cells that
can be written once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ...hw.geometry import Geometry
from ...hw.isa import LIMIT_NEGATIVE, LIMIT_POSITIVE, Op
from ...hw.profile import (
    MODE_SENTENCES,
    PROFILE_SENTENCES,
    Drive,
    ModeStatus,
    Profile,
    ProfileStatus,
    TileMode,
    WayRecord,
    change,
    check,
    permit,
    restore,
    unpack_profile,
)
from .errors import EngineError


class ProfileRefused(EngineError):
    """``ADOPT`` has found ``found``."""

    def __init__(self, address: int, found: ProfileStatus) -> None:
        self.found = found
        super().__init__(
            f"address {address}: the device profile is refused: {PROFILE_SENTENCES[found]}"
        )


class ModeRefused(EngineError):
    """An instruction was not let through; ``status`` says why."""

    def __init__(self, address: int, what: object, status: ModeStatus) -> None:
        self.status = status
        super().__init__(f"address {address}: {what} is refused: {MODE_SENTENCES[status]}")


class WardenStopped(EngineError):
    """A pulse was beyond the limits of its mode: the guard is in its safe state."""


class Warden:
    """Lets the fast gate of rail B open within the limits that were granted.

    Parameters
    ----------
    drive:
        The limits.
    once:
        One opening only: the cells can be written once.
    source:
        The pulse is one of the current source, which has no rail and no gate voltage.
    """

    def __init__(self, drive: Drive, once: bool = False, source: bool = False) -> None:
        self.drive = drive
        self.once = once
        self.source = source
        self.openings = 0

    def complaint(self, rail: int, gate: int | None) -> str | None:
        """What is wrong with an opening; ``gate`` None: the current is not limited."""
        drive = self.drive
        if self.once and self.openings:
            return "a second pulse on cells that can be written once"
        if self.source:
            return None
        if not drive.rail_low <= rail <= drive.rail_high:
            return f"rail B at code {rail}, accepted is {drive.rail_low}..{drive.rail_high}"
        polarity = LIMIT_POSITIVE if rail >= 0x8000 else LIMIT_NEGATIVE
        if not drive.limited & polarity:
            return None
        if gate is None:
            return "a pulse without a compliance current in a polarity that needs one"
        if not drive.gate_low <= gate <= drive.gate_high:
            return f"GATE_PROGRAM at code {gate}, accepted is {drive.gate_low}..{drive.gate_high}"
        if drive.gap_low <= gate < drive.gap_high:
            return f"GATE_PROGRAM at code {gate}, in the gap {drive.gap_low}..{drive.gap_high - 1}"
        return None

    def opening(self, rail: int, gate: int | None, width: int) -> int:
        """Cycles for which the gate stays open, at most ``width``.

        Raises
        ------
        WardenStopped
            If it does not open at all.
        """
        complaint = self.complaint(rail, gate)
        if complaint is not None:
            raise WardenStopped(f"the guard is in its safe state: {complaint}")
        self.openings += 1
        return min(width, self.drive.width_max)

    def cut(self, width: int) -> WardenStopped:
        """What ends a pulse that was to be ``width`` long."""
        return WardenStopped(
            f"the guard is in its safe state: a pulse of {width} cycles, accepted are "
            f"{self.drive.width_max}"
        )


class ModeKeeper:
    """The mode engine of a controller.

    Parameters
    ----------
    geometry:
        Tiles, and cells that have a lock bit.
    words:
        The profile memory.

    Attributes
    ----------
    profile:
        The adopted profile.
    tiles:
        What is known of each tile.
    unwritten:
        Lock bits by :meth:`~ohmloom.hw.geometry.Geometry.lock_address`; True: the cell is
        known to be unwritten.
    status, found:
        What the last mode instruction of the run said, and what ``ADOPT`` found.
    """

    def __init__(self, geometry: Geometry, words: Sequence[int]) -> None:
        self.geometry = geometry
        self.words = tuple(words)
        self.reset()

    def reset(self) -> None:
        """As after configuration: nothing is known, every cell is locked."""
        self.profile: Profile | None = None
        self.tiles = [TileMode()] * self.geometry.tiles
        self.unwritten = np.zeros(self.geometry.lock_depth, dtype=np.bool_)
        self.begin()

    def begin(self) -> None:
        """A run begins."""
        self.status = ModeStatus.OK
        self.found = ProfileStatus.OK

    def adopt(self, address: int) -> None:
        """``ADOPT``; raises :class:`ProfileRefused`."""
        if self.profile is not None:
            return
        self.found = check(self.words)
        if self.found is not ProfileStatus.OK:
            raise ProfileRefused(address, self.found)
        self.profile = unpack_profile(self.words)

    def restore(self, address: int, what: object, tile: int, mode: int) -> None:
        """``RESTORE``; raises :class:`ModeRefused`."""
        self.status, self.tiles[tile] = restore(self.profile, self.tiles[tile], mode)
        self._insist(address, what)

    def change(self, address: int, what: object, tile: int, to: int, arm: int) -> WayRecord:
        """The way that ``MODE`` takes; the tile is in FAULT until :meth:`arrive`.

        Raises
        ------
        ModeRefused
            If there is none, or it is not armed; the tile is what it was.
        """
        self.status, way = change(self.profile, self.tiles[tile], tile, to, arm)
        self._insist(address, what)
        assert way is not None
        self.tiles[tile] = TileMode(True, True, self.tiles[tile].mode)
        return way

    def break_off(self, address: int, what: object) -> ModeRefused:
        """The recipe has not been done to its end."""
        self.status = ModeStatus.FAULT
        return ModeRefused(address, what, self.status)

    def arrive(self, tile: int, to: int) -> None:
        """The recipe has been done on every row."""
        self.tiles[tile] = TileMode(True, False, to)

    def grant(
        self,
        address: int,
        what: object,
        op: Op,
        tile: int,
        cells: Iterable[tuple[int, int]],
        pulses: int = 1,
        source: bool = False,
    ) -> Warden:
        """Leave for ``PULSE``, ``SWEEP`` or ``PROGRAM`` on cells (row, column) of a tile.

        Raises
        ------
        ModeRefused
            If it is not given; nothing is locked.
        """
        self.status = permit(self.profile, self.tiles[tile], op, pulses, source)
        self._insist(address, what)
        assert self.profile is not None
        mode = self.profile.modes[self.tiles[tile].mode]
        if mode.write_once:
            bits = [self._lock(tile, row, column) for row, column in cells]
            known = [bit for bit in bits if bit is not None and self.unwritten[bit]]
            if len(known) < len(bits):
                self.status = ModeStatus.LOCKED
            self._insist(address, what)
            self.unwritten[known] = False
        return Warden(mode.drive, mode.write_once, source)

    def read(self, tile: int, row: int, column: int, code: int, saturated: bool) -> None:
        """A cell was read: one that says so is known to be unwritten."""
        word = self.tiles[tile]
        if self.profile is None or not word.known or word.fault:
            return
        mode = self.profile.modes[word.mode]
        bit = self._lock(tile, row, column)
        if mode.write_once and bit is not None and code <= mode.unwritten and not saturated:
            self.unwritten[bit] = True

    def _lock(self, tile: int, row: int, column: int) -> int | None:
        geometry = self.geometry
        if row >= geometry.rows or column >= geometry.columns:
            return None
        return geometry.lock_address(tile, row, column)

    def _insist(self, address: int, what: object) -> None:
        if self.status is not ModeStatus.OK:
            raise ModeRefused(address, what, self.status)
