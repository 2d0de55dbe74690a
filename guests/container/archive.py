"""archive.py ROOT OUT.tar: a folder as a container image of one layer, in an OCI archive under two names.

The same bytes from the same folder: no time, no owner. https://github.com/opencontainers/image-spec is what the fields mean.
"""

import gzip
import hashlib
import io
import json
import platform
import sys
import tarfile
from pathlib import Path
from typing import Any

IMAGES: dict[str, dict[str, Any]] = {
    "chutian.local/container:1": {"Cmd": ["/bin/serve"], "User": "65534:65534", "ExposedPorts": {"8080/tcp": {}}},
    "chutian.local/pause:1": {"Cmd": ["/bin/sleep", "infinity"]},
}
PLATFORM = {"os": "linux", "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())}
OCI = "application/vnd.oci.image"


def layer(root: Path) -> bytes:
    """The folder as a tar file."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for path in sorted(root.rglob("*")):
            entry = tar.gettarinfo(path, str(path.relative_to(root)))
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            with path.open("rb") if entry.isreg() else io.BytesIO() as file:
                tar.addfile(entry, file)
    return content.getvalue()


def write(root: Path, out: Path) -> None:
    """The archive."""
    with tarfile.open(out, "w") as tar:

        def put(name: str, content: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))

        def blob(kind: str, content: bytes) -> dict[str, Any]:
            digest = hashlib.sha256(content).hexdigest()
            put(f"blobs/sha256/{digest}", content)
            return {"mediaType": f"{OCI}.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

        plain = layer(root)
        packed = blob("layer.v1.tar+gzip", gzip.compress(plain, 6, mtime=0))
        roots = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]}
        listed = []
        for name, settings in IMAGES.items():
            config = {**PLATFORM, "config": {"Env": ["PATH=/bin"], "WorkingDir": "/", **settings}, "rootfs": roots}
            described = blob("config.v1+json", json.dumps(config).encode())
            manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": described, "layers": [packed]}
            names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
            listed.append({**blob("manifest.v1+json", json.dumps(manifest).encode()), "platform": PLATFORM, "annotations": names})
        put("oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        put("index.json", json.dumps({"schemaVersion": 2, "manifests": listed}).encode())


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
