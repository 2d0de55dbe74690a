"""The certificate of the API, and the small CA that signed it: made at the first start, renewed before they end.

For an installation that has no certificate yet; `tls_cert` and `tls_key` replace it. Clients trust `ca.pem` in the data folder.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from controller import authority


def own(folder: Path, hosts: list[str], now: dt.datetime) -> tuple[Path, Path]:
    """Paths of the API's certificate chain and key, made or renewed where needed; `hosts` are names and addresses that it is for."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_path, ca_key_path, cert_path, key_path = (folder / name for name in ("ca.pem", "ca.key", "api.pem", "api.key"))
    if not ca_path.exists() or not ca_key_path.exists():
        made = authority.authority("Chutian CA", now)
        write(ca_key_path, authority.pem_of_key(made.key), 0o600)
        write(ca_path, authority.pem_of(made.certificate), 0o644)
    if not key_path.exists() or not cert_path.exists() or authority.due(authority.read(cert_path.read_bytes()), hosts, now):
        ca = authority.load(ca_path.read_bytes(), ca_key_path.read_bytes())
        key = authority.new_key()
        certificate = ca.issue(key.public_key(), hosts[0], authority.SERVER, hosts, now)
        write(key_path, authority.pem_of_key(key), 0o600)
        write(cert_path, authority.pem_of(certificate), 0o644)
    return cert_path, key_path


def write(path: Path, data: bytes, mode: int) -> None:
    """Write beside and rename: a reader sees the old or the new, and a key is never readable by others."""
    partial = path.with_name(path.name + ".new")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
    partial.rename(path)
