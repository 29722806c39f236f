"""What the host costs."""

from __future__ import annotations

import pytest

from ohmloom.compiler.host_report import host_calls, lines, link_bytes


def test_what_it_costs(on_host):
    (first, last) = host_calls(on_host, 1_000_000)
    assert (first["words_in"], first["words_out"]) == (12, 12)
    assert (last["words_in"], last["words_out"]) == (4, 0)
    assert first["operators"] == ["Softmax", "Flatten"] and first["estimated"]
    assert first["link_seconds"] == pytest.approx(link_bytes(on_host.image.host[0]) * 1e-5)
    assert link_bytes(on_host.image.host[0]) > 2 * 24
    assert host_calls(on_host)[0]["link_seconds"] is None


def test_a_line_for_each_call(on_host):
    first, last = lines(host_calls(on_host, 500_000))
    assert first.startswith("host/0: Softmax 'Softmax_s' (no lowering), Flatten 'Flatten_f' (all ")
    assert "; 12 words in, 12 out, " in first and "ms on the link (estimated)" in first
    assert next(lines(host_calls(on_host))).endswith("12 words in, 12 out")
