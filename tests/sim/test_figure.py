from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from ohmloom.sim.figure import draw


def line(figure: Figure) -> None:
    axes = figure.subplots()
    axes.plot([1.0, 2.0], [1.0, 4.0], label="a")
    axes.legend()


def test_png_and_svg_are_the_same_each_time(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in draw(line, "Title", tmp_path / "a", "x")]
    second = [path.read_bytes() for path in draw(line, "Title", tmp_path / "b", "x")]
    assert first == second
    assert first[0].startswith(b"\x89PNG") and b"<svg" in first[1]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["x.png", "x.svg"]


def test_a_figure_that_would_be_wrong_is_not_drawn(tmp_path: Path) -> None:
    def empty_log_axis(figure: Figure) -> None:
        figure.subplots().legend()  # nothing to name: matplotlib only warns

    with pytest.raises(UserWarning):
        draw(empty_log_axis, "Title", tmp_path, "x")
    assert not list(tmp_path.iterdir())
