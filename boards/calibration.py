"""The file of a card's calibration: what `ohmloom selftest --calibrate` writes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ..errors import OhmloomError
from ..hw.geometry import Geometry
from ..hw.ranges import RANGE_BITS
from ..hw.tables import IDENTITY, table_columns, table_depth, unpack_entry


class CalibrationFileError(OhmloomError, ValueError):
    """A file that is no calibration, or not one for this card."""


class Calibration(BaseModel):
    """Words of the controller's calibration table (:mod:`ohmloom.hw.tables`).

    Attributes
    ----------
    columns:
        Columns of the card.
    words:
        ``columns``, rounded up to a power of two, for each of the eight range numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["ohmloom-calibration-1"] = "ohmloom-calibration-1"
    columns: int
    words: list[int]

    @model_validator(mode="after")
    def _whole(self) -> Calibration:
        if not 1 <= self.columns <= 256:
            raise ValueError(f"columns = {self.columns} is outside 1..256")
        if len(self.words) != table_columns(self.columns) << RANGE_BITS:
            raise ValueError(
                f"{len(self.words)} words, {self.columns} columns have "
                f"{table_columns(self.columns) << RANGE_BITS}"
            )
        if not all(0 <= word < 1 << 32 for word in self.words):
            raise ValueError("a word is outside 0..2^32 - 1")
        return self

    def entry(self, tia_range: int, column: int) -> tuple[int, int]:
        """Gain and offset of a channel, as ``unpack_entry`` gives them."""
        return unpack_entry(self.words[tia_range * table_columns(self.columns) + column])

    @property
    def digest(self) -> str:
        """SHA-256 of its words, as a journal names it."""
        packed = b"".join(word.to_bytes(4, "little") for word in self.words)
        return hashlib.sha256(packed).hexdigest()

    def save(self, path: Path) -> None:
        """Write it; an old file is replaced only by a whole new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_text(self.model_dump_json() + "\n")
        temporary.replace(path)


def load_calibration(path: Path, columns: int) -> Calibration:
    """Read a file, for a card of so many columns.

    Raises
    ------
    CalibrationFileError
        If it is none, or is for another number of columns.
    """
    try:
        found = Calibration.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise CalibrationFileError(f"{path} is no calibration: {where}: {first['msg']}") from error
    if found.columns != columns:
        raise CalibrationFileError(f"{path} is for {found.columns} columns, the card has {columns}")
    return found


def calibration_for(path: Path, geometry: Geometry) -> Calibration:
    """Read a file, for the controller of a bundle.

    Raises
    ------
    CalibrationFileError
        If it is none, is for another number of columns, or the controller has no table.
    """
    if not geometry.calibration:
        raise CalibrationFileError(
            f"the bundle's controller has no calibration table that {path} could go into: "
            "`ohmloom compile --calibrated` makes one"
        )
    return load_calibration(path, geometry.columns)


def table_words(geometry: Geometry, calibration: Calibration | None) -> list[int]:
    """What a controller's table is to hold: without a calibration words that change nothing.

    Empty where the controller has no table.
    """
    if not geometry.calibration:
        return []
    return [IDENTITY] * table_depth(geometry) if calibration is None else calibration.words
