"""The controller's own small CA, and the certificate of its API: made at the first start, renewed before they end.

For an installation that has no certificate yet; `tls_cert` and `tls_key` replace it. Clients trust `ca.pem` in the data folder.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CA_DAYS, _CERT_DAYS, _RENEW_DAYS = 3650, 397, 30


def own(folder: Path, hosts: list[str], now: dt.datetime) -> tuple[Path, Path]:
    """Paths of the API's certificate chain and key, made or renewed where needed; `hosts` are names and addresses that it is for."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_path, ca_key_path, cert_path, key_path = (folder / name for name in ("ca.pem", "ca.key", "api.pem", "api.key"))
    if not ca_path.exists() or not ca_key_path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        _write(ca_key_path, _pem(key), 0o600)
        _write(ca_path, _certificate("Chutian CA", key, None, [], now, _CA_DAYS).public_bytes(serialization.Encoding.PEM), 0o644)
    if not _good(cert_path, hosts, now) or not key_path.exists():
        ca = x509.load_pem_x509_certificate(ca_path.read_bytes())
        ca_key = serialization.load_pem_private_key(ca_key_path.read_bytes(), None)
        assert isinstance(ca_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - we wrote it
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(hosts[0], key, (ca, ca_key), hosts, now, _CERT_DAYS)
        _write(key_path, _pem(key), 0o600)
        _write(cert_path, made.public_bytes(serialization.Encoding.PEM), 0o644)
    return cert_path, key_path


def _good(path: Path, hosts: list[str], now: dt.datetime) -> bool:
    if not path.exists():
        return False
    cert = x509.load_pem_x509_certificate(path.read_bytes())
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return cert.not_valid_after_utc - now > dt.timedelta(days=_RENEW_DAYS) and {_name(host) for host in hosts} <= set(names)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    hosts: list[str],
    now: dt.datetime,
    days: int,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer[1] if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=0 if issuer is None else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    if issuer is None:
        builder = builder.add_extension(x509.KeyUsage(**usage | {"key_cert_sign": True, "crl_sign": True}), critical=True)
    else:
        builder = builder.add_extension(x509.KeyUsage(**usage | {"digital_signature": True}), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write beside and rename: a reader sees the old or the new, and a key is never readable by others."""
    partial = path.with_name(path.name + ".new")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
    partial.rename(path)
