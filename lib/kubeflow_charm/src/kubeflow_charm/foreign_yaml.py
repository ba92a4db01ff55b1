"""Read YAML of others (relation data, options) safely, whatever its content.

PyYAML's safe loaders construct only safe objects, but they do not fail safely. The loader of libyaml
overflows the stack on deep nesting and crashes the process (`'[' * 60_000`, PyYAML 6.0). For a wrong explicit
tag such as `!!bool maybe`, both loaders raise arbitrary exceptions. So this module uses the loader in Python,
whose depth the interpreter limits. A length limit keeps it under about a second.
"""

from __future__ import annotations

from typing import Any

import yaml

LIMIT = 64 * 1024
"""The longest text that we read. Kubeflow's charms write a few hundred characters."""


class _Loader(yaml.SafeLoader):
    """Loads YAML without aliases, by which a few lines could become gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)


def load(text: str) -> Any:
    """Return the value of a YAML document; JSON is YAML, too.

    Raises:
        ValueError: with the reason, and with line and column if they are known.
    """
    if len(text) > LIMIT:
        raise ValueError(f"longer than {LIMIT} characters")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"not YAML: {error.problem or error.context}{place}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from None
    except RecursionError:
        raise ValueError("not YAML: nested too deeply") from None
    except (
        ValueError,
        LookupError,
        AttributeError,
        ArithmeticError,
    ) as error:  # a tag does not fit its value
        raise ValueError(f"not YAML: {error}") from None
