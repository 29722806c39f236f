from __future__ import annotations

import json
import os
import sys

import pytest

from ohmloom.cli.output import Reporter, emit, key_table, working


def test_json_is_alone_on_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    with working(), Reporter() as reporter:
        reporter.update("a stage")
        print("from Python")
        os.system("echo from a process")
        os.write(1, b"from a descriptor\n")
    emit(True, {"a": 1}, key_table("t", {}))
    out, err = capfd.readouterr()
    assert json.loads(out) == {"a": 1}
    for words in ("a stage", "from Python", "from a process", "from a descriptor"):
        assert words in err


def test_stdout_comes_back_after_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), working():
        raise KeyError
    os.write(1, b"here\n")
    print("and here")
    sys.stdout.flush()
    assert capfd.readouterr().out == "here\nand here\n"


def test_values_that_are_no_json_are_refused() -> None:
    with pytest.raises(ValueError):
        emit(True, {"a": float("nan")}, key_table("t", {}))


def test_table_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    data = {"device_accuracy": 0.98222222, "cells": {"FF": {"used": 3, "available": 9}}, "x": None}
    emit(False, data, key_table("Title", data))
    out = capfd.readouterr().out
    for words in ("Title", "device accuracy", "0.9822", "FF: used 3, available 9", "none"):
        assert words in out


def test_each_stage_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    with Reporter() as reporter:
        for done in range(3):
            reporter.update("first", done, 3)
        reporter.update("second")
    assert capfd.readouterr().err == "first ...\nsecond ...\n"
