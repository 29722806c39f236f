from __future__ import annotations

import zlib

from ohmloom.boards.board import UsbId
from ohmloom.boards.dfu import with_suffix


def test_suffix_as_the_specification_has_it() -> None:
    made = with_suffix(b"bits", UsbId(0x1209, 0x5AF0))
    assert made[:4] == b"bits" and len(made) == 20
    assert made[4:16] == bytes.fromhex("ffff f05a 0912 0001 554644 10")
    # The CRC of everything before it, of which the residue is the polynomial's, not inverted.
    assert int.from_bytes(made[-4:], "little") == zlib.crc32(made[:-4]) ^ 0xFFFFFFFF
    assert with_suffix(b"bots", UsbId(0x1209, 0x5AF0))[-4:] != made[-4:]
