"""The formats of commands' output: JSON, YAML and times."""

from __future__ import annotations

import datetime
import json
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
    """Return a time in the format of secrets: `2026-11-23T19:10:12Z`."""
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def raw(value: Any) -> str:
    """Return a single value as Go prints it (fmt, `%v`)."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)


def clock(at: datetime.datetime, *, utc: bool = False) -> str:
    """Return a time in the format of tasks: `2026-11-23 19:10:12 +0000 UTC` (Go's Time.String)."""
    return at.astimezone(datetime.UTC if utc else None).strftime("%Y-%m-%d %H:%M:%S %z %Z")


def stamp(at: datetime.datetime, *, utc: bool = False) -> str:
    """Return a time in the format of the table of operations: `2026-11-23T19:10:12`."""
    return at.astimezone(datetime.UTC if utc else None).strftime("%Y-%m-%dT%H:%M:%S")


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
