"""The soak of `tests.controller.chaos`, short enough for every run of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.controller.chaos import Run, soak


@pytest.mark.slow
def test_killing_controllers_under_load_breaks_no_limit_and_loses_nothing(database_url: str, tmp_path: Path) -> None:
    report = soak(database_url, tmp_path, Run(600))
    assert report.wrong == []
    assert sum(report.operations.values()) == 600
    assert report.kills >= 2, report  # how many there are depends on how fast the machine starts a controller
    assert report.snapshots >= 100, report
    assert report.answers["201"] >= 100, report
    assert report.answers["409"] >= 10, "limits were never reached"
