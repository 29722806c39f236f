"""In which mode the tiles of an array are, and how they get into another."""

from __future__ import annotations

import math
from dataclasses import replace

from ...hw.isa import Op, Reg, Staircase, instruction, pack_sweep, unpack_sweep
from ...hw.link.protocol import Space
from ...hw.profile import ModeRecord, WayRecord, arm_key
from ...sim.array import Unsupported
from ...sim.devices import Device, DeviceError, Mode, Recipe
from .codes import Codes
from .controller import Controller
from .errors import BenchError


class Modes:
    """The mode that some tiles have in common.

    Parameters
    ----------
    controller, device
        What keeps the modes, and whose they are.
    tiles:
        The tiles.
    said:
        Name of the mode that they are in, where the controller does not know it; the one in
        which cells are made, without.
    armed:
        Whether irreversible ways may be gone.

    Raises
    ------
    Unsupported
        If the device has no such mode.
    BenchError
        If the controller says another one, the tiles differ, or a change was broken off.
    """

    def __init__(
        self, controller: Controller, device: Device, tiles: range, said: str | None, armed: bool
    ) -> None:
        self.controller = controller
        self.device = device
        self.tiles = tiles
        self.armed = armed
        self._index = self._find(said)

    @property
    def present(self) -> Mode:
        """The mode."""
        return self.device.modes[self._index]

    @property
    def record(self) -> ModeRecord:
        """What the profile says of it."""
        return self.controller.profile.modes[self._index]

    @property
    def codes(self) -> Codes:
        """Its conversions."""
        controller = self.controller
        return Codes(
            controller.converters, controller.info.clk_hz, controller.cycles, self.record.drive,
            f"{self.device.name}, {self.present.name}",
        )  # fmt: skip

    def _find(self, said: str | None) -> int:
        """What the controller knows, else what is said, which it is told."""
        names = [mode.name for mode in self.device.modes]
        if said is not None and said not in names:
            raise Unsupported(f"{self.device.name} has no mode {said!r}, it has {', '.join(names)}")
        known = self.controller.tiles(self.tiles.start, len(self.tiles))
        for tile, state in zip(self.tiles, known, strict=True):
            if state.fault and said is None:
                raise BenchError(
                    f"a change of the mode of tile {tile} was broken off: say in which mode it "
                    f"is, one of {', '.join(names)}"
                )
        found = {state.mode for state in known if state.known and not state.fault}
        if len(found) > 1:
            raise BenchError("the tiles of the array are in different modes")
        wanted = names.index(said) if said is not None else min(found, default=0)
        if found and wanted not in found:
            raise BenchError(f"the cells are in mode {names[found.pop()]}, not in {said}")
        self.controller.run(
            instruction(Op.RESTORE, tile=tile, mode=wanted)
            for tile, state in zip(self.tiles, known, strict=True)
            if state.fault or not state.known
        )
        return wanted

    def change(self, mode: str, recipe: Recipe) -> None:
        """Bring the tiles into a mode, or a kind of mode.

        Raises
        ------
        Unsupported
            If the device has no such mode, the card cannot go the way, or the way is
            irreversible and not armed.
        TransitionError
            If the device has no way there, or the way does not take the recipe.
        DeviceError
            If the recipe is outside the limits of the way.
        """
        device, name = self.device, self.device.name
        targets = device.modes_called(mode)
        if not targets:
            names = ", ".join(found.name for found in device.modes)
            raise Unsupported(f"{name} has no mode {mode!r}, it has {names}")
        if self._index in targets:
            return
        try:
            wanted = device.transition(self._index, mode, recipe)
        except DeviceError as error:
            raise type(error)(f"{name}: {error}") from error
        to, what = device.mode_index(wanted.to), f"{wanted.start} to {wanted.to}"
        ways = self.controller.profile.ways
        way = next((way for way in ways if (way.start, way.to) == (self._index, to)), None)
        if way is None:
            left = [why for why in self.controller.told.left_out if why.startswith(what)]
            raise Unsupported(f"{name}: {(left or [f'{what} has no recipe'])[0]}")
        if way.irreversible and not self.armed:
            raise Unsupported(f"{name}: {what} is irreversible and has to be armed")
        self._go(way, self._stairs(way, recipe, what))
        self._index = to

    def _stairs(self, way: WayRecord, recipe: Recipe, what: str) -> Staircase:
        """The way's sweep with what is asked for in place of what the profile has."""
        controller = self.controller
        stairs = unpack_sweep(controller.recipe(way))
        codes = replace(self.codes, drive=way.drive, what=f"{self.device.name}, {what}")
        if recipe.i_cc is not None and stairs.limit:
            stairs = replace(stairs, gate=codes.gate(recipe.i_cc))
        sign = 1 if stairs.stop > stairs.start else -1
        if recipe.volts is not None:
            reach = abs(codes.rail(sign * abs(recipe.volts)) - stairs.start)
            stop = stairs.start + sign * (reach // stairs.step) * stairs.step
            stairs = replace(stairs, stop=stop)
        if recipe.rate_v_s is not None:
            volts = stairs.step * controller.converters.dac_lsb
            interval = math.ceil(volts * controller.info.clk_hz / recipe.rate_v_s)
            width = min(interval // 2, way.drive.width_max)
            stairs = replace(stairs, interval=interval, width=width, delay=width - 2)
        return stairs

    def _go(self, way: WayRecord, stairs: Staircase) -> None:
        controller = self.controller
        controller.write(Space.PARAM, way.param, pack_sweep(stairs))
        code = []
        for tile in self.tiles:
            if way.irreversible:
                code.append(instruction(Op.SET, reg=Reg.ARM, value=arm_key(tile, way.to)))
            code.append(instruction(Op.MODE, tile=tile, to=way.to))
        cycles = len(stairs.codes()) * stairs.interval * controller.info.rows * len(self.tiles)
        controller.run(code, cycles / controller.info.clk_hz)
