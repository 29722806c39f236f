# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""What every board connects to a controller: its serial port, and the card on its header.

The card's signature is the only list of its pins: each bit, in the order of the
signature, has the next position of the header.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import Module
from amaranth.build import Pins, Resource, Subsignal
from amaranth.hdl import Shape
from amaranth.lib import io, wiring
from amaranth.lib.wiring import Flow

from .board import BoardError, Header


def member_names(signature: wiring.Signature) -> dict[str, Flow]:
    """Names of a card's members, with underscores between their parts, and who drives them."""
    members = signature.flatten(signature.create())
    return {"_".join(map(str, path)): member.flow for path, member, _value in members}


def pinout(signature: wiring.Signature, positions: Sequence[str]) -> dict[str, list[str]]:
    """Header positions of each member of ``signature``, least significant bit first.

    One-bit pins come first, so that their positions do not depend on the
    geometry.

    Raises
    ------
    BoardError
        If the header is too small.
    """
    widths = {}
    for path, member, _value in signature.flatten(signature.create()):
        widths["_".join(str(part) for part in path)] = Shape.cast(member.shape).width
    needed = sum(widths.values())
    if needed > len(positions):
        raise BoardError(f"the card has {needed} pins, the header {len(positions)}")
    free = iter(positions)
    ordered = sorted(widths, key=lambda name: widths[name] > 1)
    return {name: [next(free) for _ in range(widths[name])] for name in ordered}


def card_resource(signature: wiring.Signature, header: Header) -> Resource:
    """The resource ``card 0``: a subsignal for each member of the card's signature.

    Parameters
    ----------
    signature:
        The card's pins as the gateware sees them (``Out`` drives the card).
    header:
        Where the card is plugged.
    """
    places = pinout(signature, header.positions)
    subsignals = []
    for path, member, _value in signature.flatten(signature.create()):
        name = "_".join(str(part) for part in path)
        driven = member.flow is Flow.Out
        pins = Pins(" ".join(places[name]), dir="o" if driven else "i", conn=header.connector)
        subsignals.append(Subsignal(name, pins, header.outputs if driven else header.inputs))
    return Resource("card", 0, *subsignals)


def connect_uart(m: Module, platform: Any, top: Any, lines: Sequence[str] = ("rx", "tx")) -> None:
    """The controller's ``rx`` and ``tx`` on the board's ``uart 0``, which has these lines."""
    uart = platform.request("uart", 0, dir=dict.fromkeys(lines, "-"))
    m.submodules.rx = rx = io.Buffer("i", uart.rx)
    m.submodules.tx = tx = io.Buffer("o", uart.tx)
    m.d.comb += [top.rx.eq(rx.i), tx.o.eq(top.tx)]


def connect_card(m: Module, platform: Any, top: Any, header: Header) -> None:
    """The controller's ``pins`` on a header."""
    signature = top.pins.signature
    platform.add_resources([card_resource(signature, header)])
    members = list(signature.flatten(top.pins))
    names = {"_".join(map(str, path)): value for path, _member, value in members}
    card = platform.request("card", 0, dir=dict.fromkeys(names, "-"))
    for path, member, value in members:
        name = "_".join(map(str, path))
        driven = member.flow is Flow.Out
        buffer = io.Buffer("o" if driven else "i", getattr(card, name))
        m.submodules[f"card_{name}"] = buffer
        m.d.comb += buffer.o.eq(value) if driven else value.eq(buffer.i)
