"""What a machine lacks for a board, on machines that are made up."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ohmloom.boards import readiness
from ohmloom.boards.board import UsbId
from ohmloom.boards.catalogue import board
from ohmloom.boards.readiness import (
    GROUP,
    Need,
    Port,
    find_rule,
    group_of,
    needs,
    rule_file,
    serial_ports,
    udev_rule,
)

ULX3S = board("ulx3s-85f")
OTHER = UsbId(0x1234, 0x5678)
Look = Callable[..., dict[str, Need]]


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of udev rules, the only one."""
    folder = tmp_path / "rules.d"
    folder.mkdir()
    monkeypatch.setattr(readiness, "RULE_FOLDERS", (tmp_path / "none", folder))
    return folder


@pytest.fixture
def look(tmp_path: Path, rules: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """``look(ports, board=..., closed=...)``: the needs by name, with an empty PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def run(
        ports: list[Port] | None, board: object = ULX3S, closed: tuple[str, ...] = ()
    ) -> dict[str, Need]:
        monkeypatch.setattr(readiness, "serial_ports", lambda: ports)
        monkeypatch.setattr(readiness, "may_open", lambda device: device not in closed)
        return {need.name: need for need in needs(board)}  # type: ignore[arg-type]

    return run


def test_build_tools_are_required_and_nothing_else(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = look([])
    assert {name for name, need in found.items() if need.required} == set(ULX3S.toolchain)
    assert all(found[name].found for name in ULX3S.toolchain)
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    lacking = look([])["yosys"]
    assert lacking.found is None and "/nowhere/yosys was not found" in lacking.how_to_get


def test_the_programming_tool(look: Look, tmp_path: Path) -> None:
    lacking = look([])["programming tool"]
    assert lacking.found is None
    assert "openFPGALoader: apt-get install openfpgaloader; or fujprog: " in lacking.how_to_get
    tool = tmp_path / "bin" / "fujprog"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert look([])["programming tool"].found == f"fujprog ({tool})"


def test_a_port_is_found_by_its_usb_ids(look: Look, tmp_path: Path) -> None:
    one, two, other, none = (str(tmp_path / name) for name in ("ttyUSB0", "ttyUSB1", "x", "ttyS0"))
    lacking = look([Port(other, OTHER), Port(none, None)])
    assert lacking["serial port"].found is None and "permission" not in lacking
    assert "USB 0403:6015" in lacking["serial port"].how_to_get
    found = look([Port(other, OTHER), Port(one, ULX3S.usb), Port(two, ULX3S.usb)])
    assert found["serial port"].found == f"{one}, {two}"
    assert found["permission"].found == "may be opened"


def test_a_port_that_may_not_be_opened(look: Look, tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB0"
    device.touch()
    device.chmod(0o600)
    closed = look([Port(str(device), ULX3S.usb)], closed=(str(device),))["permission"]
    assert closed.found is None
    assert closed.how_to_get == f"{device}: sudo usermod -aG {GROUP} $USER, then log in again"


def test_a_board_on_an_adapter_has_any_usb_port_and_no_rule(look: Look) -> None:
    adapted = replace(ULX3S, usb=None)
    found = look([Port("/dev/x", OTHER), Port("/dev/ttyS0", None)], adapted)
    assert found["serial port"].found == "/dev/x"
    assert readiness.UDEV_RULE not in found
    assert ULX3S.serial in look([], adapted)["serial port"].how_to_get


def test_without_pyserial_it_says_so(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(None)["serial port"].how_to_get == "pip install pyserial"
    monkeypatch.undo()
    for name in ("serial", "serial.tools", "serial.tools.list_ports"):
        monkeypatch.setitem(sys.modules, name, None)
    assert serial_ports() is None


def test_ports_are_those_that_pyserial_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [
        SimpleNamespace(device="/dev/ttyUSB1", vid=0x0403, pid=0x6015),
        SimpleNamespace(device="/dev/ttyS0", vid=None, pid=None),
    ]
    module = SimpleNamespace(comports=lambda: listed)
    monkeypatch.setitem(sys.modules, "serial", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "serial.tools", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "serial.tools.list_ports", module)
    assert serial_ports() == [Port("/dev/ttyS0", None), Port("/dev/ttyUSB1", ULX3S.usb)]


def test_the_rule_is_found_by_its_ids_whoever_wrote_it(look: Look, rules: Path) -> None:
    assert ULX3S.usb is not None
    rule = udev_rule(ULX3S, ULX3S.usb)
    assert 'ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6015"' in rule and "uaccess" in rule
    lacking = look([])[readiness.UDEV_RULE]
    assert lacking.found is None and str(rule_file(ULX3S)) in lacking.how_to_get
    path = rules / "99-other.rules"
    path.write_text("# " + rule.replace("\n", "\n# "))  # a comment is no rule
    assert find_rule(ULX3S.usb) is None
    path.write_text('ATTRS{idVendor}=="0403"\nATTRS{idProduct}=="6015"\n')  # of two devices
    assert find_rule(ULX3S.usb) is None
    path.write_text(rule)
    assert find_rule(ULX3S.usb) == str(path) == look([])[readiness.UDEV_RULE].found
    assert find_rule(OTHER) is None
    path.write_text('ATTRS{idVendor}=="0D28", ATTRS{idProduct}=="ABCD", MODE="666"\n')
    assert find_rule(UsbId(0x0D28, 0xABCD)) is None  # the kernel has them in lower case
    path.write_text(path.read_text().lower().replace("idvendor", "idVendor").replace("idp", "idP"))
    assert find_rule(UsbId(0x0D28, 0xABCD)) == str(path)


def test_the_group_of_a_device_that_is_gone(tmp_path: Path) -> None:
    assert group_of(str(tmp_path / "ttyUSB0")) == GROUP
