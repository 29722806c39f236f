"""Where an inference's cycles go that the front end's bound does not contain."""

from __future__ import annotations

from ...hw.afe.interface import PlaneStep
from ...hw.image import Image
from ...hw.isa import Instruction, Op
from ...hw.post.requant import Requantiser
from ...hw.postprocess import cycles
from ..engine.post import POST


def inference(image: Image) -> list[Instruction]:
    """The instructions of one inference, ``HALT`` not included."""
    start = image.entries["infer"]
    length = next(i for i, instr in enumerate(image.code[start:]) if instr.op is Op.HALT)
    return list(image.code[start : start + length])


def overhead(image: Image, period: dict[PlaneStep, int], excess: int) -> dict[str, int]:
    """``excess`` cycles by cause.

    Parameters
    ----------
    image : Image
        The program.
    period : dict
        Cycles of each step of a plane.
    excess : int
        Cycles of an inference beyond conversions x the longest step.

    Returns
    -------
    Cycles by cause: what an MVM needs before its first plane can settle and
    after its last one has, what requantisation and other post-processing take, and the
    rest (fetching, decoding, handshakes).
    """
    code = inference(image)
    mvms = sum(instr.op is Op.MVM for instr in code)
    causes = {
        "first plane: gather and switch update": mvms
        * (image.geometry.rows + 1 + period[PlaneStep.SWITCH]),
        "last plane: conversion and read-out": mvms * period[PlaneStep.READOUT],
        "requantise": Requantiser.CYCLES
        * sum(instr["count"] for instr in code if instr.op is Op.REQUANT),
    }
    others = sum(cycles(instr, image.params.tolist()) for instr in code if instr.op in POST)
    if others:
        causes["tables, pools, sums"] = others
    causes["fetch, decode, handshakes"] = excess - sum(causes.values())
    return causes
