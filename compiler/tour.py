"""A tour of a device's modes: every way that its profile has, what each mode does, and what
is refused on the way.

Made of a catalogue entry alone: an image with one entry a step, and the steps. Each walk
begins on a fresh tile in the mode in which cells are made, and takes ways that no walk
before it took.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..hw.geometry import Geometry
from ..hw.image import Image, LayerSpan, Span
from ..hw.isa import (
    Dac,
    Instruction,
    Op,
    Reg,
    Staircase,
    Train,
    instruction,
    pack_pulse,
    pack_sweep,
)
from ..hw.profile import ModeStatus, WayRecord, arm_key
from ..sim.converters import Converters
from ..sim.cosim.session import Step
from ..sim.devices import Device, Mode
from .profile import ZERO_CODE, DeviceProfile, make_profile

TOUR_LINES = 8
"""Rows and columns of the tiles that a tour is made for."""
TOUR_TILES, TOUR_PROGRAM, TOUR_PARAMS = 4, 256, 512
"""Tiles and words of the controller, at least."""
PULSES = 10
"""Pulses of a train; assumed: enough to see where it goes."""
ANALOG_S = 5e-3
"""assumed: the pulse of seed 004, sec. 2.2, where it is longer than the device's shortest."""
CV_RATE_V_S = 0.5
"""assumed: slow against the store's own time constants, fast enough to be simulated."""
CV_STEPS = 30
CHARGE_S = 0.5
"""assumed: time of charging with the constant current of a tour."""
SETTLED_S = 200e-6
"""assumed: longer than any TIA range needs before a conversion."""


@dataclass(frozen=True)
class Tour:
    """A tour.

    Attributes
    ----------
    image:
        The program: every step has an entry of its own.
    steps:
        What to do, in order.
    after_reset:
        What to do when the controller has been configured anew while the cells have
        kept what was written; empty for devices that cannot be written once.
    profile:
        The profile and what was assumed for it.
    """

    image: Image
    steps: tuple[Step, ...]
    after_reset: tuple[Step, ...]
    profile: DeviceProfile


def make_tour(device: Device, converters: Converters, clk_hz: int) -> Tour:
    """The tour of a device.

    Raises
    ------
    TargetError
        If its profile cannot be made.
    """
    return _Guide(device, converters, clk_hz).tour()


def walks(ways: list[tuple[int, int]]) -> list[list[int]]:
    """Indices of ways, as walks from mode 0 that together take each way that can be reached."""
    left, found = set(range(len(ways))), []
    while True:
        best: list[int] | None = None
        ahead: list[list[int]] = [[]]
        while ahead and best is None:  # breadth first to the nearest way that is left
            path = ahead.pop(0)
            here = ways[path[-1]][1] if path else 0
            for n, (start, _) in enumerate(ways):
                if start == here and n not in path:
                    if n in left:
                        best = [*path, n]
                        break
                    ahead.append([*path, n])
        if best is None:
            return found
        left -= set(best)
        while True:
            more = [n for n in sorted(left) if ways[n][0] == ways[best[-1]][1]]
            if not more:
                break
            best.append(more[0])
            left.discard(more[0])
        found.append(best)


class _Guide:
    """Collects the steps of a tour."""

    def __init__(self, device: Device, converters: Converters, clk_hz: int) -> None:
        self.device = device
        self.converters = converters
        self.clk_hz = clk_hz
        self.profile = make_profile(device, converters, clk_hz)
        self.params: list[int] = list(self.profile.records)
        self.code: list[Instruction] = []
        self.entries: dict[str, int] = {}
        self.steps: list[Step] = []
        self.tia_range = 0

    # -- the tour ---------------------------------------------------------------------

    def tour(self) -> Tour:
        """All of it."""
        ways = self.profile.profile.ways
        paths = walks([(way.start, way.to) for way in ways]) or [[]]
        self._begin()
        for tile, path in enumerate(paths):
            self._walk(tile, [ways[n] for n in path])
        reset = self._after_reset() if self.profile.profile.modes[0].write_once else []
        # One controller for most devices, so that it is compiled once.
        geometry = Geometry(
            rows=TOUR_LINES,
            columns=TOUR_LINES,
            tiles=max(len(paths), TOUR_TILES),
            program_depth=max(TOUR_PROGRAM, 1 << (len(self.code) - 1).bit_length()),
            param_depth=max(TOUR_PARAMS, 1 << (len(self.params) - 1).bit_length()),
            act_depth=64,
        )
        image = Image(
            geometry=geometry,
            code=tuple(self.code),
            entries=self.entries,
            params=np.array(self.params, np.uint64),
            tiles=len(paths),
            input=Span(0, 1),
            layers=(LayerSpan("none", Span(1, 1)),),
            profile=self.profile.words,
        )
        return Tour(image, tuple(self.steps), tuple(reset), self.profile)

    def _begin(self) -> None:
        first = self.device.modes[0]
        harmless = self._read(first)
        self._step("a pulse before ADOPT", 0, harmless, refused=ModeStatus.NO_PROFILE)
        setup = [
            instruction(Op.ADOPT),
            instruction(Op.DAC, channel=Dac.GATE_ON, code=self.converters.gate_on_code),
        ]
        self._step("ADOPT", 0, setup, entry="setup")
        self._step("a pulse before RESTORE", 0, harmless, refused=ModeStatus.UNKNOWN)

    def _walk(self, tile: int, path: list[WayRecord]) -> None:
        here = 0
        self._restore(tile, here)
        self._use(tile, here)
        for way in path:
            start, to = self.device.modes[way.start], self.device.modes[way.to]
            change = instruction(Op.MODE, tile=tile, to=way.to)
            phase = f"to {to.name}"
            if way.irreversible:
                self._step(
                    f"{start.name} to {to.name}, not armed", tile, [change],
                    refused=ModeStatus.UNARMED,
                )  # fmt: skip
                arm = instruction(Op.SET, reg=Reg.ARM, value=arm_key(tile, way.to))
                self._step(f"{start.name} to {to.name}, armed", tile, [arm, change], phase=phase)
            else:
                self._step(f"{start.name} to {to.name}", tile, [change], phase=phase)
            self._use(tile, way.to)
            pairs = {(w.start, w.to) for w in self.profile.profile.ways}
            if (way.to, way.start) not in pairs:
                back = instruction(Op.MODE, tile=tile, to=way.start)
                self._step(
                    f"{to.name} back to {start.name}", tile, [back], refused=ModeStatus.NO_WAY
                )

    def _restore(self, tile: int, mode: int) -> None:
        self._step(
            f"tile {tile} is in its {self.device.modes[mode].name} mode", tile,
            [instruction(Op.RESTORE, tile=tile, mode=mode)],
        )  # fmt: skip

    def _after_reset(self) -> list[Step]:
        """A second write after the controller was configured anew; the cells were not."""
        kept, self.steps = self.steps, []
        self._step("ADOPT after a reset", 0, [], entry="setup", add=False)
        self._restore(0, 0)
        write = self._write(self.device.modes[0])
        self._step("a second write after a reset", 0, write, refused=ModeStatus.LOCKED)
        other = self._write(self.device.modes[0], row=1)
        name = "a cell that the host's map says is unwritten"
        self._step(name, 0, other, unlocked=(TOUR_LINES,), phase="write after a reset")
        found, self.steps = self.steps, kept
        return found

    # -- what a mode does -------------------------------------------------------------

    def _use(self, tile: int, index: int) -> None:
        mode, record = self.device.modes[index], self.profile.profile.modes[index]
        uses: dict[str, Callable[[Mode], Iterator[tuple[str, list[Instruction]]]]] = {
            "analog": self._analog,
            "volatile": self._volatile,
            "nonvolatile": self._nonvolatile,
            "power": self._power,
        }
        if record.write_once:
            self._once(tile, mode)
        else:
            for name, code in uses[mode.kind](mode):
                # Minutes of a voltammogram and a short charge have no axis in common.
                phase = f"{mode.name}, CV" if code[-1].op is Op.SWEEP else mode.name
                self._step(f"{mode.name}: {name}", tile, code, phase=phase)
        gap = (record.drive.gap_low, record.drive.gap_high)
        if gap[0] < gap[1] and record.drive.limited:
            window = mode.family.window(mode.p)
            sign = window.set_sign
            rail = self.converters.dac_code(sign * min(abs(window.v_max), abs(window.v_min) or 9))
            train = Train(
                rail=rail, gate=sum(gap) // 2, limit=record.drive.limited, width=self._cycles(1e-3)
            )
            current = float(self.converters.i_cc(train.gate))
            self._step(
                f"{mode.name}: a pulse with I_cc = {current * 1e6:.0f} uA, in the gap", tile,
                [self._pulse(train)], stopped=True,
            )  # fmt: skip

    def _analog(self, mode: Mode) -> Iterator[tuple[str, list[Instruction]]]:
        p: Any = mode.p
        width = max(ANALOG_S, 2 * p.drive.width_min.value)
        for name, leg in (("potentiation", p.up), ("depression", p.down)):
            window = mode.family.window(p)
            highest = self.converters.dac_volts_span - self.converters.dac_lsb
            volts = min(max(leg.v_full.value, window.v_min), window.v_max, highest)
            train = replace(
                self._train(volts, width, inside=1), pulses=PULSES,
                interval=self._cycles(2 * width),
            )  # fmt: skip
            self._sense(abs(volts) * self._largest(mode))
            yield f"{PULSES} pulses of {volts:g} V, {name}", self._line(train)

    def _volatile(self, mode: Mode) -> Iterator[tuple[str, list[Instruction]]]:
        p: Any = mode.p
        volts = min(1.2 * p.switching.v_threshold.value, p.drive.v_max.value)
        i_cc = 0.9 * p.switching.compliance.value
        width = max(5 * p.relaxation.fast_time.value, 2 * p.drive.width_min.value)
        width = min(width, 0.1)
        train = replace(
            self._train(volts, width, i_cc, inside=4), pulses=3, interval=self._cycles(4 * width)
        )
        self._sense(i_cc)
        name = f"3 pulses of {volts:g} V within {i_cc * 1e6:.3g} uA"
        yield name, self._line(train)

    def _nonvolatile(self, mode: Mode) -> Iterator[tuple[str, list[Instruction]]]:
        p: Any = mode.p
        pulses = getattr(p, "pulses", None)
        if pulses is not None:  # a line of conductances
            sets = (pulses.v_set.value, pulses.set_width.value)
            resets = (pulses.v_reset.value, pulses.reset_width.value)
            i_cc = math.sqrt(p.line.i_cc_min.value * p.line.i_cc_max.value)
        else:
            sets, resets = ((s.volts.value, s.width.value) for s in (p.set, p.reset))
            i_cc = p.compliance.i_cc.value
        read = self._read(mode, i_cc)
        for cycle in (1, 2):
            self._sense(i_cc)
            train = self._train(*sets, i_cc)
            yield f"SET {cycle} of {sets[0]:g} V at {i_cc * 1e6:.4g} uA", self._line(train)
            yield f"read {cycle} after SET", read
            yield f"RESET {cycle} of {resets[0]:g} V", self._line(self._train(*resets))
            yield f"read {cycle} after RESET", read

    def _power(self, mode: Mode) -> Iterator[tuple[str, list[Instruction]]]:
        top = mode.family.window(mode.p).v_max
        step = int((self.converters.dac_code(top) - ZERO_CODE) // CV_STEPS)
        interval = self._cycles(step * self.converters.dac_lsb / CV_RATE_V_S)
        width = interval - self._cycles(SETTLED_S)
        stairs = Staircase(
            start=ZERO_CODE, stop=ZERO_CODE + CV_STEPS * step, step=step, both=True,
            width=width, interval=interval, delay=width - 2,
        )  # fmt: skip
        p: Any = mode.p
        farads = p.store.capacitance.value * p.store.area.value
        self._sense(4 * farads * CV_RATE_V_S)
        record = len(self.params)
        self.params += pack_sweep(stairs)
        sweep = instruction(Op.SWEEP, tile=0, row=0, column=0, count=1, down=0, param=record)
        yield f"CV to {top:g} V at {CV_RATE_V_S:g} V/s", [self._range(), sweep]
        # Two thirds of what it holds at the average capacitance, in and out again.
        amperes = farads * top * 0.5 / CHARGE_S
        for name, sign in (("charging", 1), ("discharging", -1)):
            source = self._source(sign * amperes, top)
            if source is not None:
                yield f"{name} with {amperes * 1e6:.3g} uA", [self._pulse(source)]

    def _once(self, tile: int, mode: Mode) -> None:
        write = self._write(mode)
        self._step("a write of a cell that is not known", tile, write, refused=ModeStatus.LOCKED)
        self._step(
            "the first write", tile, write, unlocked=(tile * TOUR_LINES**2,), phase=mode.name
        )
        self._step("a second write", tile, write, refused=ModeStatus.LOCKED)

    def _write(self, mode: Mode, row: int = 0) -> list[Instruction]:
        p: Any = mode.p
        self._sense(p.compliance.i_cc.value)
        train = self._train(p.set.volts.value, p.set.width.value, p.compliance.i_cc.value, inside=1)
        return [self._range(), self._pulse(train, row=row)]

    # -- parts ------------------------------------------------------------------------

    def _cycles(self, seconds: float) -> int:
        return round(seconds * self.clk_hz)

    def _sense(self, amperes: float) -> None:
        """The smallest TIA range that a current fits into, or the largest one."""
        span, ohms = self.converters.adc_volts_span, self.converters.tia_ohms
        fitting = [n for n, r in enumerate(ohms) if amperes * r < span]
        self.tia_range = max(fitting, key=lambda n: ohms[n]) if fitting else int(np.argmin(ohms))

    def _largest(self, mode: Mode) -> float:
        """Conductance of an analog mode at its upper end [S]."""
        p: Any = mode.p
        return p.conductance.g_max.value

    def _range(self) -> Instruction:
        return instruction(Op.SET, reg=Reg.TIA_RANGE, value=self.tia_range)

    def _train(
        self, volts: float, width_s: float, i_cc: float | None = None, inside: int = 0
    ) -> Train:
        """One pulse; with ``i_cc`` within that current."""
        width = self._cycles(width_s)
        spacing = (width - self._cycles(SETTLED_S)) // (inside + 1) if inside else 0
        return Train(
            rail=self.converters.dac_code(volts),
            width=width,
            gate=0 if i_cc is None else int(self.converters.gate_code(i_cc)),
            limit=0 if i_cc is None else (1 if volts >= 0 else 2),
            inside=inside,
            delay=self._cycles(SETTLED_S) + spacing if inside else 0,
            spacing=spacing,
        )

    def _read(self, mode: Mode, i_cc: float | None = None) -> list[Instruction]:
        """The current at the read voltage, in a pulse of the polarity in which it may flow."""
        window = mode.family.window(mode.p)
        volts = math.copysign(mode.p.read.v_read.value, window.set_sign)
        if i_cc is None and math.isfinite(window.i_cc_max):
            i_cc = window.i_cc_max
        train = self._train(volts, 1e-3, i_cc, inside=1)
        g = getattr(getattr(mode.p, "lrs", None), "conductance", None)
        self._sense((i_cc or 1e-5) if g is None else abs(volts) * g.value)
        return self._line(train)

    def _source(self, amperes: float, top: float) -> Train | None:
        """A pulse of the current source with samples, ended at the store's window."""
        ohms = self.converters.source_ohms
        span = self.converters.dac_volts_span
        fitting = [n for n, r in enumerate(ohms) if abs(amperes) * r < span]
        if not fitting:
            return None
        which = max(fitting, key=lambda n: ohms[n])
        codes = self.converters.voltage_codes(np.array([0.02 * top, 0.95 * top]))
        spacing = self._cycles(CHARGE_S / 21)
        low, high = int(codes[0]), int(codes[1])
        return Train(
            rail=self.converters.dac_code(amperes * ohms[which]),
            width=self._cycles(CHARGE_S),
            inside=20, delay=spacing, spacing=spacing, source=1, source_range=which,
            v_low=low if amperes < 0 else -(1 << 15), v_high=high, react=self._cycles(1e-4),
        )  # fmt: skip

    def _pulse(self, train: Train, row: int = 0, count: int = 1) -> Instruction:
        record = len(self.params)
        self.params += pack_pulse(train)
        return instruction(Op.PULSE, tile=0, row=row, column=0, count=count, down=0, param=record)

    def _line(self, train: Train) -> list[Instruction]:
        """A train on two cells of a row, or on one where two have no room for the samples."""
        count = 2 if 2 * train.pulses * train.inside < TOUR_LINES**2 else 1
        return [self._range(), self._pulse(train, count=count)]

    def _step(
        self,
        name: str,
        tile: int,
        code: list[Instruction],
        *,
        entry: str | None = None,
        refused: ModeStatus | None = None,
        stopped: bool = False,
        unlocked: tuple[int, ...] = (),
        phase: str = "",
        add: bool = True,
    ) -> None:
        entry = entry or f"step/{len(self.entries)}"
        if add:
            self.entries[entry] = len(self.code)
            self.code += [
                instruction(i.op, **{**i.operands, "tile": tile})
                if i.op in (Op.PULSE, Op.SWEEP)
                else i
                for i in code
            ]
            self.code.append(instruction(Op.HALT))
        self.steps.append(Step(name, entry, tile, refused, stopped, unlocked, phase))
