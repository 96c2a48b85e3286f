"""What may be printed: text without what a terminal would obey, and without secrets. The one filter of everything that leaves a driver.

A machine's words end in a terminal, a CI log and Pulumi's state. They are the machine's own: whoever owns it may write escape
sequences (to forge lines, to fill the clipboard) or, by mistake, a key that a failed program had just read.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Final

from pydantic import BaseModel, SecretStr

_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, erase
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC (title, link, clipboard), DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"  # all others
)
"""Control sequences by ECMA-48, 7-bit and 8-bit; one that is not closed ends with its line."""

_CONTROLS: Final = {
    **dict.fromkeys([*range(0x20), 0x7F, *range(0x80, 0xA0)]),
    ord("\n"): "\n",
    ord("\t"): "\t",
    ord("\r"): " ",  # it would let what follows be written over what stands in the line
    # what changes the direction of text, so that a line reads as another one; and separators that only some take as a line's end
    **dict.fromkeys([0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]),
    0x2028: " ",
    0x2029: " ",
}

_PATTERNS: Final = tuple(
    (re.compile(pattern), put)
    for pattern, put in (
        (r"(?s)-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", "<private key>"),
        # the same in base64, as kubeconfigs and Secrets have it; only the key's beginning tells, so all PEM is taken
        (r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]*", "<base64>"),
        (r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+", "<token>"),  # of a service account
        (r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", "<token>"),  # kubeadm's bootstrap tokens
        (r"(?i)\b(bearer )[\w.~+/=-]{8,}", r"\1<token>"),
        (r"(?i)(--?certificate-key[ =])\S+", r"\1<key>"),
        (r"(?im)^([\s-]*[\"']?(?:passwd|pkpassword|password|token|client-key-data)[\"']?: *)[^\s\"'].*", r"\1<secret>"),
        (r"(?im)([\"']?(?:passwd|pkpassword|password|token|client-key-data)[\"']?: *)(\"[^\"\n]+\"|'[^'\n]+')", r"\1<secret>"),
        # a line of a key or an archive, whose beginning was in another message: base64 that is neither a checksum nor a path
        (r"(?<![\w+/.-])(?=[A-Za-z0-9+/]*[a-z])(?=[A-Za-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]*\d)[A-Za-z0-9+/]{48,}={0,2}(?![\w.-])", "<base64>"),
    )
)  # fmt: skip

_SHORT: Final = 6
"""A known secret of fewer characters is taken out as a whole word only, or no message could be read any more."""

_known: dict[str, re.Pattern[str]] = {}


def know(*secrets: str | None) -> None:
    """From now on these are taken out of whatever is printed, also as JSON and base64 have them, and each line of a key by itself."""
    for secret in secrets:
        for line in {line.strip() for line in (secret or "", *(secret or "").split("\n"))}:
            if not line or line.startswith("-----"):
                continue
            encoded = base64.b64encode(line.encode()).decode().rstrip("=")
            for form in {line, json.dumps(line)[1:-1], json.dumps(line, ensure_ascii=False)[1:-1], encoded}:
                words = re.escape(form)
                _known[form] = re.compile(words if len(form) >= _SHORT else rf"(?<!\w){words}(?!\w)")


def know_secrets_of(request: object) -> None:
    """`know`, of every secret that a request holds, however deep."""
    match request:
        case SecretStr():
            know(request.get_secret_value())
        case BaseModel():
            know_secrets_of([getattr(request, name) for name in type(request).model_fields])
        case dict():
            know_secrets_of(list(request.values()))
        case str() | bytes():
            pass
        case Iterable():
            for item in request:
                know_secrets_of(item)


def harmless(text: str) -> str:
    """The text without control characters and escape sequences; newline and tabulator stay."""
    if text.isascii() and text.isprintable():
        return text
    return _ESCAPES.sub("", text.replace("\r\n", "\n")).translate(_CONTROLS)


def printable(text: str) -> str:
    """The text as it may be printed: harmless, and without secrets, known ones and such as look like one."""
    text = harmless(text)
    for form in sorted(_known, key=len, reverse=True):
        text = _known[form].sub("<secret>", text)
    for pattern, put in _PATTERNS:
        text = pattern.sub(put, text)
    return text
