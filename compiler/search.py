"""Which knobs a network needs on a device: the cheapest that keep its accuracy.

Every setting is tried on arrays of several seeds, all nonidealities on. Slices come first,
since each costs a whole set of tiles; then bits of activations, each of which is a plane
of every product; then bits of the ADC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..hw.geometry import Geometry
from ..sim.converters import ConverterError, Converters
from ..sim.devices import Device
from .compiled import Compiled
from .errors import TargetError
from .judge import SEEDS, Judge, standard_error
from .mapping import encodings_of
from .options import MAX_SLICES, Options
from .pipeline import Source, compile_network
from .quantise import slices_needed
from .report import predict
from .runner import build_engine
from .trial import SIGMAS, Outcome, Trial

ACT_BITS = (8, 7, 6, 5, 4)
ADC_BITS = (12, 11, 10, 9, 8)
"""Bits that are tried, the most first."""


@dataclass
class Search:
    """The search for one network, device and controller.

    Attributes
    ----------
    source, device, geometry:
        What is compiled, for what.
    options, converters:
        All other choices.
    x, labels:
        Samples (n, inputs), float32, that the accuracy is taken on, and their classes; by
        default what the float network says of them.
    target:
        Accuracy that may be lost.
    progress:
        Is told every trial.
    """

    source: Source
    device: Device
    geometry: Geometry
    options: Options
    converters: Converters
    x: np.ndarray
    labels: np.ndarray | None
    target: float
    seeds: int = SEEDS
    progress: Callable[[Trial], None] = lambda trial: None
    trials: list[Trial] = field(default_factory=list)

    def run(self) -> Outcome:
        """The cheapest setting that keeps the accuracy, and all that were tried.

        Raises
        ------
        TargetError
            If none does.
        """
        self._judge = Judge.of(self.source.network, self.x, self.labels)
        best: Trial | None = None
        for slices in range(self._least(), MAX_SLICES + 1):
            best = self._try(slices, ACT_BITS[0], ADC_BITS[0])
            if best.keeps(self.target) or best.drop is None:
                break
        assert best is not None
        if not best.keeps(self.target):
            raise TargetError(self._refusal())
        for bits in ACT_BITS[1:]:
            trial = self._try(best.slices, bits, best.adc_bits)
            if not trial.keeps(self.target):
                break
            best = trial
        for bits in ADC_BITS[1:]:
            trial = self._try(best.slices, best.act_bits, bits)
            if not trial.keeps(self.target):
                break
            best = trial
        return Outcome(self.target, tuple(self.trials), best)

    def chosen(self, trial: Trial) -> tuple[Options, Converters]:
        """All choices with those of a trial."""
        options = self.options.model_copy(
            update={"slices": trial.slices, "act_bits": trial.act_bits}
        )
        return options, replace(self.converters, adc_bits=trial.adc_bits)

    def _least(self) -> int:
        """Slices with which the layers that have no number of their own hold their weights."""
        network, own = self.source.network, self.options.layers
        encodings = encodings_of(network, self.options, len(self.device.level_codes))
        needed = slices_needed(network, encodings)
        names = {n: network.layers[network.holders[n]].name for n in needed}
        free = [n for n, name in names.items() if name not in own or own[name].slices is None]
        return max((needed[n] for n in free), default=1)

    def _try(self, slices: int, act_bits: int, adc_bits: int) -> Trial:
        trial = Trial(slices, act_bits, adc_bits)
        options, converters = self.chosen(trial)
        try:
            compiled = compile_network(
                "search", self.source, self.device, self.geometry, options, converters
            )
        except (TargetError, ConverterError) as error:
            trial = replace(trial, why_not=str(error))
        else:
            runs = [self._run(compiled, seed) for seed in range(self.seeds)]
            lost = np.array([each for each, _ in runs])
            error = standard_error(lost)
            cycles = predict(compiled)
            trial = replace(
                trial,
                drop=float(lost.mean()),
                error=error,
                tiles=compiled.image.tiles,
                cycles=cycles["later"] if cycles else None,
                pulses=float(np.mean([pulses for _, pulses in runs])),
            )
        self.trials.append(trial)
        self.progress(trial)
        return trial

    def _run(self, compiled: Compiled, seed: int) -> tuple[np.ndarray, float]:
        """What each sample loses, and the pulses that writing took, mean of the cells.

        A loss is 1 where floats are right and the array is not, -1, or 0.
        """
        engine = build_engine(compiled, seed + self.options.seed)
        pulses = float(engine.array.pulses.mean())
        judge = self._judge
        return judge.right(judge.scores) - judge.right(judge.run(compiled, engine)), pulses

    def _refusal(self) -> str:
        tried: Sequence[Trial] = [trial for trial in self.trials if trial.drop is not None]
        reason = f"; {self.trials[-1].why_not}" if self.trials[-1].why_not else ""
        if not tried:
            return f"no setting for {self.device.name} fits the target{reason}"
        best = min(tried, key=lambda trial: trial.drop or 0.0)
        return (
            f"no setting for {self.device.name} loses at most {self.target:g}: the best, "
            f"{best.slices} slices, {best.act_bits}-bit activations and {best.adc_bits}-bit "
            f"conversions, loses {best.drop:.4f} +- {SIGMAS * best.error:.4f}{reason}"
        )
