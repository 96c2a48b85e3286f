"""What is made once and then kept in the stack's state as a secret: it must not change from one run to the next."""

from __future__ import annotations

import datetime as dt
import json

from pydantic import SecretStr

from components.remote.models import Request

YEARS = 10
"""How long Contour's and Envoy's certificates for each other are good. Nothing else trusts them; replace the resource for new ones."""


class HtpasswdRequest(Request):
    """What `htpasswd` reads: the one user and the password."""

    username: str
    password: SecretStr


async def htpasswd(request: HtpasswdRequest) -> str:
    """A line as Apache's htpasswd -B writes it; nginx reads it, too."""
    import bcrypt

    hashed = bcrypt.hashpw(request.password.get_secret_value().encode(), bcrypt.gensalt()).decode()
    # the same algorithm; htpasswd's own name for it is what every reader of such files knows
    return f"{request.username}:{hashed.replace('$2b$', '$2y$', 1)}"


class CertificatesRequest(Request):
    """What `xds-certificates` reads: the namespace in whose names Contour's certificate is."""

    namespace: str


async def xds_certificates(request: CertificatesRequest) -> str:
    """A CA and two certificates for the connection between Envoy and Contour, as JSON; the CA's key is not kept.

    Envoy looks for `contour` among the names of Contour's certificate; Contour only asks that Envoy's is of the same CA
    (Contour 1.9, internal/envoy/v2/bootstrap.go and its gRPC Authentication guide).
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = dt.datetime.now(dt.UTC)
    pem = serialization.Encoding.PEM
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sealos-istio contour")])

    def certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey, names: list[str] | None) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # clocks of machines differ
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=365 * YEARS))
            .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        )
        if names is not None:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False
            )
        return builder.sign(ca_key, hashes.SHA256())

    made = {"ca.crt": certificate(ca_name, ca_key, None).public_bytes(pem).decode()}
    for service in ("contour", "envoy"):
        key = ec.generate_private_key(ec.SECP256R1())
        full = f"{service}.{request.namespace}"
        names = [service, full, f"{full}.svc", f"{full}.svc.cluster.local"]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, service)])
        made[f"{service}.crt"] = certificate(subject, key, names).public_bytes(pem).decode()
        made[f"{service}.key"] = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    return json.dumps(made)
