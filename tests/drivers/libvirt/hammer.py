"""Run as a program: many threads use one driver until told to stop. `python -X faulthandler -m tests.drivers.libvirt.hammer URI SECONDS`.

What goes wrong between threads in libvirt's client ends the whole process, so this is tried in a process of its own.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from contextlib import suppress

from drivers.errors import DriverError
from drivers.libvirt.driver import open_libvirt

THREADS = 12


def main() -> None:
    """Look, list and ask again and again, whatever the host does; say how often it worked."""
    uri, seconds = sys.argv[1], float(sys.argv[2])
    driver = open_libvirt(uri, "hammer", {"virt_type": "qemu"})
    end, worked = time.monotonic() + seconds, [0] * THREADS

    def use(number: int) -> None:
        while time.monotonic() < end:
            with suppress(DriverError):
                driver.observe(str(uuid.uuid4()))
                list(driver.observe_all())
                worked[number] += 1

    threads = [threading.Thread(target=use, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    print("begun", flush=True)
    for thread in threads:
        thread.join()
    driver.close()
    print(f"worked {sum(worked)}", flush=True)


if __name__ == "__main__":
    main()
