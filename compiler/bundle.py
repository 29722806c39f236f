"""The bundle: a compiled network as a directory ``NAME.ohm/``.

Written beside its place and renamed into it, so that there is never half a
bundle. Read with every size, hash, name, type and shape checked first; nothing
in it is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from ..hw.geometry import Geometry
from ..hw.image import Image, LayerSpan
from ..hw.isa import PULSE_FIELDS, SWEEP_FIELDS, assemble, parse
from ..hw.profile import (
    PROFILE_SENTENCES,
    PROFILE_WORDS,
    ProfileStatus,
    check,
    unpack_profile,
)
from ..sim.devices import Device, DeviceError
from ..sim.devices.record import from_record, to_record
from . import host_files
from .cells import level_type
from .compiled import Compiled, Golden, LayerInfo
from .encoding import Encoding
from .errors import BundleError, TargetError
from .host import HostStep
from .lower import writing_op
from .manifest import FORMAT, SCHEMA_VERSION, FileRecord, InputRecord, LayerRecord, Manifest
from .mapping import check_encoding, tiles_used
from .npz import ArraySpec, read_npz, write_npz
from .report import summarise
from .report_page import render_html

if TYPE_CHECKING:
    from .budget import LayerBudget
    from .sensitivity import Sensitivity
    from .trial import Outcome

MANIFEST = "manifest.json"
PROGRAM = "program.bin"
PARAMS = "params.npz"
CONDUCTANCES = "conductances.npz"
GOLDEN = "golden.npz"
REPORT_JSON = "report.json"
REPORT_HTML = "report.html"
FILES = (PROGRAM, PARAMS, CONDUCTANCES, GOLDEN, REPORT_JSON, REPORT_HTML)
BITSTREAM = "bitstream"
"""Folder that a later build may add; it keeps its own records."""
MAX_FILE_BYTES = 256 << 20
MAX_MANIFEST_BYTES = 16 << 20


def write_bundle(
    compiled: Compiled,
    path: str | Path,
    budget: Sequence[LayerBudget] = (),
    search: Outcome | None = None,
    baud: int | None = None,
    needs: Sensitivity | None = None,
) -> Path:
    """Write a compiled network to directory ``path``; an older bundle there is replaced.

    The same compilation gives the same bytes. ``budget``, ``search`` and ``needs`` are shown in
    the report, and what the host costs at the ``baud`` of a board's link.

    Raises
    ------
    BundleError
        If ``path`` is something else than a bundle, or cannot be written.
    """
    path = Path(path)
    if path.exists() and not (path / MANIFEST).is_file():
        raise BundleError(f"{path} exists and is not a bundle, another name is needed")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
            fresh = Path(scratch) / "new"
            fresh.mkdir()
            _write_files(compiled, fresh, budget, search, baud, needs)
            if path.exists():
                path.rename(Path(scratch) / "old")
            fresh.rename(path)
    except OSError as error:
        raise BundleError(f"cannot write bundle {path}: {error.strerror}") from error
    return path


def load_bundle(path: str | Path) -> Compiled:
    """Read a bundle.

    Raises
    ------
    BundleError
        If it is missing, truncated, altered, of another version or inconsistent.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    _check_files(path, manifest)
    try:
        device = from_record(manifest.device)
        code = tuple(parse((path / PROGRAM).read_bytes()))
    except DeviceError as error:
        raise BundleError(f"{path} device profile: {error}") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: {error}") from error
    _check_consistency(path, manifest, len(code), device)

    geometry = manifest.geometry
    words = np.dtype(np.uint64)
    memories = read_npz(
        path / PARAMS,
        {
            "params": ArraySpec(words, (manifest.param_words,)),
            "profile": ArraySpec(words, (PROFILE_WORDS,)),
        },
    )
    params, profile = memories["params"], tuple(int(word) for word in memories["profile"])
    _check_profile(path, profile, manifest)
    cells = (manifest.tiles, geometry.rows, geometry.columns)
    kind = level_type(len(device.level_codes))
    levels = read_npz(path / CONDUCTANCES, {"levels": ArraySpec(kind, cells)})["levels"]
    if int(levels.max()) >= len(device.level_codes):
        raise BundleError(
            f"{path} has a cell on level {levels.max()}, "
            f"{device.name} has {len(device.level_codes)} levels"
        )
    return Compiled(
        name=manifest.name,
        input_shape=manifest.input.shape,
        input=manifest.input.scale,
        image=Image(
            geometry=geometry,
            code=code,
            entries=dict(manifest.entries),
            params=params,
            tiles=manifest.tiles,
            input=manifest.input.span,
            layers=tuple(
                LayerSpan(layer.name, layer.span) for layer in manifest.layers if layer.span
            ),
            profile=profile,
            host=host_files.calls(manifest.host),
        ),
        levels=levels,
        placements=manifest.placements,
        layers=tuple(
            LayerInfo(r.name, r.kind, r.outputs, r.weights, r.scale, r.moved)
            for r in manifest.layers
        ),
        device=device,
        converters=manifest.converters,
        options=manifest.options,
        verify_range=manifest.verify_range,
        ranges=manifest.ranges,
        golden=_read_golden(path, manifest),
        host=_read_host(path, manifest),
    )


# -- writing ----------------------------------------------------------------------------


def _write_files(
    compiled: Compiled,
    folder: Path,
    budget: Sequence[LayerBudget],
    search: Outcome | None,
    baud: int | None,
    needs: Sensitivity | None,
) -> None:
    report = summarise(compiled, budget=budget, search=search, baud=baud, needs=needs)
    (folder / PROGRAM).write_bytes(assemble(compiled.image.code))
    profile = np.array(compiled.image.profile, np.uint64)
    params = compiled.image.params.astype(np.uint64)
    write_npz(folder / PARAMS, {"params": params, "profile": profile})
    write_npz(folder / CONDUCTANCES, {"levels": compiled.levels})
    layers = {f"layer{number}": array for number, array in enumerate(compiled.golden.layers)}
    write_npz(folder / GOLDEN, {"inputs": compiled.golden.inputs, **layers})
    (folder / REPORT_JSON).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (folder / REPORT_HTML).write_text(render_html(compiled, report), encoding="utf-8")
    host_files.write(folder, compiled.host)
    names = (*FILES, *host_files.files(len(compiled.host)))
    files = {name: _file_record(folder / name) for name in names}
    text = _manifest(compiled, files).model_dump_json(indent=2)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _file_record(path: Path) -> FileRecord:
    return FileRecord(sha256=_sha256(path), size=path.stat().st_size)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _manifest(compiled: Compiled, files: dict[str, FileRecord]) -> Manifest:
    image = compiled.image
    spans = {layer.name: layer.span for layer in image.layers}
    return Manifest(
        name=compiled.name,
        options=compiled.options,
        device=to_record(compiled.device),
        converters=compiled.converters,
        geometry=image.geometry,
        verify_range=compiled.verify_range,
        ranges=compiled.ranges,
        entries=image.entries,
        instructions=len(image.code),
        param_words=len(image.params),
        tiles=image.tiles,
        placements=compiled.placements,
        input=InputRecord(shape=compiled.input_shape, scale=compiled.input, span=image.input),
        layers=tuple(
            LayerRecord(
                name=info.name,
                kind=info.kind,
                outputs=info.outputs,
                weights=info.weights,
                scale=info.output,
                span=spans.get(info.name),
                moved=info.moved,
            )
            for info in compiled.layers
        ),
        host=host_files.records(compiled.host, image.host),
        golden_samples=len(compiled.golden.inputs),
        files=files,
    )


# -- reading ----------------------------------------------------------------------------


def _read_manifest(path: Path) -> Manifest:
    if not path.is_dir():
        raise BundleError(f"{path} is not a bundle directory")
    file = path / MANIFEST
    try:
        with file.open("rb") as stream:
            body = stream.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise BundleError(f"cannot read {file}: {error.strerror}") from error
    if len(body) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{file} is larger than the {MAX_MANIFEST_BYTES} bytes accepted")
    try:
        head: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file} is not JSON or is cut short") from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise BundleError(f"{file} is not the manifest of an Ohmloom bundle")
    if head.get("schema_version") != SCHEMA_VERSION:
        raise BundleError(
            f"{file} has schema version {head.get('schema_version')}, {SCHEMA_VERSION} is accepted"
        )
    try:
        return Manifest.model_validate_json(body)
    except ValidationError as error:
        raise BundleError(f"{file}: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    """The first complaint of a validation as ``field: what is wrong``."""
    detail = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in detail["loc"]) or "manifest"
    return f"{field}: {detail['msg']}"


def _check_files(path: Path, manifest: Manifest) -> None:
    """Every file there, nothing else, and each one as it was written."""
    wanted = sorted((*FILES, *host_files.files(len(manifest.host))))
    if sorted(manifest.files) != wanted:
        raise BundleError(
            f"{path / MANIFEST} lists {sorted(manifest.files)}, {wanted} are accepted"
        )
    try:
        known = {*FILES, MANIFEST, BITSTREAM, *([host_files.FOLDER] if manifest.host else [])}
        unknown = {entry.name for entry in path.iterdir()} - known
        if manifest.host:
            inside = path / host_files.FOLDER
            if inside.is_symlink() or not inside.is_dir():
                raise BundleError(f"{inside} is missing or is not a plain folder")
            unknown |= {f"{inside.name}/{each.name}" for each in inside.iterdir()} - {*wanted}
        if unknown:
            raise BundleError(f"{path} holds {sorted(unknown)}, which no bundle has")
        for name, record in manifest.files.items():
            _check_file(path / name, record)
    except OSError as error:
        raise BundleError(f"cannot read bundle {path}: {error.strerror}") from error


def _check_file(file: Path, record: FileRecord) -> None:
    if not file.is_file() or file.is_symlink():
        raise BundleError(f"{file} is missing or is not a plain file")
    size = file.stat().st_size
    if size != record.size or size > MAX_FILE_BYTES:
        raise BundleError(f"{file} has {size} bytes, {record.size} were written")
    if _sha256(file) != record.sha256:
        raise BundleError(f"{file} was altered: its SHA-256 is not the one in the manifest")


def _check_consistency(path: Path, manifest: Manifest, instructions: int, device: Device) -> None:
    """Counts and addresses that would not fit the controller the bundle names."""
    geometry = manifest.geometry
    counts = [math.prod(manifest.input.shape), *(layer.outputs for layer in manifest.layers)]
    spans = [manifest.input.span, *(layer.span for layer in manifest.layers)]
    limits = {
        "instructions": (manifest.instructions, instructions, instructions),
        "program words": (instructions, 1, geometry.program_depth),
        "parameter words": (manifest.param_words, 1, geometry.param_depth),
        "tiles": (manifest.tiles, 1, geometry.tiles),
        # A network that has none has one tile all the same.
        "tiles of the placements": (
            tiles_used(manifest.placements),
            manifest.tiles,
            manifest.tiles,
        ),
        "entry addresses": (max(manifest.entries.values(), default=-1), 0, instructions - 1),
    }
    for name, (found, low, high) in limits.items():
        if not low <= found <= high:
            raise BundleError(f"{path} has {found} {name}, {low} to {high} are accepted")
    _check_placements(path, manifest, len(device.level_codes))
    wanted, op = {"setup", "infer"}, writing_op(device, geometry)
    if op is not None:
        wanted |= {f"{op.name.lower()}/{tile}" for tile in range(manifest.tiles)}
    wanted |= {record.entry for record in manifest.host if record.entry}
    if set(manifest.entries) != wanted:
        raise BundleError(f"{path} has entries {sorted(manifest.entries)}, not {sorted(wanted)}")
    for span, count in zip(spans, counts, strict=True):
        if span is None:
            continue
        if span.count != count or not 0 <= span.address <= geometry.act_depth - count:
            raise BundleError(
                f"{path} has a span of {span.count} words at {span.address}, {count} words "
                f"below {geometry.act_depth} are accepted"
            )
    for layer in manifest.layers:
        channels = len(layer.moved)
        if sorted(layer.moved) != list(range(channels)) or layer.outputs % (channels or 1):
            raise BundleError(f"{path} has channels of layer {layer.name} that are in no order")
    result = bool(manifest.host) and not manifest.host[-1].gives
    if manifest.layers[-1].span is None and not result:
        raise BundleError(f"{path} has no place for the output of its last layer")
    if len({layer.name for layer in manifest.layers}) != len(manifest.layers):
        raise BundleError(f"{path} has two layers of the same name")


def _check_placements(path: Path, manifest: Manifest, levels: int) -> None:
    """Parts of matrices of layers that there are, inside their tiles and beside each other."""
    geometry, end = manifest.geometry, (-1, 0)
    encodings = manifest.options.encodings(levels, [layer.name for layer in manifest.layers])
    for number in sorted({p.layer for p in manifest.placements} & set(encodings)):
        _check_encoding(path, encodings[number], geometry)
    for p in sorted(manifest.placements, key=lambda p: (p.tile, p.first_row)):
        inside = (
            p.tile >= 0
            and 0 <= p.first_row <= geometry.rows - p.inputs
            and p.inputs >= 1
            and 0 <= p.layer < len(manifest.layers)
            and 1 <= p.outputs <= encodings[p.layer].outputs(geometry.columns)
            and 0 <= p.slice < encodings[p.layer].slices
            and min(p.block, p.first_input, p.first_output) >= 0
        )
        if not inside or (p.tile, p.first_row) < end:
            raise BundleError(
                f"{path} has {p.inputs} rows and {p.outputs} outputs of slice {p.slice} of layer "
                f"{p.layer} from row {p.first_row} of tile {p.tile} on, which is outside it or in "
                "another's rows"
            )
        end = (p.tile, p.first_row + p.inputs)


def _check_profile(path: Path, words: tuple[int, ...], manifest: Manifest) -> None:
    """A device profile that the controller would adopt, of this device."""
    status = check(words)
    if status is not ProfileStatus.OK:
        raise BundleError(f"{path / PARAMS} device profile: {PROFILE_SENTENCES[status]}")
    profile = unpack_profile(words)
    found, modes = len(profile.modes), len(manifest.device["modes"])
    if found != modes:
        raise BundleError(f"{path} has a profile of {found} modes, its device has {modes}")
    for way in profile.ways:
        size = len(SWEEP_FIELDS if way.sweep else PULSE_FIELDS)
        if way.param + size > manifest.param_words:
            raise BundleError(
                f"{path} has a way of modes whose recipe at {way.param} is beyond the "
                f"{manifest.param_words} parameter words"
            )


def _read_host(path: Path, manifest: Manifest) -> tuple[HostStep, ...]:
    result, depth = manifest.layers[-1].outputs, manifest.geometry.act_depth
    return host_files.read(path, manifest.host, result, depth)


def _read_golden(path: Path, manifest: Manifest) -> Golden:
    samples, kind = manifest.golden_samples, np.dtype(np.int32)
    expected = {"inputs": ArraySpec(kind, (samples, manifest.input.span.count))}
    kept = [layer for layer in manifest.layers if layer.span is not None]
    for number, layer in enumerate(kept):
        expected[f"layer{number}"] = ArraySpec(kind, (samples, layer.outputs))
    arrays = read_npz(path / GOLDEN, expected)
    inputs = arrays.pop("inputs")
    return Golden(inputs, tuple(arrays.values()))


def _check_encoding(path: Path, encoding: Encoding, geometry: Geometry) -> None:
    """Weights in cells whose columns the controller can add up."""
    try:
        check_encoding(encoding, geometry)
    except TargetError as error:
        raise BundleError(f"{path}: {error}") from error
    if not encoding.top or encoding.single > geometry.has_single:
        raise BundleError(
            f"{path} has weights in {encoding}, which its cells or its controller do not hold"
        )
