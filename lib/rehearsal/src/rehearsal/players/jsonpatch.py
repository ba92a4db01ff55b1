"""JSON patches (RFC 6902) from one value to another, as the libraries of upstream's programs make them.

A list that differs is put anew, unless `piecewise` is asked for: that is what github.com/mattbaird/jsonpatch
of 2017 does. It names every element that goes by its place before any of them has gone, so a patch takes
away the wrong ones, or cannot be applied, if more than one goes; and it adds nothing that is there already.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Operation = dict[str, Any]


def patch(before: Any, after: Any, path: str = "", *, piecewise: bool = False) -> Iterator[Operation]:
    """Yield the operations that turn one value into another."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*after, *before]):
            at = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in after:
                yield {"op": "remove", "path": at}
            elif name not in before:
                yield {"op": "add", "path": at, "value": after[name]}
            else:
                yield from patch(before[name], after[name], at, piecewise=piecewise)
    elif piecewise and isinstance(before, list) and isinstance(after, list):
        yield from _list(before, after, path)
    else:
        yield {"op": "replace", "path": path, "value": after}


def _list(before: list[Any], after: list[Any], path: str) -> Iterator[Operation]:
    if len(before) == len(after):
        for at, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from patch(one, other, f"{path}/{at}", piecewise=True)
        return
    for at, item in enumerate(before):
        if item not in after:
            yield {"op": "remove", "path": f"{path}/{at}"}
    for at, item in enumerate(after):
        if item not in before:
            yield {"op": "add", "path": f"{path}/{at}", "value": item}
