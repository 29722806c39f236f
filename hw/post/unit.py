"""The seam of post-processing: what a unit sees of the controller."""

from __future__ import annotations

from typing import ClassVar

from amaranth import signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..geometry import Geometry
from ..isa import BIAS_BITS, MANTISSA_BITS, SHIFT_BITS, Op
from .widths import value_bits

ADDRESS_BITS = 17
"""One more than a memory address: an address past the end is seen, it does not wrap."""


def scaler_signature(geometry: Geometry) -> wiring.Signature:
    """What a unit says to the scaler and hears from it.

    Members
    -------
    load : Out(1)
        Strobe: a value is to be scaled. All that belongs to it stays until ``ready``.
    accumulate : Out(1)
        The product is added to the one before, which may be a cycle ago
        (:class:`~.scaler.Scaler` alone).
    value, bias, mantissa, shift : Out
        See there.
    ready, result : In(1), In
        Strobe: from the next cycle on ``result`` is that of the last ``load``.
    """
    return wiring.Signature(
        {
            "load": Out(1),
            "accumulate": Out(1),
            "value": Out(signed(value_bits(geometry))),
            "bias": Out(signed(BIAS_BITS)),
            "mantissa": Out(signed(MANTISSA_BITS + 1)),
            "shift": Out(SHIFT_BITS),
            "ready": In(1),
            "result": In(signed(geometry.act_width)),
        }
    )


class PostUnit(wiring.Component):
    """Executes one instruction on activations.

    A subclass names its instruction in ``OP``, says whether it uses the scaler and whether
    parameter memory gives it addresses, and has an ``elaborate`` that leaves its idle state
    at ``start``. While idle it is silent: its strobes are low. It may be reset at any cycle,
    and is when an address is beyond its memory.

    Members
    -------
    instruction, start, done : In(64), In(1), Out(1)
        The word, stable between the two strobes.
    fault : Out(1)
        Strobe instead of ``done``: the data cannot be processed.
    act_address, act_read, act_data_in : Out, Out, In
        Activation memory, one cycle of latency. ``act_read`` says that the address
        counts: if it ``STRAYS`` and is past the end, it ends the run.
    act_write, act_data : Out
        Writes at ``act_address``.
    param_address, param_read, param_data : Out, Out, In
        Parameter memory likewise.
    acc_address, acc_value : Out, In
        Accumulators, one cycle of latency.
    scaler : Out(scaler_signature)
        The multiplier that the units share.
    active : Out(1)
        High unless idle.
    """

    OP: ClassVar[Op]
    SCALES: ClassVar[bool] = False
    """It uses the scaler."""
    STRAYS: ClassVar[bool] = False
    """Its addresses come from parameter memory too. All others are operands, which the
    sequencer has checked."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "instruction": In(64),
                "start": In(1),
                "done": Out(1),
                "fault": Out(1),
                "act_address": Out(ADDRESS_BITS),
                "act_read": Out(1),
                "act_data_in": In(signed(geometry.act_width)),
                "act_write": Out(1),
                "act_data": Out(signed(geometry.act_width)),
                "param_address": Out(ADDRESS_BITS),
                "param_read": Out(1),
                "param_data": In(64),
                "acc_address": Out(8),
                "acc_value": In(signed(geometry.acc_width)),
                "scaler": Out(scaler_signature(geometry)),
                "active": Out(1),
            }
        )
