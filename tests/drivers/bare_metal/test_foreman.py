"""What a controller finds of its runs when it starts."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from drivers.bare_metal import attempt
from drivers.bare_metal.foreman import Foreman
from drivers.bare_metal.runs import folder
from drivers.bare_metal.runs.order import RunView, State
from drivers.journal import Workplace

DAY_S = 86400.0


def left(base: Path, run_id: str, view: RunView) -> Path:
    """A run's folder and its attempt's, as a controller leaves them that is killed."""
    run = base / "runs" / run_id
    run.mkdir(parents=True)
    folder.write(run, replace(view, run_id=run_id))
    (run / "stdout").write_text("the last words")
    attempt.begin(base / "depot", "http://192.0.2.1", "m-1", [], run_id)
    return run


def test_what_a_run_left_is_removed_after_a_week_and_that_of_a_living_one_never(tmp_path: Path) -> None:
    now = time.time()
    ended = RunView("", "wipe.yml", "m-1", "chutian", State.DONE, started=now - 9 * DAY_S, ended=now - 8 * DAY_S)
    old = left(tmp_path, "of-last-week", ended)
    new = left(tmp_path, "of-yesterday", replace(ended, ended=now - DAY_S))
    long = left(tmp_path, "for-nine-days", replace(ended, state=State.RUNNING, ended=None))
    alive = folder.hold(long)  # by its own process, which is another controller's
    assert alive is not None
    try:
        Foreman(Workplace(tmp_path, "", "", tmp_path / "playbooks", 1))
        assert not old.exists()
        assert (new / "stdout").exists()
        assert folder.look(long) == replace(ended, run_id="for-nine-days", state=State.RUNNING, ended=None)
        assert sorted(path.name for path in (tmp_path / "depot/attempts").iterdir()) == ["for-nine-days", "of-yesterday"]
    finally:
        os.close(alive)
