"""A controller in the compiled engine whose time may not run far ahead of its host's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ohmloom.boards.bench import BenchError, LinkArray
from ohmloom.boards.bench.virtual import BIT_CYCLES, CLK_HZ, GEOMETRY, simulated_cells
from ohmloom.boards.link import LinkClient
from ohmloom.boards.virtual import board as loop
from ohmloom.boards.virtual.board import VirtualBoard
from ohmloom.boards.virtual.controller import VirtualController
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.fast.plugged import plug
from ohmloom.sim.cosim.metered import MeteredCells
from ohmloom.sim.devices import load


class Line:
    """The line between host and board: one thread, and a clock that goes on where one waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.up, self.down = b"", b""

    def read(self, timeout: float) -> bytes:
        """What the host has sent, as a terminal has it."""
        if not self.down:
            self.now += timeout
        data, self.down = self.down, b""
        return data

    def write(self, data: bytes) -> None:
        self.up += data


class Host:
    """The host's end of it, a transport."""

    def __init__(self, board: VirtualBoard, line: Line) -> None:
        self.board, self.line = board, line
        self.ahead = 0.0

    def write(self, data: bytes) -> None:
        self.line.down += data

    def read(self, timeout: float) -> bytes:
        until = self.line.now + timeout
        while not self.line.up and self.line.now < until:
            self.board._turn()
            self.ahead = max(self.ahead, self.board._ahead())
        data, self.line.up = self.line.up, b""
        return data


def charged(seconds: float) -> tuple[Host, float]:
    """A cell is charged for so long: the host, and by how much its voltage has risen."""
    device = load("all_in_one")
    cells = simulated_cells(device, 1)
    cells.set_mode("power")
    made = plug(GEOMETRY, CLK_HZ, BIT_CYCLES, MeteredCells(cells), Converters())
    line: Any = Line()
    controller = VirtualController(made.engine, made.pins, made.line)
    host = Host(VirtualBoard(controller, line, clock=lambda: line.now), line)
    try:
        array = LinkArray(LinkClient(host), device, mode="power")
        cell = np.array([0])
        before = array.sense_voltage(cell)
        array.charge(cell, 1e-7, seconds)
        assert controller.seconds > seconds
        return host, float((array.sense_voltage(cell) - before)[0])
    finally:
        controller.power_down()


def test_a_charge_that_is_longer_than_the_guard_waits_for_a_host() -> None:
    host, volts = charged(12.0)
    assert volts > 0.1
    assert host.ahead < 1e-3, "only what was under way when it came too far"


def test_time_that_runs_too_far_ahead_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "AHEAD_S", 60.0)
    with pytest.raises(BenchError, match="the host was silent for too long"):
        charged(12.0)
