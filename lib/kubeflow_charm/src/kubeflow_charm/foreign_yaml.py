"""Read YAML that others wrote (relation data, options) safely, whatever it holds.

PyYAML's loaders are safe in what they construct and not in how they fail. The one of libyaml overflows the
stack on deep nesting and takes the process along (`'[' * 60_000`, PyYAML 6.0), and both answer a wrong
explicit tag such as `!!bool maybe` with whatever exception they stumble over. So the loader here is the one
in Python, whose depth the interpreter bounds; a length limit bounds its time to about a second.
"""

from __future__ import annotations

from typing import Any

import yaml

LIMIT = 64 * 1024
"""The most characters that are read. Kubeflow's charms write a few hundred."""


class _Loader(yaml.SafeLoader):
    """Loads YAML without aliases: with them, a few lines could grow to gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)


def load(text: str) -> Any:
    """Return what a YAML document says; JSON is YAML, too.

    Raises:
        ValueError: with the reason, and line and column where they are known, for everything else.
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
    except (ValueError, LookupError, AttributeError) as error:  # a tag that does not fit its value
        raise ValueError(f"not YAML: {error}") from None
