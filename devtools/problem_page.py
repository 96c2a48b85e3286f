"""`python -m devtools codes`: makes the entries of docs/troubleshooting.md's section "Codes" from the table of codes.

Each entry's heading and first paragraph are the table's; what stands below them is written by hand and is kept.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from components.problem import Code

PAGE = Path(__file__).parents[1] / "docs" / "troubleshooting.md"
_WIDTH = 150
_SECTION = "## Codes\n"


def made(text: str) -> str:
    """The page with an entry for each code, in the table's order, and for nothing else; all outside of the section as it was."""
    head, _, rest = text.partition(_SECTION)
    section, *others = rest.split("\n## ")
    intro, *entries = section.split("\n### ")
    kept = {entry.split("`")[1]: entry.partition("\n\n")[2].rstrip("\n") for entry in entries}
    section = "\n### ".join((intro.rstrip("\n") + "\n", *(f"`{code}`\n{_entry(code, kept.get(code, ''))}" for code in Code)))
    return head + _SECTION + "\n## ".join((section, *others))


def _entry(code: Code, by_hand: str) -> str:
    word, _, more = code.means.partition(" ")
    means = f"{word if '.' in word else word[0].upper() + word[1:]} {more}."  # a key keeps its spelling
    waivable = " It can be waived (`cluster.preflight.waive`)." if code.waivable else ""
    first = fill(f"{means} {code.fix}{waivable}", _WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"{first}\n\n{by_hand}\n" if by_hand else f"{first}\n"
