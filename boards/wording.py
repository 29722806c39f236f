"""Requests of the link in words, and the first difference of two of them."""

from __future__ import annotations

from ..hw.link.codec import Frame
from ..hw.link.protocol import ACCESS, READ_HEAD, RUN_HEAD, WRITE_HEAD, Kind, Limit, Space


def kind_name(kind: int) -> str:
    """Name of a request's kind, whatever it is."""
    return Kind(kind).name if kind in Kind._value2member_map_ else f"kind 0x{kind:02x}"


def describe(frame: Frame) -> str:
    """What a request asks for; one that is no request of the protocol as its bytes."""
    name, payload = kind_name(frame.kind), frame.payload
    if frame.kind == Kind.WRITE and len(payload) >= WRITE_HEAD.size:
        space, address = WRITE_HEAD.unpack_from(payload)
        width = _word_bytes(space)
        words = (len(payload) - WRITE_HEAD.size) // width
        return f"WRITE of {words} words to {_space(space)} from {address} on"
    if frame.kind == Kind.READ and len(payload) == READ_HEAD.size:
        space, address, count = READ_HEAD.unpack(payload)
        return f"READ of {count} words of {_space(space)} from {address} on"
    if frame.kind == Kind.RUN and len(payload) == RUN_HEAD.size:
        address, epoch = RUN_HEAD.unpack(payload)
        return f"RUN from {address} with epoch {epoch}"
    if frame.kind == Kind.LIMIT and payload and payload[0] in Limit._value2member_map_:
        value = int.from_bytes(payload[1:], "little")
        return f"LIMIT of {Limit(payload[0]).name} to {value}"
    return f"{name} with {payload.hex()}" if payload else name


def difference(said: Frame, recorded: Frame) -> str | None:
    """The first difference of what was said from what was recorded; None: there is none."""
    if said == recorded:
        return None
    ours, theirs = describe(said), describe(recorded)
    if ours != theirs:
        return f"it is {ours}, recorded was {theirs}"
    if said.payload == recorded.payload:
        return f"it is {ours} with number {said.seq}, recorded was number {recorded.seq}"
    at = _first(said.payload, recorded.payload)
    if said.kind == Kind.WRITE and at >= WRITE_HEAD.size:
        space, address = WRITE_HEAD.unpack_from(said.payload)
        width = _word_bytes(space)
        word = (at - WRITE_HEAD.size) // width
        start = WRITE_HEAD.size + word * width
        found, wanted = (
            int.from_bytes(frame.payload[start : start + width], "little")
            for frame in (said, recorded)
        )
        return (
            f"it is {ours}, where word {address + word} is 0x{found:0{2 * width}x}, "
            f"recorded was 0x{wanted:0{2 * width}x}"
        )
    return f"it is {ours}, whose payload differs from byte {at} on"


def _first(ours: bytes, theirs: bytes) -> int:
    """Index of the first byte that differs, the end of the shorter one included."""
    pairs = enumerate(zip(ours, theirs, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(ours), len(theirs)))


def _space(space: int) -> str:
    return Space(space).name if space in Space._value2member_map_ else f"space {space}"


def _word_bytes(space: int) -> int:
    return ACCESS[Space(space)].word_bytes if space in Space._value2member_map_ else 1
