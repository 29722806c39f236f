"""What a network's parts on the host cost: words over the link, and the time that they take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..hw.image import HostCall
from ..hw.link.protocol import MAX_READ, MAX_WRITE, MIN_FRAME, READ_HEAD, STATUS_BYTES, WRITE_HEAD
from .compiled import Compiled

WORD_BYTES = 2
BYTE_BITS = 10
"""Of a byte on the serial line, with start and stop."""
COBS_BYTES = 6
"""That a frame has more on the line at most: delimiters, and one for every 254 bytes."""
FRAME_BYTES = MIN_FRAME + COBS_BYTES


def host_calls(compiled: Compiled, baud: int | None = None) -> list[dict[str, Any]]:
    """Each call of the host as plain JSON values.

    Parameters
    ----------
    baud:
        Rate of the link, where it is known: the seconds are estimated by it.
    """
    return [
        {
            "name": call.name,
            "operators": [node.operator for node in step.segment.nodes],
            "nodes": [
                {"name": node.node, "operator": node.operator, "reason": node.reason}
                for node in step.segment.nodes
            ],
            "inputs": list(step.segment.inputs),
            "outputs": list(step.segment.outputs),
            "words_in": call.words_in,
            "words_out": call.words_out,
            "link_seconds": None if baud is None else link_bytes(call) * BYTE_BITS / baud,
            "estimated": True,
        }
        for call, step in zip(compiled.image.host, compiled.host, strict=True)
    ]


def link_bytes(call: HostCall) -> int:
    """Bytes on the serial line, both directions: one request after the other, none lost."""
    total = 0
    for spans, most, request, reply in (
        (call.reads, MAX_READ, READ_HEAD.size, STATUS_BYTES),
        (call.writes, MAX_WRITE, WRITE_HEAD.size, STATUS_BYTES),
    ):
        for span in spans:
            frames = -(-span.count * WORD_BYTES // (most // WORD_BYTES * WORD_BYTES))
            total += span.count * WORD_BYTES + frames * (2 * FRAME_BYTES + request + reply)
    return total


def lines(calls: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each call."""
    for call in calls:
        nodes = ", ".join(f"{n['operator']} {n['name']} ({n['reason']})" for n in call["nodes"])
        link = call["link_seconds"]
        time = "" if link is None else f", {1e3 * link:.3g} ms on the link (estimated)"
        yield f"{call['name']}: {nodes}; {call['words_in']} words in, {call['words_out']} out{time}"
