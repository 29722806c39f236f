"""``manifest.json``: the schema of a bundle."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..hw.geometry import Geometry
from ..hw.image import Span
from ..sim.converters import Converters
from .mapping import Placement
from .options import Options
from .scales import Scale

FORMAT = "ohmloom-bundle"
SCHEMA_VERSION = 5

Count = Annotated[int, Field(ge=1)]
NAME_LENGTH = 1024
Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class FileRecord(_Record):
    """What a file of the bundle must be."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class InputRecord(_Record):
    """The network's input: shape of one sample, scale, and its place in activation memory."""

    shape: Annotated[tuple[Count, ...], Field(min_length=1)]
    scale: Scale
    span: Span


class LayerRecord(_Record):
    """One layer: what it makes, and where, unless later layers need the place."""

    name: Name
    kind: Name
    outputs: Count
    weights: Annotated[int, Field(ge=0)]
    scale: Scale
    span: Span | None
    moved: tuple[Annotated[int, Field(ge=0)], ...] = ()


class NodeRecord(_Record):
    """A node that runs on the host, and why."""

    node: Name
    operator: Name
    reason: Name


class GivenRecord(_Record):
    """An output of a host segment that goes to the controller: which, its scale and its words."""

    output: Annotated[int, Field(ge=0)]
    scale: Scale
    span: Span


class TakenRecord(_Record):
    """An input of a host segment: its scale and its words."""

    scale: Scale
    span: Span


class HostRecord(_Record):
    """A host segment; its model is a file of its own.

    ``entry`` is run behind it, if it is not empty. Where ``gives`` is empty its first output
    is the network's result.
    """

    name: Name
    nodes: tuple[NodeRecord, ...]
    takes: Annotated[tuple[TakenRecord, ...], Field(min_length=1)]
    gives: tuple[GivenRecord, ...]
    entry: Annotated[str, Field(max_length=NAME_LENGTH)]


class Manifest(_Record):
    """Everything about a compiled network that is not an array or a program."""

    format: Literal["ohmloom-bundle"] = FORMAT
    schema_version: Literal[5] = SCHEMA_VERSION
    name: Name
    options: Options
    device: dict[str, Any]
    converters: Converters
    geometry: Geometry
    verify_range: Annotated[int, Field(ge=0)]
    ranges: tuple[Annotated[int, Field(ge=0)], ...]
    entries: dict[str, Annotated[int, Field(ge=0)]]
    instructions: Count
    param_words: Count
    tiles: Count
    placements: tuple[Placement, ...]
    input: InputRecord
    layers: Annotated[tuple[LayerRecord, ...], Field(min_length=1)]
    host: tuple[HostRecord, ...]
    golden_samples: Annotated[int, Field(ge=0)]
    files: dict[str, FileRecord]
