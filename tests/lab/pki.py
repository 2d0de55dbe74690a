"""Certificate authorities for the lab.

In: a folder, names and addresses. Out: PEM files; for libvirt, under the names that its `pkipath` wants, for both sides.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
VALID = datetime.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs the certificates of one lab."""

    name: x509.Name
    key: Key
    certificate: x509.Certificate

    def issue(
        self, certificate: Path, key: Path, name: str, usage: x509.ObjectIdentifier, *, group: str = "", also: Sequence[str] = ()
    ) -> None:
        """Write a certificate for that name, in that group, and its key. `also`: addresses and host names that it holds for."""
        own = new_key()
        extensions: list[tuple[x509.ExtensionType, bool]] = [(x509.ExtendedKeyUsage([usage]), False)]
        if also:
            extensions.append((x509.SubjectAlternativeName([_general(one) for one in also]), False))
        write_certificate(certificate, _sign(_named(name, group), own, self.name, self.key, extensions))
        write_key(key, own)


def authority(name: str) -> Authority:
    """A new one."""
    key = new_key()
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    extensions = [(x509.BasicConstraints(ca=True, path_length=0), True), (usage, True)]
    return Authority(_named(name), key, _sign(_named(name), key, _named(name), key, extensions))


def make(folder: Path, addresses: Sequence[str]) -> None:
    """Write cacert.pem, {server,client}{cert,key}.pem: one certificate for all hosts, one for the controller."""
    folder.mkdir(parents=True, exist_ok=True)
    signer = authority("chutian lab")
    write_certificate(folder / "cacert.pem", signer.certificate)
    signer.issue(folder / "servercert.pem", folder / "serverkey.pem", "server", SERVER, also=addresses)
    signer.issue(folder / "clientcert.pem", folder / "clientkey.pem", "client", CLIENT, also=["controller"])


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def write_certificate(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def write_key(path: Path, key: Key) -> None:
    """In the old form, in which Kubernetes finds the public half of a key as well."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    path.write_bytes(pem)
    path.chmod(0o600)


def _named(name: str, group: str = "") -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _sign(
    subject: x509.Name, key: Key, issuer: x509.Name, issuer_key: Key, extensions: Sequence[tuple[x509.ExtensionType, bool]]
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + VALID)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())
