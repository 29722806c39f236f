"""What a machine has, and lacks, for a board: build tools, programming tool, port, permission.

Each is looked at where the system keeps it; nothing is opened or written.
"""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .board import Board, UsbId
from .programmer import find_programmer, how_to_get
from .tools import TOOLS, ToolError

RULE_FOLDERS = tuple(map(Path, ("/etc/udev/rules.d", "/run/udev/rules.d", "/lib/udev/rules.d")))
RULE_NUMBER = 70
"""Rules with a tag for who sits at the machine come before 73, which reads the tag."""
GROUP = "dialout"
"""Who may open serial ports on Debian."""
UDEV_RULE = "udev rule"


@dataclass(frozen=True)
class Need:
    """One thing that a board needs of the machine.

    Attributes
    ----------
    name, needed_for:
        What, and what for.
    required:
        Nothing can be built without it.
    found:
        What is there; None: it is missing.
    how_to_get:
        If it is missing.
    """

    name: str
    needed_for: str
    required: bool
    found: str | None
    how_to_get: str


@dataclass(frozen=True)
class Port:
    """A serial port: its device file and its USB ids."""

    device: str
    usb: UsbId | None


def needs(board: Board) -> Iterator[Need]:
    """Everything that the board needs, in the order in which it is used."""
    for name in board.toolchain:
        tool = TOOLS[name]
        try:
            yield Need(name, "building", True, tool.version(), "")
        except ToolError as error:
            yield Need(name, "building", True, None, str(error))
    yield _programming_tool(board)
    yield from _serial_port(board)
    if board.usb is not None:
        yield Need(UDEV_RULE, "no root for it", False, find_rule(board.usb), _install(board))


def _programming_tool(board: Board) -> Need:
    found = find_programmer(board.programmers)
    ways = "; or ".join(f"{each.tool}: {how_to_get(each.tool)}" for each in board.programmers)
    shown = None if found is None else f"{found[0].tool} ({found[1]})"
    return Need("programming tool", "programming", False, shown, ways or "none is known")


def _serial_port(board: Board) -> Iterator[Need]:
    ports = serial_ports()
    if ports is None:
        yield Need("serial port", "talking to it", False, None, "pip install pyserial")
        return
    # Without ids of its own it is on an adapter of any kind.
    mine = [port for port in ports if port.usb and board.usb in (None, port.usb)]
    shown = ", ".join(port.device for port in mine) or None
    which = "" if board.usb is None else f", USB {board.usb}"
    yield Need("serial port", "talking to it", False, shown, f"connect it: {board.serial}{which}")
    closed = [port.device for port in mine if not may_open(port.device)]
    if mine:
        how = "; ".join(
            f"{device}: sudo usermod -aG {group_of(device)} $USER, then log in again"
            for device in closed
        )
        found = None if closed else "may be opened"
        yield Need("permission", "talking to it", False, found, how)


def serial_ports() -> Sequence[Port] | None:
    """The serial ports of this machine; None: pyserial is not installed."""
    try:
        from serial.tools.list_ports import comports
    except ImportError:
        return None
    return [
        Port(port.device, None if port.vid is None else UsbId(port.vid, port.pid))
        for port in sorted(comports(), key=lambda port: port.device)
    ]


def may_open(device: str) -> bool:
    """Whether this process may read and write a device file."""
    return os.access(device, os.R_OK | os.W_OK)


def group_of(device: str) -> str:
    """The group that may open a device file; :data:`GROUP` where none may."""
    try:
        state = os.stat(device)
        name = grp.getgrgid(state.st_gid).gr_name
    except (OSError, KeyError):
        return GROUP
    return name if state.st_mode & stat.S_IWGRP and name != "root" else GROUP


def udev_rule(board: Board, usb: UsbId) -> str:
    """The rule that lets whoever sits at the machine, and a group, use the board."""
    return (
        f"# {board.title}: programming and serial port for whoever sits at the machine,\n"
        f"# and for the group {GROUP}.\n"
        f'SUBSYSTEM=="usb|tty|hidraw", ATTRS{{idVendor}}=="{usb.vid:04x}", '
        f'ATTRS{{idProduct}}=="{usb.pid:04x}", MODE="0660", GROUP="{GROUP}", TAG+="uaccess"\n'
    )


def rule_file(board: Board) -> Path:
    """Where the board's rule goes."""
    return Path("/etc/udev/rules.d") / f"{RULE_NUMBER}-ohmloom-{board.name}.rules"


def find_rule(usb: UsbId) -> str | None:
    """The file with a rule for these ids, whoever wrote it."""
    # The kernel writes ids in lower case, and rules are compared with that as text.
    wanted = (f'{{idVendor}}=="{usb.vid:04x}"', f'{{idProduct}}=="{usb.pid:04x}"')
    for folder in RULE_FOLDERS:
        for path in sorted(folder.glob("*.rules")):
            try:
                lines = path.read_text(errors="replace").splitlines()
            except OSError:
                continue
            rules = [line for line in lines if not line.lstrip().startswith("#")]
            if any(all(each in rule for each in wanted) for rule in rules):
                return str(path)
    return None


def _install(board: Board) -> str:
    return (
        f"ohmloom doctor --board {board.name} --udev | sudo tee {rule_file(board)} && "
        "sudo udevadm control --reload && sudo udevadm trigger"
    )
