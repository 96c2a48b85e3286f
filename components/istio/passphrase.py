"""Kiali's passphrase, made by a step. No Pulumi here, which every driver of the mesh would import with it."""

from __future__ import annotations

import secrets

from components.remote.models import Request


class PassphraseRequest(Request):
    """What `passphrase` reads: nothing."""


async def passphrase(_: PassphraseRequest) -> str:
    """Something that nobody guesses, on one line without quotes or blanks."""
    return secrets.token_urlsafe(18)
