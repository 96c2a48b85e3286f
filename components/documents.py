"""YAML that people wrote, read so that nothing of it is lost: a key that is given twice is refused, where YAML's readers keep the last in silence."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise yaml.YAMLError(f"{key.value} is given twice, in lines {lines[key.value]} and {line}; keep one of them")
                lines[key.value] = line
        return node


def load_all(text: str) -> list[Any]:
    """Every document of a text.

    Raises:
        yaml.YAMLError: when it is no YAML, or a map has a key twice, which YAML forbids; the text names it and both lines.
    """
    return list(yaml.load_all(text, Loader=_Loader))
