"""What was tried, as the report keeps it."""

from __future__ import annotations

import json

from ohmloom.compiler.trial import Outcome, Trial


def test_a_drop_counts_with_its_error():
    assert Trial(1, 8, 12, drop=0.005, error=0.002).keeps(0.01)
    assert not Trial(1, 8, 12, drop=0.005, error=0.003).keeps(0.01)
    assert not Trial(1, 8, 12).keeps(1.0)


def test_the_report_keeps_all_trials_and_the_chosen_one():
    good, bad = Trial(1, 8, 12, drop=0.0, tiles=8, cycles=9), Trial(1, 7, 12, drop=0.5)
    found = Outcome(0.01, (good, bad), good).as_dict()
    assert json.loads(json.dumps(found)) == found and found["target_drop"] == 0.01
    assert [trial["chosen"] for trial in found["trials"]] == [True, False]
    assert [trial["keeps"] for trial in found["trials"]] == [True, False]
    assert found["trials"][0]["cycles"] == 9 and found["trials"][1]["cycles"] is None
