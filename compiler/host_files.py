"""Host segments in a bundle: a model in a file each, and what the manifest says of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..hw.image import HostCall
from .errors import BundleError, HostError, UnsupportedNode
from .host import HostStep, Segment
from .manifest import NAME_LENGTH, GivenRecord, HostRecord, NodeRecord, TakenRecord

FOLDER = "host"


def files(segments: int) -> tuple[str, ...]:
    """Names of the files in a bundle."""
    return tuple(f"{FOLDER}/{number}.onnx" for number in range(segments))


def write(folder: Path, steps: Sequence[HostStep]) -> None:
    """Write the models of a network into the folder of a bundle."""
    if steps:
        (folder / FOLDER).mkdir()
    for name, step in zip(files(len(steps)), steps, strict=True):
        (folder / name).write_bytes(step.segment.model)


def records(steps: Sequence[HostStep], calls: Sequence[HostCall]) -> tuple[HostRecord, ...]:
    """What the manifest says of them."""
    return tuple(
        HostRecord(
            name=step.segment.name,
            nodes=tuple(
                NodeRecord(
                    node=n.node[:NAME_LENGTH], operator=n.operator, reason=n.reason[:NAME_LENGTH]
                )
                for n in step.segment.nodes
            ),
            takes=tuple(
                TakenRecord(scale=scale, span=span)
                for scale, span in zip(step.takes, call.reads, strict=True)
            ),
            gives=tuple(
                GivenRecord(output=output, scale=scale, span=span)
                for (output, scale), span in zip(step.gives, call.writes, strict=True)
            ),
            entry=call.entry,
        )
        for step, call in zip(steps, calls, strict=True)
    )


def calls(made: Sequence[HostRecord]) -> tuple[HostCall, ...]:
    """The calls of an image."""
    return tuple(
        HostCall(
            record.name,
            tuple(each.span for each in record.takes),
            tuple(each.span for each in record.gives),
            record.entry,
        )
        for record in made
    )


def read(
    path: Path, made: Sequence[HostRecord], result: int, act_depth: int
) -> tuple[HostStep, ...]:
    """The segments of the bundle at ``path``, whose files have been checked.

    Parameters
    ----------
    result:
        Values of the network's result.
    act_depth:
        Activation words of its controller.

    Raises
    ------
    BundleError
        If a model is none that may be run, or not of the inputs and outputs in the manifest.
    """
    steps = []
    for number, (name, record) in enumerate(zip(files(len(made)), made, strict=True)):
        nodes = tuple(UnsupportedNode(n.node, n.operator, n.reason) for n in record.nodes)
        segment = Segment(record.name, (path / name).read_bytes(), nodes)
        try:
            inputs, outputs = segment.inputs, segment.outputs
        except HostError as error:
            raise BundleError(f"{path / name}: {error}") from error
        taken = tuple(each.span.count for each in record.takes)
        if taken != inputs:
            raise BundleError(f"{path / name} takes {inputs} values, the manifest says {taken}")
        for each in record.gives:
            there = outputs[each.output] if each.output < len(outputs) else 0
            if each.span.count != there:
                raise BundleError(
                    f"{path / name} has {there} values in output {each.output}, the manifest "
                    f"says {each.span.count}"
                )
        for span in (each.span for each in (*record.takes, *record.gives)):
            if not 0 <= span.address <= act_depth - span.count:
                raise BundleError(
                    f"{path} has a span of {span.count} words at {span.address} for the host, "
                    f"words below {act_depth} are accepted"
                )
        last = number == len(made) - 1
        if record.entry not in ("", f"infer/{number + 1}") or (record.entry and not record.gives):
            raise BundleError(f"{path} has entry '{record.entry}' behind call {number} of the host")
        if not record.gives and not (last and outputs[0] == result):
            raise BundleError(
                f"{path / name} gives the controller nothing and is not the network's result of "
                f"{result} values"
            )
        gives = tuple((each.output, each.scale) for each in record.gives)
        steps.append(HostStep(segment, tuple(each.scale for each in record.takes), gives))
    return tuple(steps)
