"""What a BMC is told to get wrong: FOLDER/faults.json, written by `tests.lab.metal.bmc` and read by the BMC's programs at each request.

`power_unanswered` (it is carried out, and the answer gets lost; IPMI alone), `power_ignored` and `boot_ignored` (the answer is success,
and nothing happens), `boot_pretended` (it even says that the device is set), `delay_s`, `status` (every answer is that HTTP error).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read(folder: Path) -> dict[str, Any]:
    """Those in force."""
    try:
        faults: dict[str, Any] = json.loads((folder / "faults.json").read_text())
    except FileNotFoundError:
        return {}
    return faults


def write(folder: Path, faults: dict[str, Any]) -> None:
    """At once, whoever reads meanwhile."""
    part = folder / "faults.part"
    part.write_text(json.dumps(faults))
    part.rename(folder / "faults.json")


def clear(folder: Path) -> None:
    (folder / "faults.json").unlink()
