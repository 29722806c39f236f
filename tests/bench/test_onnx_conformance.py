"""The harness of ONNX's node tests: its list, its rules, and that a wrong result fails."""

from __future__ import annotations

import json
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def bench(benchmark_module) -> ModuleType:
    return benchmark_module("onnx_conformance")


@pytest.fixture(scope="module")
def cases(bench):
    return bench.cases()


def test_the_list_is_that_of_the_installed_package(bench, cases):
    listed = bench.read_list()
    bench.check_list(listed, list(cases))
    with pytest.raises(bench.ListError, match="lacks: test_new"):
        bench.check_list(listed, [*cases, "test_new"])
    with pytest.raises(bench.ListError, match="has no cases test_add$"):
        bench.check_list(listed, [name for name in cases if name != "test_add"])


def test_a_case_is_there_once(bench, tmp_path):
    path = tmp_path / "list.toml"
    path.write_text('applicable = ["a"]\nhost = ["a"]\n[excluded]\n')
    with pytest.raises(bench.ListError, match="twice in the list: a"):
        bench.read_list(path)


@pytest.mark.parametrize("name", ["test_add_bcast", "test_clip", "test_gemm_beta"])
def test_cases_pass_and_wrong_figures_fail(bench, cases, name):
    case = cases[name]
    assert bench.run(case, None).passes(bench.FLOAT_TOLERANCE)
    (right,) = case.outputs
    wrong = right.copy()
    wrong.flat[0] += np.ptp(right) / 500
    result = bench.run(replace(case, outputs=(wrong,)), None)
    assert not result.passes(bench.TOLERANCE)


def test_whole_numbers_have_to_be_equal(bench):
    expected = np.array([1, 2, 3])
    assert bench.error_of(np.array([1.0, 2.0, 3.0]), expected) == 0
    assert bench.error_of(np.array([1.0, 2.0, 4.0]), expected) == 1


def test_errors_are_by_the_range(bench):
    assert bench.error_of(np.array([0.0, 11.0]), np.array([0.0, 10.0])) == pytest.approx(0.1)
    assert bench.error_of(np.array([5.5]), np.array([5.0])) == pytest.approx(0.1)
    assert bench.error_of(np.array([np.nan, 1.0]), np.array([0.0, 1.0])) == np.inf


def test_the_exit_code_says_whether_all_pass(bench, tmp_path):
    path = tmp_path / "figures.json"
    assert bench.main(["--json", str(path), "test_relu", "test_argmax_default_axis_example"]) == 0
    assert '"passed": 2' in path.read_text()
    assert bench.main(["test_isnan"]) == 1
    assert bench.main(["test_of_no_package"]) == 1


def test_cases_on_the_host_are_counted_apart(bench, tmp_path):
    path = tmp_path / "figures.json"
    names = ("test_relu", "test_hardmax_axis_0", "test_top_k", "test_softmax_axis_1")
    assert bench.main(["--json", str(path), *names]) == 0
    figures = json.loads(path.read_text())
    assert (figures["run"], figures["host_run"], figures["host_passed"]) == (4, 3, 3)


def test_a_wrong_figure_of_the_host_fails(bench, cases):
    case = cases["test_softmax_axis_1"]
    assert bench.run(case, None, host=True).passes(bench.FLOAT_TOLERANCE)
    assert "1 unsupported operator" in bench.run(case, None).failure
    wrong = case.outputs[0] + np.float32(0.01)
    result = bench.run(replace(case, outputs=(wrong,)), None, host=True)
    assert not result.passes(bench.TOLERANCE)
