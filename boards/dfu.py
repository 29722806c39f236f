"""The suffix that tells a DFU tool which device a file is for."""

from __future__ import annotations

import struct
import zlib

from .board import UsbId

VERSION = 0x0100
"""Of the DFU specification."""
ANY_DEVICE = 0xFFFF


def with_suffix(content: bytes, device: UsbId) -> bytes:
    """``content`` with the suffix of the USB DFU specification 1.1, appendix B."""
    fields = struct.pack(
        "<HHHH3sB",
        ANY_DEVICE,
        device.pid,
        device.vid,
        VERSION,
        b"UFD",
        struct.calcsize("<HHHH3sBI"),
    )
    # The CRC of DFU is not inverted at its end.
    return content + fields + struct.pack("<I", zlib.crc32(content + fields) ^ 0xFFFFFFFF)
