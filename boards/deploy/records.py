"""What the journal of an array says: one record for everything that is done to its cells."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

VERSION = 1

Count = Annotated[int, Field(ge=0)]
Cells = Annotated[tuple[Count, ...], Field(min_length=1)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[int, Field(ge=0, lt=1 << 64)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Began(_Record):
    """A deployment begins. What has been counted of the cells stays, what they are on does not."""

    kind: Literal["began"] = "began"
    version: Literal[1] = VERSION
    bundle: Hash
    board: str
    tiles: Annotated[int, Field(ge=1)]
    rows: Annotated[int, Field(ge=1)]
    columns: Annotated[int, Field(ge=1)]


class Loaded(_Record):
    """The controller has been loaded and set up; it has this word as long as it lives, and the
    calibration of that digest. None: one that changes nothing, or no table."""

    kind: Literal["loaded"] = "loaded"
    nonce: Word
    calibration: Hash | None = None


class Intent(_Record):
    """A run is about to be asked for: an attempt on cells, or a read of them."""

    kind: Literal["intent"] = "intent"
    number: Count
    tile: Count
    cells: Cells
    writes: bool


class Found(_Record):
    """The run has ended: the code of each cell, and which had no attempt left in them."""

    kind: Literal["found"] = "found"
    number: Count
    codes: tuple[int, ...]
    worn: tuple[Count, ...] = ()


class Void(_Record):
    """The run has never begun."""

    kind: Literal["void"] = "void"
    number: Count


class Lost(_Record):
    """Nobody knows how far the run got: its cells count as pulsed, and are to be read."""

    kind: Literal["lost"] = "lost"
    number: Count


class Missed(_Record):
    """Cells that a later read has found off their level; they are written again."""

    kind: Literal["missed"] = "missed"
    tile: Count
    cells: Cells


class Checking(_Record):
    """All attempts have been made; from here on every cell is read once more."""

    kind: Literal["checking"] = "checking"


class Finished(_Record):
    """Every cell has been written, or given up, and read back."""

    kind: Literal["finished"] = "finished"


Record = Annotated[
    Began | Loaded | Intent | Found | Void | Lost | Missed | Checking | Finished,
    Field(discriminator="kind"),
]
RECORD: TypeAdapter[Record] = TypeAdapter(Record)
