"""Automatic TIA range: which range the next conversion is made in. Plain Python.

Ranges are a decade apart, range 0 the least sensitive one. A single read with
:data:`AUTO` starts there with single conversions and goes to the most sensitive range
in which what was seen, and ``GUARD_CODES`` of offset and noise on top, stays below
``FULL_CODES``. The read proper is made in the range that is left no more; if that one
still meets a rail, the next less sensitive one, which is never left again.
"""

from __future__ import annotations

AUTO = 1 << 3
"""Bit of ``Reg.TIA_RANGE`` that makes a ``READ`` choose; the lower ones are a range."""
RANGE_BITS = 3
TEMPERATURE_RANGE = (1 << RANGE_BITS) - 1
"""Not a TIA's: a ``READ`` in it converts the converters' own temperature sensors, where a
front end has such. Never chosen by itself: a front end has fewer ranges."""
STEP = 10
"""Ratio of the full scales of neighbouring ranges."""
FULL_CODES = 29491
"""Nine tenths of full scale: the rest is for gain errors and noise."""
GUARD_CODES = 8
"""Offset and noise of a conversion, which may hide so much of a current."""
JUMPS = tuple(FULL_CODES // STEP**n - GUARD_CODES for n in (1, 2, 3))
"""Largest distance from 0 of a code after which the range may be 1, 2, 3 ranges on."""


def jump(code: int) -> int:
    """Ranges that may be skipped after a conversion of ``code``; 0: it has found its range."""
    return sum(abs(code) <= most for most in JUMPS)
