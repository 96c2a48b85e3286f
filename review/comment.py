"""One comment on a pull request, found again by its marker and kept up to date (GitHub's REST API, version 2022-11-28)."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from review.summary import MARKER

TIMEOUT = 30
"""Seconds that one request may take."""


class CommentFailed(Exception):
    """The comment could not be written; the text says why."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request, and how to write on it.

    Attributes:
        api: the API's root, GITHUB_API_URL.
        repository: owner/name.
        number: the pull request's.
        token: may write comments; never shown.
        labels: those that it has.
        fork: whether its head is in another repository, whose runs get no token that may write.
    """

    api: str
    repository: str
    number: int
    token: str
    labels: tuple[str, ...] = ()
    fork: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> PullRequest | None:
        """The pull request that a GitHub Actions run is about; None elsewhere."""
        try:
            event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text())
            found = event["pull_request"]
            repository = environment["GITHUB_REPOSITORY"]
        except (KeyError, OSError, ValueError):
            return None
        head = ((found.get("head") or {}).get("repo") or {}).get("full_name")
        return cls(
            api=environment.get("GITHUB_API_URL", "https://api.github.com"),
            repository=repository,
            number=int(found["number"]),
            token=environment.get("GITHUB_TOKEN", ""),
            labels=tuple(label["name"] for label in found.get("labels") or ()),
            fork=head != repository,
        )

    def say(self, text: str) -> str:
        """Writes the comment, or rewrites the one that is there. Returns its address.

        Raises:
            CommentFailed: GitHub refused, or could not be reached.
        """
        for comment in self._comments():
            if MARKER in str(comment.get("body")):
                path = f"/repos/{self.repository}/issues/comments/{comment['id']}"
                return str(self._ask("PATCH", path, {"body": text})["html_url"])
        path = f"/repos/{self.repository}/issues/{self.number}/comments"
        return str(self._ask("POST", path, {"body": text})["html_url"])

    def _comments(self) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            path = f"/repos/{self.repository}/issues/{self.number}/comments?per_page=100&page={page}"
            found = self._ask("GET", path)
            yield from found
            if len(found) < 100:
                return
            page += 1

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        if not self.api.startswith(("https://", "http://127.0.0.1:")):
            raise CommentFailed(f"GITHUB_API_URL {self.api} is no https address")
        request = urllib.request.Request(  # noqa: S310
            self.api + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            hint = " (the job needs `permissions: pull-requests: write`)" if error.code in (401, 403) else ""
            raise CommentFailed(f"GitHub answered {error.code} to {method} {path}{hint}") from None
        except (OSError, ValueError) as error:
            raise CommentFailed(f"GitHub could not be asked ({error})") from None
