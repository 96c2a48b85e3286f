"""Files that a stack names: on the first master, or here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from components.config.base import Model


class Artifact(Model):
    """A file that is already on the first master.

    Attributes:
        path: absolute path there.
        sha256: its SHA-256, 64 hexadecimal digits; checked by the preflight when given (sealos itself only compares MD5
            between hosts and never with anything published).
    """

    path: str
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not re.fullmatch(r"(/[A-Za-z0-9._+@-]+)+", value):
            raise ValueError(
                f"{value!r} must be an absolute path of letters, digits and ._+@- (it names a file on the first master)"
            )
        return value


class Provided(Artifact):
    """A file that the first master needs: it is there already, or comes from here or from a URL.

    Attributes:
        path: absolute path on the first master; /root and the name of file or url unless given.
        sha256: as in Artifact; with file or url it must be given.
        file: where it lies here, relative to the project.
        url: where it is fetched from, here, and then sent; http or https.
    """

    file: str | None = None
    url: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_path(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "path" not in data:
            source = data.get("file") or data.get("url")
            if isinstance(source, str) and source:
                return {**data, "path": "/root/" + urlsplit(source).path.rsplit("/", 1)[-1]}
        return data

    @field_validator("url")
    @classmethod
    def _web(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{value!r} is no http or https URL")
        if parts.username or parts.password:
            raise ValueError("must not hold a user or password, since it stands in plain in the stack's file and state")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.file and self.url:
            raise ValueError("has both file and url; keep one")
        if (self.file or self.url) and not self.sha256:
            raise ValueError(
                "needs sha256 beside file or url: what is sent must be what you meant (`sha256sum` prints it)"
            )
        return self


class ImagesFile(Model):
    """Container images in a file, as `docker save` writes it.

    Attributes:
        file: where it lies here, relative to the project.
        sha256: its SHA-256, 64 hexadecimal digits.
    """

    file: str = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
