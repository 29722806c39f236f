"""A board in numbers and words, as JSON types: what `ohmloom boards` shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from amaranth.build import Platform
from amaranth.lib.wiring import Flow

from ..hw.geometry import Geometry
from ..hw.top import FrontEnd, pins_signature
from .board import Afe, Board, Header
from .header import member_names, pinout
from .tools import TOOLS, missing


def summary(board: Board) -> dict[str, Any]:
    """One line of a list: what it is, and whether its bitstreams can be built here."""
    lacking = _lacking(board)
    return {
        "name": board.name,
        "title": board.title,
        "fpga": board.fpga,
        "clk_hz": board.clk_hz,
        "afes": list(board.afes),
        "standard": _size(board.standard),
        "builds_here": not lacking,
        "missing": lacking,
    }


def details(board: Board) -> dict[str, Any]:
    """Everything of a board, its front ends and their pins included."""
    lacking = _lacking(board)
    return {
        **summary(board),
        "oscillator_hz": board.oscillator_hz,
        "baud": board.baud,
        "serial": board.serial,
        "usb": None if board.usb is None else str(board.usb),
        "file": None if board.file is None else str(board.file),
        "budget": {
            "luts": board.budget.luts,
            "flip_flops": board.budget.flip_flops,
            "block_rams": board.budget.block_rams,
            "block_bits": board.budget.block_bits,
            "multipliers": board.budget.multipliers,
        },
        "toolchain": {name: lacking.get(name) or TOOLS[name].version() for name in board.toolchain},
        "programmers": [asdict(programmer) for programmer in board.programmers],
        "front_ends": {name: _front_end(board, name, afe) for name, afe in board.afes.items()},
    }


def _size(geometry: Geometry) -> str:
    """Rows x columns of a tile, and tiles."""
    return f"{geometry.rows} x {geometry.columns}, {geometry.tiles}"


def _lacking(board: Board) -> dict[str, str]:
    """Tools that are missing, each with how to get it; all, where only a plan is made."""
    if board.plan_only:
        return {name: f"build plan only: {TOOLS[name].remedy}" for name in board.toolchain}
    return missing(board.toolchain)


def _front_end(board: Board, name: str, afe: Afe) -> dict[str, Any]:
    blocks = board.memory_blocks(afe.standard, name)
    provider = afe.front_end(afe.standard, board.clk_hz)
    return {
        "provider": type(provider).__name__,
        "connector": None if afe.header is None else afe.header.title,
        "standard": asdict(afe.standard),
        "largest": asdict(afe.largest),
        "left_out": list(afe.standard.left_out),
        "block_rams": {memory: count for memory, count in blocks.items() if count},
        "pins": {} if afe.header is None else _pins(board, afe.header, provider),
    }


def _pins(board: Board, header: Header, provider: FrontEnd) -> dict[str, dict[str, Any]]:
    """Where each pin of the standard controller's card is, lowest bit first."""
    signature = pins_signature(provider)
    flows = member_names(signature)
    sites = _sites(board.platform(), header)
    return {
        name: {
            "direction": "to the card" if flows[name] is Flow.Out else "from the card",
            "positions": places,
            "sites": [sites[place] for place in places],
        }
        for name, places in pinout(signature, header.positions).items()
    }


def _sites(platform: Platform, header: Header) -> dict[str, str]:
    """The FPGA's pin of each position."""
    if header.connector is None:
        return {position: position for position in header.positions}
    name, number = header.connector
    for connector in platform.connectors.values():
        if (connector.name, connector.number) == (name, number):
            return {each: connector.mapping[each] for each in header.positions}
    raise KeyError(f"the platform has no connector {name} {number}")
