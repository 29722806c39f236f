# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""The ECP5's PLL: an exact output frequency from integers, through two PLLs where one cannot.

Sources: ECP5 and ECP5-5G Family Data Sheet (Lattice FPGA-DS-02012), "sysCLOCK PLL
Timing", for the ranges; sysCLOCK PLL/DLL Design and Usage Guide (FPGA-TN-02200) for
the dividers and for PLLs in series.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from amaranth.hdl import Elaboratable, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .board import BoardError

IN_HZ = (8_000_000, 400_000_000)
PFD_HZ = (10_000_000, 400_000_000)
VCO_HZ = (400_000_000, 800_000_000)
OUT_HZ = (3_125_000, 400_000_000)
# Slowest clock between two PLLs: slow enough for any routing, twice the slowest detector.
BETWEEN_HZ = 20_000_000
DIVIDER_MAX = 128
FEEDBACK_MAX = 80


@dataclass(frozen=True)
class PllSetting:
    """Dividers of a PLL that takes its feedback from CLKOP and gives its output on CLKOS."""

    in_hz: int
    clki: int
    clkfb: int
    clkop: int
    clkos: int

    @property
    def vco_hz(self) -> int:
        return self.in_hz * self.clkfb * self.clkop // self.clki

    @property
    def out_hz(self) -> int:
        return self.vco_hz // self.clkos


def find_settings(in_hz: int, out_hz: int) -> tuple[PllSetting, ...]:
    """One PLL, or two in series, that make exactly ``out_hz``.

    Raises
    ------
    BoardError
        If two cannot either.
    """
    if single := _find(in_hz, out_hz):
        return (single,)
    for clki, pfd_hz in _references(in_hz):
        for vco_hz in _descending(VCO_HZ, pfd_hz):
            for clkos in range(vco_hz // BETWEEN_HZ, 0, -1):
                first = None if vco_hz % clkos else _feedback(in_hz, clki, vco_hz, clkos)
                second = _find(first.out_hz, out_hz) if first else None
                if first and second:
                    return first, second
    raise BoardError(f"ECP5 PLLs cannot make {out_hz} Hz exactly from {in_hz} Hz")


def _find(in_hz: int, out_hz: int) -> PllSetting | None:
    """One PLL, with the fastest VCO and then the fastest phase detector."""
    if not (_within(IN_HZ, in_hz) and _within(OUT_HZ, out_hz)):
        return None
    for vco_hz in _descending(VCO_HZ, out_hz):
        clkos = vco_hz // out_hz
        if clkos > DIVIDER_MAX:
            continue
        for clki, _ in _references(in_hz):
            if setting := _feedback(in_hz, clki, vco_hz, clkos):
                return setting
    return None


def _references(in_hz: int) -> Iterator[tuple[int, int]]:
    """Input dividers that divide exactly, each with its phase detector frequency."""
    for clki in range(1, DIVIDER_MAX + 1):
        if in_hz % clki == 0 and _within(PFD_HZ, in_hz // clki):
            yield clki, in_hz // clki


def _feedback(in_hz: int, clki: int, vco_hz: int, clkos: int) -> PllSetting | None:
    """The feedback dividers that make this VCO frequency."""
    ratio, remainder = divmod(vco_hz * clki, in_hz)
    if remainder or not _within(OUT_HZ, vco_hz // clkos):
        return None
    for clkop in range(DIVIDER_MAX, 0, -1):
        clkfb, remainder = divmod(ratio, clkop)
        feedback_ok = _within(OUT_HZ, vco_hz // clkop) and 1 <= clkfb <= FEEDBACK_MAX
        if not remainder and feedback_ok:
            return PllSetting(in_hz, clki, clkfb, clkop, clkos)
    return None


def _within(bounds: tuple[int, int], value: int) -> bool:
    return bounds[0] <= value <= bounds[1]


def _descending(bounds: tuple[int, int], step: int) -> range:
    """Multiples of ``step`` within the bounds, the largest first."""
    return range(bounds[1] // step * step, bounds[0] - 1, -step)


class Ecp5Pll(wiring.Component):
    """One EHXPLLL.

    Members
    -------
    clki : In(1)
        Reference clock, from a pin or from a PLL before this one.
    reset : In(1)
        Holds the PLL while its reference is not there.
    clko : Out(1)
        Output clock of ``setting.out_hz``.
    locked : Out(1)
        The output is stable.
    """

    def __init__(self, setting: PllSetting) -> None:
        super().__init__({"clki": In(1), "reset": In(1), "clko": Out(1), "locked": Out(1)})
        self.setting = setting

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        setting, feedback = self.setting, Signal()
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            p_PLLRST_ENA="ENABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC",
            p_OUTDIVIDER_MUXD="DIVD",
            p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=setting.clki,
            p_CLKFB_DIV=setting.clkfb,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=setting.clkop,
            p_CLKOP_CPHASE=setting.clkop - 1,
            p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=setting.clkos,
            p_CLKOS_CPHASE=setting.clkos - 1,
            p_CLKOS_FPHASE=0,
            i_RST=self.reset,
            i_STDBY=0,
            i_CLKI=self.clki,
            i_CLKFB=feedback,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=0,
            i_PHASESTEP=0,
            i_PHASELOADREG=0,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=0,
            i_ENCLKOS=0,
            o_CLKOP=feedback,
            o_CLKOS=self.clko,
            o_LOCK=self.locked,
        )
        return m
