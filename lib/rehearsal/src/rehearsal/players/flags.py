"""A program's command line as Go's `flag` package reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rehearsal.players.refusals import Unstartable

CONTROLLER = ("kubeconfig", "zap-encoder", "zap-log-level", "zap-stacktrace-level", "zap-time-encoding")
"""Flags with a value that every program of controller-runtime has."""

_SWITCHES = ("zap-devel",)
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


def parse(words: Iterable[str], values: Mapping[str, str], switches: Iterable[str]) -> dict[str, str]:
    """Return the values of flags; the last one counts.

    Args:
        words: the command line without the program.
        values: the flags that have a value, and their defaults; `CONTROLLER` goes without saying.
        switches: the flags that are on or off, and take a value after `=` only.

    Raises:
        Unstartable: if the program would print its usage and end.
    """
    found = dict(values)
    known, switches = {*values, *CONTROLLER}, {*switches, *_SWITCHES}
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "-":
            break  # what follows is no flag
        if word == "--":
            break
        name, given, value = word.removeprefix("-").removeprefix("-").partition("=")
        if name in switches:
            if given and value not in _TRUE + _FALSE:
                raise Unstartable(f'invalid boolean value "{value}" for -{name}')
            continue
        if name not in known:
            raise Unstartable(f"flag provided but not defined: -{name}")
        if not given:
            value = next(rest, None)
            if value is None:
                raise Unstartable(f"flag needs an argument: -{name}")
        found[name] = value
    return found
