"""Where an inference's cycles go that the front end's bound does not contain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import takewhile

from ...hw.afe import ad7606c, adgs1414d
from ...hw.afe.interface import PlaneStep
from ...hw.afe.tia import SETTLE_TAUS, pole_ps, settle_ps, tau_ps
from ...hw.cycles import executed, post_cycles
from ...hw.image import Image
from ...hw.isa import Instruction, Op, instruction
from ..engine.post import POST


def inference(image: Image) -> list[Instruction]:
    """The instructions of one inference, ``HALT`` not included."""
    found: list[Instruction] = []
    for entry in image.runs:
        behind = image.code[image.entries[entry] :]
        found += takewhile(lambda instr: instr.op is not Op.HALT, behind)
    return found


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
    params = image.params.tolist()
    code = [(image.code[at], times) for at, times in executed(image).items()]

    def taken(*ops: Op) -> int:
        return sum(
            times * post_cycles(instr, params, image.geometry)
            for instr, times in code
            if instr.op in ops
        )

    mvms = sum(times for instr, times in code if instr.op is Op.MVM)
    # The first plane settles after that; the bound has its longest step instead.
    first = period[PlaneStep.SWITCH] + period[PlaneStep.SETTLE] - max(period.values())
    causes = {
        "first plane: gather and switch update": mvms * (image.geometry.rows + 1 + first),
        "last plane: conversion and read-out": mvms * period[PlaneStep.READOUT],
        "requantise": taken(Op.REQUANT),
    }
    others = taken(*POST)
    if others:
        causes["tables, pools, sums"] = others
    causes["fetch, decode, handshakes"] = excess - sum(causes.values())
    return causes


MVM_LIMIT = 1.05
"""Cycles of an MVM over those that the front end needs for it, at most."""


@dataclass(frozen=True)
class MvmFigure:
    """One MVM in co-simulation against the data sheets.

    Attributes
    ----------
    planes : int
        Its input planes.
    period : dict
        Cycles of each step of a plane, by the data-sheet formulas; the longest one is
        the plane period.
    cycles : int
        What it took, fetching and decoding included.
    """

    planes: int
    period: dict[PlaneStep, int]
    cycles: int

    @property
    def bound(self) -> int:
        """Plane periods and one read-out, in cycles."""
        return self.planes * max(self.period.values()) + self.period[PlaneStep.READOUT]

    @property
    def ratio(self) -> float:
        return self.cycles / self.bound

    @property
    def met(self) -> bool:
        return 0 < self.ratio <= MVM_LIMIT

    def lines(self, clk_hz: int, tia_range: int = 0) -> Iterator[str]:
        """The figure in words, each term of the settling time with its own number."""
        tia, adc = tau_ps(tia_range), pole_ps(ad7606c.BANDWIDTH_HZ)
        yield (
            f"settling: {adgs1414d.T_ON_PS / 1e3:.0f} ns (switch) + {SETTLE_TAUS:.2f} x "
            f"({tia / 1e3:.1f} ns (TIA) + {adc / 1e3:.1f} ns (ADC filter)) = "
            f"{settle_ps(tia_range) / 1e3:.0f} ns"
        )
        for step, count in self.period.items():
            yield f"{step.name.lower()}: {count} cycles at {clk_hz / 1e6:g} MHz"
        yield (
            f"bound: {self.planes} x {max(self.period.values())} + "
            f"{self.period[PlaneStep.READOUT]} = {self.bound} cycles"
        )
        yield f"measured: {self.cycles} cycles, {self.ratio:.3f} of the bound (<= {MVM_LIMIT})"


def with_another_mvm(image: Image) -> Image:
    """The program whose inference ends its first accumulation with its first MVM again."""
    at = next(n for n, instr in enumerate(image.code) if instr.op is Op.MVM)
    again = instruction(Op.MVM, **{**image.code[at].operands, "clear": 0})
    entries = {name: entry + (entry > at) for name, entry in image.entries.items()}
    code = (*image.code[: at + 1], again, *image.code[at + 1 :])
    return replace(image, code=code, entries=entries)


def mvm_figure(image: Image, period: dict[PlaneStep, int], one: int, two: int) -> MvmFigure:
    """The figure of the MVM by which two inferences differ.

    Parameters
    ----------
    image : Image
        The program of the shorter one, see :func:`with_another_mvm`.
    period : dict
        Cycles of each step of a plane.
    one, two : int
        Cycles of an inference with it once and twice.
    """
    mvm = next(instr for instr in inference(image) if instr.op is Op.MVM)
    return MvmFigure(mvm["planes"], period, two - one)
