"""The formats of commands' output: JSON, YAML and times."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import yaml

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):
    """Writes YAML as Juju does: multi-line texts as blocks, quotes as `"`, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> yaml.ScalarNode:
    tag = "tag:yaml.org,2002:str"
    is_text = dumper.resolve(yaml.ScalarNode, text, (True, False)) == tag
    style = "|" if "\n" in text else None if is_text else '"'
    return dumper.represent_scalar(tag, text, style=style)


_Dumper.add_representer(str, _text)


def as_json(said: Any) -> str:
    """Return a document as Juju prints it for `--format json`."""
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False) + "\n"


def as_yaml(said: Any) -> str:
    """Return a document, or a single value, as Juju prints it for `--format yaml`."""
    text = yaml.dump(said, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20)
    return text.removesuffix("...\n")


def document(said: Any, form: str) -> str:
    """Return a document as JSON or YAML."""
    return as_json(said) if form == "json" else as_yaml(said)


def moment(at: datetime.datetime) -> str:
    """Return a time in the format of secrets and tasks: `2026-11-23T19:10:12Z`."""
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(at: datetime.datetime, now: datetime.datetime) -> str:
    """Return how long ago a time was, in Juju's words (cmd/juju/common, UserFriendlyDuration)."""
    seconds = (now - at).total_seconds()
    if seconds >= 86400:
        return at.strftime("%Y-%m-%d")
    for length, name in ((3600, "hour"), (60, "minute"), (1, "second")):
        count = int(seconds // length)
        if count > 1 or (count == 1 and length > 1):
            return f"{count} {name}{'s'[: count != 1]} ago"
    return "just now"


def natural(text: str) -> list[tuple[int, str]]:
    """Return a sort key that puts `app/10` after `app/9`."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)]
