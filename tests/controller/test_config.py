"""The settings file: what is wrong with it is said before anything is begun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from controller.config import Settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file or directory"),
        ("data_dir = [", "settings.toml: Invalid value"),
        ("bogus = 1", "settings: bogus: there is no such setting\n"),
        ('workers = 0\nlog_level = "loud"', "settings: workers: Input should be greater than or equal to 1\nsettings: log_level: "),
    ],
)
def test_settings_that_can_not_be_taken_are_named_and_nothing_is_begun(text: str | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    if text is not None:
        file.write_text(text)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CHUTIAN_")}
    environment["CHUTIAN_DATA_DIR"] = str(tmp_path / "data")
    ended = subprocess.run(
        [sys.executable, "-m", "controller", "migrate", "--config", str(file)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "pydantic" not in ended.stderr
    assert not (tmp_path / "data").exists()


def test_one_endpoint_of_any_driver_leaves_workers_to_the_others() -> None:
    settings = Settings()
    for driver in ("libvirt", "kubernetes", "bare_metal", "fake"):
        assert 0 < settings.at_once(driver) < settings.workers
    assert settings.at_once("kubernetes") > settings.at_once("libvirt")
