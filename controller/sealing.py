"""Secrets at rest: sealed with SM4-GCM in an envelope, so that the database, its dumps and its replicas hold none in clear.

Enters: a text and its `context` (what it belongs to). Leaves: a token `sm4gcm.KEY.BYTES`, which opens only under the key of that name and
for the same context, so that a token copied to another row is worthless. Every text gets a data key of its own, wrapped by the
controller's key: changing the controller's key means wrapping data keys anew, not touching texts. SM4: GB/T 32907-2016; GCM: NIST SP
800-38D, with 96-bit random nonces (each data key seals once; the controller's key may wrap 2^32 of them before it should be changed).

The keys are a file, one `NAME HEX` on a line; the first seals, all open. Rejected: a key in the settings (they are printed and copied), and
keys in the database (then a dump opens itself).
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from controller.errors import Unavailable

_KEY, _NONCE, _TAG = 16, 12, 16  # bytes
_SCHEME = "sm4gcm"


class Broken(Exception):
    """A token can't be opened: its key is not among ours, or it was changed, or it belongs elsewhere."""


@dataclass(frozen=True, slots=True)
class Seal:
    """Keys by name; `first` is the name of the one that seals."""

    first: str
    keys: Mapping[str, bytes]

    def close(self, text: str, context: str) -> str:
        """Seal a text."""
        data_key = secrets.token_bytes(_KEY)
        wrapped = _encrypt(self.keys[self.first], data_key, _bound(self.first, context))
        body = wrapped + _encrypt(data_key, text.encode(), context.encode())
        return f"{_SCHEME}.{self.first}.{base64.urlsafe_b64encode(body).decode()}"

    def open(self, token: str, context: str) -> str:
        """The text. Raises Broken."""
        scheme, _, rest = token.partition(".")
        name, _, encoded = rest.partition(".")
        if scheme != _SCHEME or name not in self.keys:
            raise Broken(f"the key '{name}' is not among the controller's")
        try:
            body = base64.b64decode(encoded, altchars=b"-_", validate=True)
            if base64.urlsafe_b64encode(body).decode() != encoded:
                raise ValueError("two texts for one token")
            wrapped = _NONCE + _KEY + _TAG
            data_key = _decrypt(self.keys[name], body[:wrapped], _bound(name, context))
            return _decrypt(data_key, body[wrapped:], context.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise Broken("what is kept was changed, or belongs to something else") from error


def load(path: Path) -> Seal:
    """The keys in a file; one that is missing is made, with one new key.

    Raises Unavailable for a file that can't be read or has anything but keys in it.
    """
    if not path.exists():
        _make(path)
    try:
        pairs = [line.split() for line in path.read_text("ascii").splitlines() if line.strip() and not line.startswith("#")]
        keys = {name: bytes.fromhex(key) for name, key in pairs}
    except (OSError, ValueError) as error:
        raise Unavailable("seal_keys_unreadable", path=str(path)) from error
    if not keys or any(len(key) != _KEY or not name.isalnum() for name, key in keys.items()):
        raise Unavailable("seal_keys_unreadable", path=str(path))
    return Seal(pairs[0][0], keys)


def _make(path: Path) -> None:
    """Write beside, then link: of two controllers that start at once both go on with the keys of the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("# Opens what is sealed in the database. Keep a copy, apart from the database's.\n")
        file.write(f"{secrets.token_hex(4)} {secrets.token_hex(_KEY)}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        pass
    finally:
        partial.unlink()


def _bound(name: str, context: str) -> bytes:
    return f"{name} {context}".encode()


def _encrypt(key: bytes, text: bytes, context: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    encryptor = Cipher(algorithms.SM4(key), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(context)
    return nonce + encryptor.update(text) + encryptor.finalize() + encryptor.tag


def _decrypt(key: bytes, sealed: bytes, context: bytes) -> bytes:
    nonce, body, tag = sealed[:_NONCE], sealed[_NONCE:-_TAG], sealed[-_TAG:]
    decryptor = Cipher(algorithms.SM4(key), modes.GCM(nonce, tag)).decryptor()
    decryptor.authenticate_additional_data(context)
    return decryptor.update(body) + decryptor.finalize()
