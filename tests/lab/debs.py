"""A small apt repository for machines of the lab that have no way to Debian's: the packages asked for, with all that they need.

In: names of packages, and what a machine has already (its dpkg status). Out: a folder with the .debs and their index, to be served by
HTTP (`serving`). The packages come from where this machine's apt gets its own; a finished folder is kept in the cache of guest images.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

APT = ("apt-get", "-o", "APT::Sandbox::User=root", "-y", "--no-install-recommends")


def repository(status: bytes, packages: Sequence[str]) -> Path:
    """The folder. It is the cache's: copy what is to be changed."""
    cache = Path(os.environ.get("CHUTIAN_CACHE", "/var/cache/chutian"))
    finished = cache / f"debs-{hashlib.sha256(status + ' '.join(sorted(packages)).encode()).hexdigest()[:16]}"
    with (cache / "debs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            partial = finished.with_suffix(".part")
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "partial").mkdir(parents=True)
            (partial / "status").write_bytes(status)
            where = ("-o", f"Dir::State::status={partial}/status", "-o", f"Dir::Cache::archives={partial}")
            subprocess.run([*APT, *where, "install", "--download-only", "-qq", *packages], check=True, capture_output=True)
            (partial / "status").unlink()
            index(partial)
            partial.rename(finished)
    return finished


def index(folder: Path) -> None:
    """Write the index anew."""
    done = subprocess.run(["dpkg-scanpackages", "--multiversion", "."], cwd=folder, check=True, capture_output=True)
    (folder / "Packages").write_bytes(done.stdout)


def publish_update(folder: Path, package: str) -> None:
    """Put a newer version of it there, which asks for a restart as a kernel does."""
    work = folder / "newer"
    subprocess.run(["apt-get", "-o", "APT::Sandbox::User=root", "download", "-qq", package], cwd=folder, check=True, capture_output=True)
    (deb,) = folder.glob(f"{package}_*.deb")
    subprocess.run(["dpkg-deb", "-R", deb, work], check=True)
    control = work / "DEBIAN/control"
    lines = control.read_text().splitlines()
    control.write_text("".join(f"{'Version: 99:1' if line.startswith('Version:') else line}\n" for line in lines))
    script = work / "DEBIAN/postinst"
    script.write_text(f"#!/bin/sh\ntouch /run/reboot-required\necho {package} >>/run/reboot-required.pkgs\n")
    script.chmod(0o755)
    subprocess.run(["dpkg-deb", "-b", work, folder / f"{package}_99_all.deb"], check=True, capture_output=True)
    shutil.rmtree(work)
    index(folder)


def status_of(image: Path, work: Path) -> bytes:
    """What is installed in an image that guests/debian/build made: its root file system is the first in the partition table."""
    raw, partition, status = work / "raw", work / "partition", work / "status"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    with raw.open("rb") as disk:
        start = int.from_bytes(disk.read(512)[446 + 8 : 446 + 12], "little") // 2048  # from sectors to MiB
    subprocess.run(["dd", f"if={raw}", f"of={partition}", "bs=1M", f"skip={start}", "conv=sparse", "status=none"], check=True)
    subprocess.run(["debugfs", "-R", f"dump /var/lib/dpkg/status {status}", partition], check=True, capture_output=True)
    raw.unlink()
    partition.unlink()
    return status.read_bytes()


@contextmanager
def serving(folder: Path, address: str) -> Iterator[str]:
    """Serve it by HTTP; the URL."""
    server = ThreadingHTTPServer((address, 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    try:
        yield f"http://{address}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass
