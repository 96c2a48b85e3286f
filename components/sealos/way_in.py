"""How sealos itself logs in to the machines, from the first master: with which key, and whether it gets in."""

from __future__ import annotations

from typing import Final

import asyncssh

from components.printable import know
from components.problem import Code
from components.remote.connection import connect, private_key
from components.remote.errors import reason
from components.remote.host import Host
from components.remote.models import Login, Machine, MachineError


def key_for_sealos(login: Login) -> str | None:
    """The private key without its passphrase, in a form that an SSH library of 2019 reads; None when there is none, or a password in its place.

    Of encrypted keys that reads PEM's own alone, and not what ssh-keygen writes since OpenSSH 7.8; and it takes no passphrase for a key that
    has none. sealos passes over what it can't read, without a word.

    Raises:
        MachineError: when the key can't be used, here or there.
    """
    if not (text := login.key_text()):
        return None
    key = private_key(text, (login.private_key_passphrase and login.private_key_passphrase.get_secret_value()) or None)
    try:
        plain = key.export_private_key("openssh" if key.algorithm == b"ssh-ed25519" else "pkcs1-pem").decode()
    except asyncssh.KeyExportError:  # as Ed448, or one on a security key
        if login.password and login.password.get_secret_value():
            return None
        kind = key.algorithm.decode()
        raise MachineError("privateKey", f"is of a kind that sealos can't log in by ({kind})", "Use an ed25519, ECDSA or RSA key, or a password.", "login") from None
    know(plain)
    return plain


_LIKE_SEALOS: Final = {
    "kex_algs": [
        *("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521"),
        "diffie-hellman-group14-sha1",
    ],
    "encryption_algs": ["aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com"],
    "mac_algs": ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-256", "hmac-sha1"],
    "signature_algs": ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"],
    "preferred_auth": "publickey,password",
}
"""What sealos v3 knows: its SSH library's of 2019 (golang.org/x/crypto, ssh/common.go), and of ciphers what it names itself
(pkg/sshcmd/sshutil/connect.go), which leaves chacha20-poly1305 out."""


async def refuses_sealos(machine: Machine, login: Login, by: Host | None = None) -> tuple[Code, str] | None:
    """Why a machine that lets us in would not let sealos in: `rsa-key` or `sealos-login`, and the cause. None when it would.

    Tried by a log-in of that kind, because nothing else tells for sure what an SSH server, or a firewall, allows whom.

    Args:
        machine: which lets us in.
        login: how.
        by: the first master, where sealos dials from, if its SSH server passes connections on.
    """
    rsa = "BEGIN RSA PRIVATE KEY" in (key_for_sealos(login) or "")
    through = by.connection if by else None
    try:
        async with connect(machine, login.model_copy(update={"agent": False}), through, _LIKE_SEALOS) as host:
            await host.open_terminal()
    except MachineError as error:
        why = error.__context__
        if error.code == "auth":
            return Code.RSA_KEY if rsa else Code.SEALOS_LOGIN, error.cause
        if by and isinstance(why, asyncssh.ChannelOpenError) and why.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
            return await refuses_sealos(machine, login)
        if by and error.gone and not isinstance(why, asyncssh.KeyExchangeFailed):
            return Code.SEALOS_LOGIN, f"{by.machine.name}, where sealos runs, does not get to {machine.address}:{machine.port} ({reason(why if isinstance(why, Exception) else error)})"
        if isinstance(why, asyncssh.KeyExchangeFailed):
            return Code.SEALOS_LOGIN, reason(why)
        if isinstance(why, asyncssh.ChannelOpenError):
            return Code.SEALOS_LOGIN, error.cause
        raise
    return None
