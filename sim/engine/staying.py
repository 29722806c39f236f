"""What rounds of a loop leave in activations: of each word the last that was made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..numerics import IntArray
from .nest import Flow

Places = slice | IntArray


@dataclass(frozen=True, eq=False)
class Staying:
    """Where activations are written, and what of.

    Attributes
    ----------
    words, made:
        Activations, and which of the values (rounds * width) of a sample they get.
    copied_words, copied:
        Activations, and which others they are copies of.
    """

    words: Places
    made: Places
    copied_words: Places
    copied: Places

    @classmethod
    def of(cls, flow: Flow, rounds: slice) -> Self:
        """Of some rounds."""
        count = rounds.stop - rounds.start
        source = np.concatenate(
            [
                step.read(rounds, 0) if step.late
                else np.add.outer(np.arange(count) * flow.width, step.column + step.values)
                for step in flow.steps
            ],
            axis=1,
        ).ravel()  # fmt: skip
        late = np.concatenate([np.full(step.writes.size, step.late) for step in flow.steps])
        written = flow.written(rounds).ravel()
        first = written.min()
        last = np.full(written.max() - first + 1, -1)
        last[written - first] = np.arange(written.size)  # of equal ones the last stays
        last = last[last >= 0]
        words, copies = written[last], late[last % late.size]
        return cls(
            _short(words[~copies]), _short(source[last[~copies]]),
            _short(words[copies]), _short(source[last[copies]]),
        )  # fmt: skip

    @property
    def small(self) -> bool:
        """Whether it is worth keeping."""
        return isinstance(self.words, slice) and isinstance(self.made, slice)

    def write(self, act: NDArray[np.integer], made: NDArray[np.integer]) -> None:
        """Write to activations (samples, n) what rounds have made, shape (samples, values)."""
        copies = act[:, self.copied]  # of what was there before
        if isinstance(self.copied, slice):
            copies = copies.copy()
        act[:, self.words] = made[:, self.made]
        act[:, self.copied_words] = copies


def _short(places: IntArray) -> Places:
    """A slice, where places are one after the other."""
    if places.size and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


@dataclass(frozen=True, eq=False)
class Plan:
    """The rounds of a nest, and what those stay of that have been asked for."""

    flow: Flow
    _known: dict[tuple[int, int], Staying] = field(default_factory=dict)

    def staying(self, rounds: slice) -> Staying:
        """What some rounds leave."""
        name = rounds.start, rounds.stop
        found = self._known.get(name) or Staying.of(self.flow, rounds)
        if found.small:
            self._known[name] = found
        return found
