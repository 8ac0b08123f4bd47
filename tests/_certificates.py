"""An authority of the tests' own, and the certificates that it issues."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = datetime.timedelta(days=1)
SRV_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")  # id-on-dnsSRV, RFC 4985
_SIGNING = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def srv_id(text: str) -> x509.GeneralName:
    """A SAN of type SRV-ID: an IA5String."""
    return x509.OtherName(SRV_NAME, bytes([0x16, len(text)]) + text.encode())


def general_name(text: str | x509.GeneralName) -> x509.GeneralName:
    """A SAN: of type iPAddress for a literal, of type URI-ID for what has a scheme, otherwise DNS-ID."""
    if not isinstance(text, str):
        return text
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.UniformResourceIdentifier(text) if text.startswith(("stun:", "sip:")) else x509.DNSName(text)


class Authority:
    """Certificates in PEM files below ``folder``.

    Attributes:
        ca_file: what to trust.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._sign(self._subject, self._key.public_key(), (), x509.BasicConstraints(ca=True, path_length=None))
        self.ca_file = folder / f"{name}.pem"
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._count = 0

    def issue(
        self,
        *names: str | x509.GeneralName,
        common_name: str = "a test",
        expired: bool = False,
        password: str | None = None,
        chain_padding: int = 0,
        broken_names: bool = False,
    ) -> Path:
        """A file with a certificate for these names and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name),
                *(x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "x" * 60) for _ in range(chain_padding)),
            ]
        )
        end_entity = x509.BasicConstraints(ca=False, path_length=None)
        certificate = self._sign(subject, key.public_key(), names, end_entity, expired, broken_names)
        encryption = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        self._count += 1
        path = self._folder / f"{self.ca_file.stem}-{self._count}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        return path

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        names: tuple[str | x509.GeneralName, ...],
        constraints: x509.BasicConstraints,
        expired: bool = False,
        broken_names: bool = False,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now - DAY if expired else now + 30 * DAY)
            .add_extension(constraints, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if constraints.ca:  # Python 3.13 is strict about this (RFC 5280 4.2.1.3)
            builder = builder.add_extension(_SIGNING, critical=True)
        if broken_names:
            extension = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\xff\xff")
            builder = builder.add_extension(extension, critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([*map(general_name, names)]), critical=False)
        return builder.sign(self._key, hashes.SHA256())
