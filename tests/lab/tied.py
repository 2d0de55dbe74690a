"""What a test process has started goes when that process does, however it ends: one that is killed can't see to it itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.lab.needs import CHECKOUT


def tie(folder: Path, module: str, sign: str) -> None:
    """Run `python -m MODULE down FOLDER` when this process has ended, if the file `sign` is in the folder then."""
    end, _ = os.pipe()  # the other end is open, and nobody else has it, as long as this process lives
    script = 'read -r _; [ ! -e "$1/$2" ] || exec "$3" -m "$4" down "$1"'
    keeper = subprocess.Popen(
        ["sh", "-c", script, "keeper", folder, sign, sys.executable, module], stdin=end, cwd=CHECKOUT, start_new_session=True
    )
    keeper.returncode = 0  # outlives this process; nobody waits for it
    os.close(end)
