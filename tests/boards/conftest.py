# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

REPORT = Path(__file__).parent / "data" / "nextpnr_ecp5.json"
CARD = wiring.Signature(
    {"sdi": Out(12), "sclk": Out(1), "busy": In(1), "dout": In(4), "tile": Out(12)}
)


class SmallTop(wiring.Component):
    """The controller's ports, a counter and a memory."""

    def __init__(self, start: int = 1) -> None:
        self.start = start
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "pins": Out(CARD)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(24, init=self.start)
        m.submodules.memory = mem = memory.Memory(shape=16, depth=256, init=[])
        write, read = mem.write_port(), mem.read_port()
        m.d.sync += count.eq(count + self.rx + self.pins.dout + self.pins.busy)
        m.d.comb += [
            write.addr.eq(count),
            write.data.eq(count),
            write.en.eq(self.rx),
            read.addr.eq(count[8:]),
            self.tx.eq(count[-1]),
            self.pins.sclk.eq(count[0]),
            self.pins.sdi.eq(read.data),
            self.pins.tile.eq(count),
        ]
        return m


NETLIST = {
    "modules": {
        "LUT4": {"cells": {}},
        "top": {
            "cells": {
                "top.memory.port_LUT4_A": {"type": "LUT4"},
                "top.memory.0.0": {"type": "DP16KD"},
                "top.count_TRELLIS_FF_Q": {"type": "TRELLIS_FF"},
                "top.count_TRELLIS_FF_Q_DI_CCU2C_S0": {"type": "CCU2C"},
                "top.memory_like_LUT4_A": {"type": "LUT4"},
                "card_0.buf": {"type": "TRELLIS_IO"},
                "sync_LUT4_Z": {"type": "LUT4"},
            }
        },
    }
}
"""What yosys could have made of :class:`SmallTop`."""


class FakeTools:
    """Answers like the tools, counts what it was asked to run."""

    netlist: Mapping[str, object] = NETLIST

    def __init__(self, report: str | None = None, fails: str | None = None) -> None:
        self.report = REPORT.read_text() if report is None else report
        self.fails = fails
        self.unrouted: tuple[str, ...] = ()
        self.version = "1"
        self.ran: list[str] = []

    def versions(self, names: Sequence[str]) -> dict[str, str]:
        return dict.fromkeys(names, self.version)

    def run(self, command: Sequence[str], folder: Path, log: Path) -> int:
        self.ran.append(command[0])
        log.write_text("Info: working\n")
        if command[0] == self.fails:
            log.write_text("Info: working\nERROR: no room left\n1 error\n")
            return 1
        if command[0] == "yosys":
            (folder / "top.json").write_text(json.dumps(self.netlist))
        if "--seed" in command and command[command.index("--seed") + 1] in self.unrouted:
            log.write_text("ERROR: Routing design failed.\n")
            return 1
        if command[0].startswith("nextpnr-"):
            (folder / command[command.index("--report") + 1]).write_text(self.report)
        if command[0] == "ecppack":
            (folder / command[command.index("--bit") + 1]).write_bytes(b"bits")
        if command[0] == "icepack":
            (folder / command[-1]).write_bytes(b"bits")
        return 0


@pytest.fixture
def small_top() -> type[SmallTop]:
    return SmallTop


@pytest.fixture
def fake_tools() -> type[FakeTools]:
    return FakeTools
