"""A certificate authority for the lab: one certificate for all hosts, one for the controller.

In: a folder and the hosts' addresses. Out: PEM files under the names that libvirt's `pkipath` wants, for both sides.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey


def make(folder: Path, addresses: Sequence[str]) -> None:
    """Write cacert.pem, {server,client}{cert,key}.pem."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _sign(_named("chutian lab"), ca_key, _named("chutian lab"), ca_key, [(x509.BasicConstraints(ca=True, path_length=0), True)])
    _write(folder / "cacert.pem", ca)
    hosts = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address)) for address in addresses])
    for role, usage, names in (
        ("server", ExtendedKeyUsageOID.SERVER_AUTH, hosts),
        ("client", ExtendedKeyUsageOID.CLIENT_AUTH, x509.SubjectAlternativeName([x509.DNSName("controller")])),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = (x509.ExtendedKeyUsage([usage]), False)
        _write(folder / f"{role}cert.pem", _sign(_named(role), key, ca.subject, ca_key, [purpose, (names, False)]))
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{role}key.pem").write_bytes(pem)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _sign(
    subject: x509.Name, key: Key, issuer: x509.Name, issuer_key: Key, extensions: Sequence[tuple[x509.ExtensionType, bool]]
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=2))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
