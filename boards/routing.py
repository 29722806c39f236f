"""Whether a router goes round in circles, which that of nextpnr may do for ever, by its log.

Of a full FPGA some placements cannot be routed: two connections then take the same wire from each
other again and again, and the tool never ends (nextpnr's issues 179 and 1341).
"""

from __future__ import annotations

import re
from pathlib import Path

UNROUTED = "Routing design failed"
"""What nextpnr says of a placement that it cannot route; another one it often can."""
ROW = re.compile(rb"^Info:\s+\d+ \|[^|]*\|[^|]*\|\s*(\d+)\|", re.MULTILINE)
"""Of the router's table, each after a thousand connections: how many are left."""
ROWS = 300
"""Rows without fewer left than ever before; a full iCE40 that gets there does so in 90 rows all in
all, of which three or four follow each other without fewer."""


def in_circles(log: Path) -> bool:
    """Whether the router whose log this is makes no way any more; a log may be missing yet."""
    try:
        left = [int(found) for found in ROW.findall(log.read_bytes())]
    except FileNotFoundError:
        return False
    return len(left) - (left.index(min(left)) if left else 0) > ROWS
