"""From the catalogue to the device profile: the limits of each mode, and the ways' recipes.

Mode n of a profile is mode n of the device. What the entry does not say is assumed
here, and every assumption goes into :attr:`DeviceProfile.assumed`.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..hw.isa import (
    CYCLE_BITS,
    LIMIT_NEGATIVE,
    LIMIT_POSITIVE,
    Staircase,
    pack_sweep,
)
from ..hw.profile import (
    MODE_SLOTS,
    WAY_SLOTS,
    Drive,
    Kind,
    ModeRecord,
    Profile,
    WayRecord,
    pack_profile,
)
from ..sim.converters import ADC_MAX, Converters
from ..sim.devices import Device, Mode
from ..sim.devices.family import Programming, Window
from ..sim.devices.modes import Transition
from .errors import TargetError

log = logging.getLogger(__name__)

ZERO_CODE = 0x8000
CODE_MAX = 0xFFFF
WIDTH_MAX_S = 1.0
"""assumed: no entry says how long is too long; a step of the slowest sweep that the
sources use, 50 mV at 50 mV/s, is the longest that anybody has done."""
STORE_WIDTH_MAX_S = 18_000.0
"""assumed: a store of 5 uC takes 5000 s at 1 nA, the smallest current of the card; pulses of
the rail are held to 10 s by the guard."""
RATE_V_S = 1.0
"""assumed: the rate of the sweeps of seed 004, sec. 2.2, where a way names none."""
RATE_MARGIN = 0.9
"""assumed: a tenth slower than the fastest rate, so that no rounding is beyond it."""
VOLTS_MARGIN = 1.05
"""assumed: a twentieth beyond the smallest voltage, so that every cell sees it."""
I_CC_MARGIN = 1.1
"""assumed: a tenth inside a window of I_cc that is open at the other side."""
STEPS = 64
"""Steps of a recipe's sweep; assumed: fine against every threshold of the catalogue."""
OPEN_PART = 2
"""The gate is open for one part in two of a step, which the guard's duty limit allows for
any number of rows; assumed: it is the rate of the sweep that counts."""

KINDS = {
    "analog": Kind.ANALOG,
    "volatile": Kind.VOLATILE,
    "nonvolatile": Kind.NONVOLATILE,
    "power": Kind.POWER,
}
"""Kinds of modes as device entries call them."""


@dataclass(frozen=True)
class Way:
    """A way of the profile in SI units: what its recipe does to each row of a tile.

    Attributes
    ----------
    start, to:
        Names of the modes.
    volts:
        Last and largest voltage of the sweep [V].
    rate_v_s:
        Its rate [V/s].
    i_cc:
        Compliance current [A]; None without one.
    irreversible:
        It needs its key.
    """

    start: str
    to: str
    volts: float
    rate_v_s: float
    i_cc: float | None
    irreversible: bool


@dataclass(frozen=True)
class DeviceProfile:
    """A device's profile and what came of its entry.

    Attributes
    ----------
    profile:
        Modes and ways.
    records:
        Parameter words of the recipes, in the order of the ways.
    base:
        Parameter address of the first of them.
    ways:
        The ways in SI units.
    left_out:
        Ways of the entry that this card cannot go, each with the reason.
    assumed:
        What the entry does not say, with the reason for what is done.
    """

    profile: Profile
    records: tuple[int, ...]
    base: int
    ways: tuple[Way, ...]
    left_out: tuple[str, ...]
    assumed: tuple[str, ...]

    @property
    def words(self) -> tuple[int, ...]:
        """What ``ADOPT`` takes."""
        return tuple(pack_profile(self.profile))

    def without_ways(self) -> DeviceProfile:
        """The same modes for a controller that never changes them."""
        return replace(self, profile=replace(self.profile, ways=()), records=(), ways=())


def make_profile(
    device: Device, converters: Converters, clk_hz: int, base: int = 0
) -> DeviceProfile:
    """The profile of a device behind a card.

    Parameters
    ----------
    device, converters, clk_hz:
        What is driven, by which card, at which controller clock.
    base:
        Parameter address at which the recipes will stand.

    Raises
    ------
    TargetError
        If the device has more modes or ways than a profile, or a pulse that programs
        it is beyond the card's rails.
    """
    usable = [way for way in device.transitions if not way.at_endurance]
    for count, slots, what in (
        (len(device.modes), MODE_SLOTS, "modes"),
        (len(usable), WAY_SLOTS, "ways between them"),
    ):
        if count > slots:
            raise TargetError(f"{device.name} has {count} {what}, a profile holds {slots}")
    maker = _Maker(device, converters, clk_hz)
    modes = tuple(maker.mode(mode) for mode in device.modes)
    records: list[int] = []
    ways: list[WayRecord] = []
    told: list[Way] = []
    for transition in usable:
        found = maker.way(transition, base + len(records))
        if found is not None:
            record, words, way = found
            ways.append(record)
            told.append(way)
            records += words
    for sentence in maker.left_out:
        log.warning("%s: %s", device.name, sentence)
    return DeviceProfile(
        Profile(modes, tuple(ways)),
        tuple(records),
        base,
        tuple(told),
        tuple(maker.left_out),
        tuple(dict.fromkeys(maker.assumed)),
    )


def unwritten_range(mode: Mode, card: Converters) -> tuple[int, int]:
    """TIA range in which a write-once cell is read, and the largest code of an unwritten one.

    The code half way, on a logarithmic axis, between a cell with and without filament, in the
    smallest range that the filament's current fits into.
    """
    p: Any = mode.p
    off, on = (getattr(p, state).conductance.value for state in ("hrs", "lrs"))
    codes_per_ohm = p.read.v_read.value / card.adc_lsb
    fitting = [ohms for ohms in card.tia_ohms if on * ohms * codes_per_ohm <= ADC_MAX]
    ohms = max(fitting, default=min(card.tia_ohms))
    code = min(math.floor(math.sqrt(off * on) * ohms * codes_per_ohm), ADC_MAX)
    return card.tia_ohms.index(ohms), code


class _Maker:
    """One device behind one card."""

    def __init__(self, device: Device, converters: Converters, clk_hz: int) -> None:
        self.device = device
        self.converters = converters
        self.clk_hz = clk_hz
        self.left_out: list[str] = []
        self.assumed: list[str] = []
        self.gap = self._gap()

    # -- codes ------------------------------------------------------------------------

    def _gates(self, low: float, high: float) -> tuple[int, int]:
        """First and last gate code whose I_cc [A] is in ``low`` .. ``high``."""
        currents = self.converters.i_cc(np.arange(CODE_MAX + 1))
        first = int(np.searchsorted(currents, low, side="left"))
        last = int(np.searchsorted(currents, high, side="right")) - 1
        return min(first, CODE_MAX), max(last, 0)

    def _rail(self, volts: float, up: bool) -> int:
        """The code at ``volts`` or, where none is, the next one towards 0 V, on the card."""
        exact = volts / self.converters.dac_lsb
        near = round(exact)
        code = near if abs(exact - near) < 1e-6 else math.floor(exact) if up else math.ceil(exact)
        return min(max(code + ZERO_CODE, 0), CODE_MAX)

    def _nearest(self, volts: float) -> int:
        """The nearest code, on the card."""
        return min(max(round(volts / self.converters.dac_lsb) + ZERO_CODE, 0), CODE_MAX)

    def _gap(self) -> tuple[int, int]:
        """Gate codes between the volatile and the nonvolatile side of the device, if any.

        The upper limit of I_cc on the ways to volatile modes and the lower one on those
        to nonvolatile modes; a current of the upper limit itself is in the gap.
        """
        kinds = {mode.name: mode.kind for mode in self.device.modes}
        usable = [way for way in self.device.transitions if not way.at_endurance]
        below = [w.i_cc_max.value for w in usable if kinds[w.to] == "volatile" and w.i_cc_max]
        above = [w.i_cc_min.value for w in usable if kinds[w.to] == "nonvolatile" and w.i_cc_min]
        if not below or not above or max(below) >= min(above):
            return 0, 0
        return self._gates(max(below), math.inf)[0], self._gates(min(above), math.inf)[0]

    # -- modes ------------------------------------------------------------------------

    def mode(self, mode: Mode) -> ModeRecord:
        """The record of a mode."""
        window = mode.family.window(mode.p)
        switching = getattr(mode.p, "switching", None)
        self.assumed.append(
            f"{mode.name}: pulses of up to {self._width(mode):g} s, no entry has a limit"
        )
        return ModeRecord(
            KINDS[mode.kind],
            self._drive(mode, window),
            write_once=switching == "write_once",
            verify=self._programming(mode) is not None,
            source=mode.store is not None,
            unwritten=self._unwritten(mode) if switching == "write_once" else 0,
        )

    def _programming(self, mode: Mode) -> Programming | None:
        """RESET and SET of a mode in which ``PROGRAM`` puts cells on levels."""
        weights = self.device.weights
        if weights is None or weights.mode != mode.name or self.device.pulses is not None:
            return None
        return self.device.compliance

    @staticmethod
    def _width(mode: Mode) -> float:
        return WIDTH_MAX_S if mode.store is None else STORE_WIDTH_MAX_S

    def _drive(self, mode: Mode, window: Window) -> Drive:
        if hasattr(mode.p, "drive") or mode.store is not None:  # refused beyond the last bit
            low, high = self._rail(window.v_min, False), self._rail(window.v_max, True)
        else:
            low, high = self._nearest(window.v_min), self._nearest(window.v_max)
        leaving = [
            way.v_min.value
            for way in self.device.transitions
            if way.start == mode.name and way.v_min is not None
        ]
        if leaving:  # a voltage at which the mode ends is not one to drive it with
            reach = self._rail(min(leaving), True)
            if self.converters.dac_volts(reach) >= min(leaving):
                reach -= 1
            low, high = max(low, 2 * ZERO_CODE - reach), min(high, reach)
        unlimited = math.isinf(window.i_cc_max) or getattr(mode.p, "switching", "") == "unipolar"
        gate_low, gate_high = self._gates(window.i_cc_min, window.i_cc_max)
        off = getattr(getattr(mode.p, "compliance", None), "i_cc_off", None)
        if off is not None:  # too little for a filament, so it harms nothing
            gate_low = min(gate_low, int(self.converters.gate_code(off.value)))
        programming = self._programming(mode)
        if programming is not None:
            volts = (programming.v_set, programming.v_reset)
            try:
                codes = [self.converters.dac_code(v) for v in volts]
                gates = self.converters.gate_code(programming.level_i_cc)
            except ValueError as error:
                raise TargetError(
                    f"{self.device.name} cannot be programmed by this card: {error}"
                ) from error
            low, high = min(low, *codes), max(high, *codes)
            gate_low, gate_high = min(gate_low, int(gates.min())), max(gate_high, int(gates.max()))
        polarity = LIMIT_POSITIVE if window.set_sign > 0 else LIMIT_NEGATIVE
        return Drive(
            gate_low=0 if unlimited else gate_low,
            gate_high=CODE_MAX if unlimited else gate_high,
            gap_low=self.gap[0],
            gap_high=self.gap[1],
            rail_low=min(low, ZERO_CODE),
            rail_high=max(high, ZERO_CODE),
            width_max=min(math.floor(self._width(mode) * self.clk_hz), (1 << CYCLE_BITS) - 1),
            limited=0 if unlimited else polarity,
        )

    def _unwritten(self, mode: Mode) -> int:
        """Largest code that says that a cell has not been written."""
        tia_range, code = unwritten_range(mode, self.converters)
        self.assumed.append(
            f"{mode.name}: a cell is unwritten up to the geometric mean of its two states, "
            f"read with the TIA range of {self.converters.tia_ohms[tia_range]:g} ohm"
        )
        return code

    # -- ways -------------------------------------------------------------------------

    def way(self, transition: Transition, address: int) -> tuple[WayRecord, list[int], Way] | None:
        """The record of a way, its recipe at ``address``, and both in SI units.

        None if the card cannot go it: then :attr:`left_out` says why.
        """
        name = f"{transition.start} to {transition.to}"
        target = self.device.mode(transition.to)
        window = target.family.window(target.p)
        volts = self._volts(transition, window, name)
        rate = RATE_V_S
        if transition.rate_max is not None:
            rate = min(rate, RATE_MARGIN * transition.rate_max.value)
        else:
            self.assumed.append(f"{name}: {RATE_V_S:g} V/s, as the sweeps of seed 004, sec. 2.2")
        gates = self._way_gates(transition, target, window, name)
        if gates is None:
            self.left_out.append(
                f"{name} is left out: the card sets no I_cc in its window outside the gap"
            )
            return None
        low, high, gate = gates
        negative = volts < 0
        limit = 0 if gate is None else LIMIT_NEGATIVE if negative else LIMIT_POSITIVE
        stairs = self._stairs(volts, rate, limit, gate or 0)
        if stairs is None:
            self.left_out.append(
                f"{name} is left out: it needs {volts:g} V, the card's rails give "
                f"-{self.converters.dac_volts_span:g} .. "
                f"{self.converters.dac_volts(CODE_MAX):g} V"
            )
            return None
        drive = Drive(
            gate_low=low,
            gate_high=high,
            gap_low=self.gap[0],
            gap_high=self.gap[1],
            rail_low=min(stairs.start, stairs.stop),
            rail_high=max(stairs.start, stairs.stop),
            width_max=stairs.width,
            limited=limit,
        )
        record = WayRecord(
            self.device.mode_index(transition.start),
            self.device.mode_index(transition.to),
            drive,
            address,
            sweep=True,
            irreversible=transition.irreversible,
        )
        way = Way(
            transition.start,
            transition.to,
            self.converters.dac_volts(stairs.stop),
            stairs.step * self.converters.dac_lsb * self.clk_hz / stairs.interval,
            None if gate is None else float(self.converters.i_cc(gate)),
            transition.irreversible,
        )
        return record, pack_sweep(stairs), way

    def _volts(self, transition: Transition, window: Window, name: str) -> float:
        if transition.v_min is not None:
            return math.copysign(VOLTS_MARGIN * transition.v_min.value, window.set_sign)
        self.assumed.append(
            f"{name}: up to the largest voltage of {transition.to} in its SET polarity"
        )
        return window.v_max if window.set_sign > 0 else window.v_min

    def _way_gates(
        self, transition: Transition, target: Mode, window: Window, name: str
    ) -> tuple[int, int, int | None] | None:
        """First and last gate code of a way and the one used; no limit where none is named."""
        least = None if transition.i_cc_min is None else transition.i_cc_min.value
        most = None if transition.i_cc_max is None else transition.i_cc_max.value
        if least is None and most is None:
            self.assumed.append(f"{name}: without a compliance current, the entry names none")
            return 0, CODE_MAX, None
        low, high = self._gates(least or 0.0, math.inf if most is None else most)
        if most is not None and float(self.converters.i_cc(high)) >= most:
            high -= 1  # the upper limit itself is outside
        if most is None and math.isfinite(window.i_cc_max):
            high = min(high, self._gates(0.0, window.i_cc_max)[1])
        gap_low, gap_high = self.gap
        low = gap_high if gap_low <= low < gap_high else low
        high = gap_low - 1 if gap_low <= high < gap_high else high
        used = getattr(getattr(target.p, "compliance", None), "i_cc", None)
        if used is not None:
            wanted = used.value
        elif least is not None and most is not None:
            wanted = math.sqrt(least * most)
        else:
            wanted = least * I_CC_MARGIN if least is not None else (most or 0.0) / I_CC_MARGIN
        if used is None:
            self.assumed.append(f"{name}: I_cc = {wanted:.3g} A, inside the window of the entry")
        within = [float(current) for current in self.converters.i_cc([low, high])]
        if low > high or within[0] < (least or 0.0):
            return None
        wanted = min(max(wanted, within[0]), within[1])
        gate = int(self.converters.gate_code(wanted)) if wanted > 0 else low
        return low, high, min(max(gate, low), high)

    def _stairs(self, volts: float, rate: float, limit: int, gate: int) -> Staircase | None:
        """A sweep from 0 V to at least ``volts``, at most at ``rate``; None beyond the rails."""
        lsb = self.converters.dac_lsb
        distance = math.ceil(abs(volts) / lsb - 1e-6)
        step = max(1, distance // STEPS)
        distance = -(-distance // step) * step
        stop = ZERO_CODE + (-distance if volts < 0 else distance)
        if not 0 <= stop <= CODE_MAX:
            return None
        interval = math.ceil(step * lsb * self.clk_hz / rate)
        width = min(interval // OPEN_PART, (1 << CYCLE_BITS) - 1)
        return Staircase(
            start=ZERO_CODE, stop=stop, step=step, width=width, interval=interval,
            gate=gate, limit=limit, delay=width - 2,
        )  # fmt: skip
