"""Keys and certificates as PayPal signs its webhooks with, and as somebody else would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SIGNER = "messageverificationcerts.sandbox.paypal.com"


@lru_cache(maxsize=4)
def signing_key(which: str) -> rsa.RSAPrivateKey:
    """A key of the fake's (``true``) or of somebody else's; one a process, since making them takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(
    name: str = SIGNER,
    key: rsa.RSAPrivateKey | None = None,
    *,
    issuer: tuple[str, rsa.RSAPrivateKey] | None = None,
    days: tuple[int, int] = (-30, 300),
    is_authority: bool = False,
    at: float | None = None,
) -> bytes:
    """A certificate in PEM for ``name``, signed by itself or by an ``issuer``, valid for these days from ``at`` (now)."""
    key = key or signing_key("true")
    now = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
    above, signer = issuer or (name, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, above)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if is_authority:
        usage = dict.fromkeys(
            (
                *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
                *("encipher_only", "decipher_only", "digital_signature"),
            ),
            False,
        )
        builder = builder.add_extension(
            x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
    return builder.sign(signer, SHA256()).public_bytes(Encoding.PEM)
