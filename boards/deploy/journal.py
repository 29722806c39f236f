"""The journal of an array: a file that only grows, a record a line, on the disk before it counts.

Each line begins with the CRC-32 of the rest. Whoever writes may be killed at any moment: what
is left of a line that has no end was never said, and is cut off.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from zlib import crc32

from pydantic import ValidationError

from ...errors import OhmloomError
from .records import RECORD, Record

MAX_BYTES = 1 << 32


class JournalError(OhmloomError):
    """A journal that cannot be read or written, or that another deployment is writing."""


class Journal:
    """One file, open for writing by nobody else.

    Parameters
    ----------
    path:
        Made where it is not there; its folder has to be.

    Raises
    ------
    JournalError
        If it is no journal, somebody else has it open, or it cannot be opened.

    Attributes
    ----------
    records:
        What it said when it was opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise JournalError(f"journal {path}: {error.strerror}") from error
        try:
            self._lock()
            self.records = self._read()
        except BaseException:
            self._file.close()
            raise

    def append(self, record: Record) -> None:
        """Add a record; it is on the disk when this returns.

        Raises
        ------
        JournalError
            If it cannot be written.
        """
        text = record.model_dump_json(exclude_none=True).encode()
        try:
            self._file.write(b"%08x %s\n" % (crc32(text), text))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise JournalError(f"journal {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Let others have it."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError(f"journal {self.path}: another deployment has it open") from error

    def _read(self) -> list[Record]:
        if os.fstat(self._file.fileno()).st_size > MAX_BYTES:
            raise JournalError(f"journal {self.path} has more than {MAX_BYTES} bytes")
        self._file.seek(0)
        whole, records = 0, list[Record]()
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                self._file.truncate(whole)
                break
            records.append(self._parse(number, line))
            whole += len(line)
        return records

    def _parse(self, number: int, line: bytes) -> Record:
        crc, _, text = line.rstrip(b"\n").partition(b" ")
        if crc != b"%08x" % crc32(text):
            raise JournalError(f"journal {self.path}, line {number}: it has been altered")
        try:
            return RECORD.validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "record"
            raise JournalError(
                f"journal {self.path}, line {number}: {where}: {first['msg']}"
            ) from error
