"""Whether a controller can run an image: each thing that it lacks, as a sentence."""

from __future__ import annotations

from ..geometry import OPTIONAL, Feature
from ..image import Image
from ..isa import Op, Reg
from .protocol import Info


def lacking(image: Image, info: Info) -> list[str]:
    """What ``image`` needs and the controller that says ``info`` does not have.

    Cells are numbered by row, so the columns must be as many; single columns and a calibration
    table are there where the image has them and nowhere else; of everything else the controller
    may have more.
    """
    geometry = image.geometry
    found = []
    if geometry.columns != info.columns:
        found.append(f"it was made for {geometry.columns} columns, the board has {info.columns}")
    calls = (span for call in image.host for span in (*call.reads, *call.writes))
    last = max(span.address + span.count for span in (image.input, *image.outputs, *calls))
    for name, needed, there in (
        ("rows", geometry.rows, info.rows),
        ("tiles", image.tiles, info.tiles),
        ("bits of an activation", geometry.act_width, info.act_width),
        ("bits of an accumulator", geometry.acc_width, info.acc_width),
        ("words of program memory", len(image.code), info.program_depth),
        ("words of parameter memory", len(image.params), info.param_depth),
        ("words of activation memory", last, info.act_depth),
    ):
        if needed > there:
            found.append(f"it needs {needed} {name}, the board has {there}")
    if geometry.passive != info.has(Feature.PASSIVE):
        kinds = ("with transistors", "without transistors")
        mine, other = kinds if not geometry.passive else reversed(kinds)
        found.append(f"it was made for an array {mine}, the board is for one {other}")
    if geometry.calibration != info.has(Feature.CALIBRATION):
        # A pulse's reads are as far apart as the table lets them be, and it may hold anything.
        kinds = ("with a calibration table", "without one")
        mine, other = kinds if geometry.calibration else reversed(kinds)
        found.append(f"it was made for a controller {mine}, the board's is {other}")
    used = {instr.op for instr in image.code}
    for op in OPTIONAL:
        if op in used and not info.has(op):
            found.append(f"it needs {op.name}, the board lacks it")
    registers = {
        instr.operands["reg"]
        for instr in image.code
        if instr.op is Op.SET and instr.operands["value"]
    }
    for feature, reg, what in (
        (Feature.TARGETS, Reg.LINE, "targets"),
        (Feature.WEAR, Reg.ENDURANCE, "the count of wear"),
    ):
        if reg in registers and not info.has(feature):
            found.append(f"it needs {what}, the board lacks it")
    sliced = any(instr.operands.get("shift") for instr in image.code)
    if sliced and not info.has(Feature.SLICES):
        found.append("it needs bit slices, the board lacks them")
    scheme = any(instr.op is Op.SET and instr["reg"] == Reg.SCHEME for instr in image.code)
    if scheme and not info.has(Feature.SINGLE):
        found.append("it needs single columns, the board lacks them")
    if info.has(Feature.SINGLE) and not geometry.has_single:
        # Its program would take whatever SCHEME another one has left.
        found.append("it was made for pairs of columns alone, the board has single ones too")
    return found
