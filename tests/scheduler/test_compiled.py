"""What is compiled is kept for exactly the files that it was compiled from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import scheduler

ASK = "import scheduler.compiled as c, numba; print(numba.config.CACHE_DIR)"


def kept_in(root: Path, **environment: str) -> str:
    # In a process of its own: where compiled functions are kept is settled when the package is imported.
    ran = subprocess.run(
        [sys.executable, "-c", ASK], cwd=root, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return ran.stdout.strip()


def test_any_changed_file_leads_to_another_folder_and_the_old_one_is_forgotten(tmp_path: Path) -> None:
    shutil.copytree(Path(str(scheduler.__file__)).parent, tmp_path / "scheduler", ignore=shutil.ignore_patterns("__pycache__"))
    before = kept_in(tmp_path)
    assert before == kept_in(tmp_path)
    assert Path(before).parent == tmp_path / "scheduler" / "__pycache__"
    Path(before).mkdir(parents=True)
    types = tmp_path / "scheduler" / "types.py"
    types.write_text(types.read_text() + "\n# another\n")
    assert kept_in(tmp_path) != before
    subprocess.run([sys.executable, "-c", "from scheduler.compiled import forget_others; forget_others()"], cwd=tmp_path, check=True)
    assert not Path(before).exists()


def test_a_folder_named_by_the_environment_is_kept_to(tmp_path: Path) -> None:
    assert kept_in(Path.cwd(), NUMBA_CACHE_DIR=str(tmp_path)) == str(tmp_path)
