"""The loop between terminal and controller: whose time passes when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ohmloom.boards.virtual.board import AHEAD_S, Faults, VirtualBoard
from ohmloom.boards.virtual.faults import LineFaults


class Controller:
    """Has so many seconds of work, does ``leap`` of them at once, and says what it does."""

    def __init__(self, work: float = 0.0, leap: float = 1.0) -> None:
        self.work = work
        self.leap = leap
        self.seconds = 0.0
        self.sent: list[bytes] = []
        self.ups = 0

    def power_up(self) -> None:
        self.ups, self.seconds = self.ups + 1, 0.0

    def power_down(self) -> None:
        pass

    @property
    def busy(self) -> bool:
        return self.work > 0

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def run(self, edges: int, until_s: float) -> bytes:
        """A leap, however many edges were asked for; it is cut."""
        passed = min(self.leap, self.work, until_s - self.seconds)
        self.seconds, self.work = self.seconds + passed, self.work - passed
        return b"." if self.work <= 0 else b""


class Line:
    """A terminal; while it is waited for, time passes."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.coming: list[bytes] = []
        self.written = b""

    def read(self, timeout: float) -> bytes:
        if self.coming:
            return self.coming.pop(0)
        self.clock.now += timeout
        return b""

    def write(self, data: bytes) -> None:
        self.written += data


class Clock:
    """The host's."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def made(
    work: float, faults: Faults | None = None, leap: float = 1.0
) -> Iterator[tuple[Any, Any, Any, Any]]:
    clock = Clock()
    controller: Any = Controller(work, leap)
    line: Any = Line(clock)
    yield VirtualBoard(controller, line, faults, clock), controller, line, clock


def turn(board: VirtualBoard, times: int) -> None:
    for _ in range(times):
        board._turn()


def test_a_controller_with_nothing_to_do_has_no_time() -> None:
    with made(0) as (board, controller, _, clock):
        turn(board, 5)
        assert controller.seconds == 0 and clock.now > 100


def test_work_goes_on_as_fast_as_it_can_but_not_far_ahead_of_the_host() -> None:
    with made(60) as (board, controller, _, clock):
        turn(board, 400)
        ahead = controller.seconds - (clock.now - 100)
        assert 0 < ahead <= AHEAD_S
        assert controller.seconds > AHEAD_S


def test_a_leap_is_cut_and_goes_on_as_the_hosts_time_does() -> None:
    with made(30, leap=30) as (board, controller, _, clock):
        turn(board, 1)
        assert controller.seconds == AHEAD_S
        while controller.busy:
            turn(board, 1)
            assert controller.seconds - (clock.now - 100) <= AHEAD_S + 1e-9
        assert controller.seconds == pytest.approx(30)
        assert clock.now - 100 == pytest.approx(30 - AHEAD_S, abs=0.2)


def test_a_host_that_is_heard_lets_it_go_on() -> None:
    with made(12) as (board, controller, line, clock):
        turn(board, 4)
        assert controller.seconds == 4
        line.coming.append(b"?")
        turn(board, 4)
        assert controller.seconds == 8 and clock.now == 100
        assert controller.sent == [b"?"]


def test_what_it_sends_arrives() -> None:
    with made(2) as (board, _, line, _):
        turn(board, 3)
        assert line.written == b"."


def test_supply_fails_when_asked_for_and_as_often_as_asked_for() -> None:
    with made(0) as (board, controller, _, _):
        assert controller.ups == 1
        board.brown_out()
        turn(board, 2)
        assert controller.ups == 2 and board.resets == 1
    with made(1000, Faults(brown_outs=3, every_s=1.0)) as (board, controller, line, _):
        for _ in range(300):
            line.coming.append(b"?")
            turn(board, 1)
        assert board.resets == 3 and controller.ups == 4


@pytest.mark.parametrize("slow", [0.0, 3.0])
def test_a_slow_host_lets_the_controllers_time_pass(slow: float) -> None:
    with made(50, Faults(slow_s=slow)) as (board, controller, line, _):
        line.coming.append(b"?")
        turn(board, 1)
        assert controller.seconds == slow + 1


def test_line_faults_hit_both_ways() -> None:
    with made(3, Faults(LineFaults(flipped=1.0))) as (board, controller, line, _):
        line.coming.append(b"\0\0")
        turn(board, 5)
        assert controller.sent[0] != b"\0\0" and len(controller.sent[0]) == 2
        assert line.written != b"." and len(line.written) == 1
        assert board.hits == 3
