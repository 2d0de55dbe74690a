"""Signatures under what is to be shown to others: that a disk was cleared, by whom and how.

Ed25519 (RFC 8032) over the document's canonical JSON: keys sorted, no blanks, UTF-8. Anybody checks one with the public key, a program and
no controller: `openssl pkeyutl -verify -pubin -inkey KEY -rawin -in DOCUMENT -sigfile SIGNATURE`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_public_key


def new_keys() -> tuple[str, str]:
    """A private key (base64 of its 32 bytes) and its public half (PEM)."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(private).decode(), public.decode()


def canonical(document: Mapping[str, Any]) -> bytes:
    """The bytes that are signed."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def sign(document: Mapping[str, Any], private: str) -> str:
    """The signature, base64."""
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private))
    return base64.b64encode(key.sign(canonical(document))).decode()


def verified(document: Mapping[str, Any], signature: str, public: str) -> bool:
    """Whether the holder of that key signed this."""
    key = load_pem_public_key(public.encode())
    assert isinstance(key, Ed25519PublicKey)  # noqa: S101 - we made it
    try:
        key.verify(base64.b64decode(signature), canonical(document))
    except (InvalidSignature, ValueError):
        return False
    return True
