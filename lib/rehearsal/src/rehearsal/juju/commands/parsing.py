"""Parse command lines as Juju does: options may stand anywhere, errors are in Juju's words."""

from __future__ import annotations

import argparse
from typing import NoReturn

from rehearsal.juju.commands.registry import Command, Option, flag, option
from rehearsal.juju.model.errors import JujuError

USAGE = 2
"""The exit status for a wrong command line."""

MODEL = option(
    "-m", "--model", help="Model to operate in. Accepts [<controller name>:]<model name>|<model UUID>"
)

_EVERYWHERE = (
    flag("-B", "--no-browser-login"),
    flag("--debug"),
    flag("--verbose"),
    flag("--quiet"),
    flag("--show-log"),
    flag("--color"),
    flag("--no-color"),
    option("--logging-config"),
)
"""Options that every command takes, and that have no effect here."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise JujuError(message, USAGE)


def parse(command: Command, argv: list[str]) -> argparse.Namespace:
    """Return the parsed command line.

    Args:
        command: the command.
        argv: the words after its name.

    Raises:
        JujuError: with exit status 2, if the command does not take these words.
    """
    every = (*command.all_options, MODEL, *_EVERYWHERE)
    parser = _Parser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for each in every:
        parser.add_argument(*each.names, **each.details)
    parser.add_argument("_words", nargs="*")
    end = argv.index("--") if "--" in argv else len(argv)
    typed, said = _said_of_flags(every, argv[:end])
    try:
        found, unknown = parser.parse_known_intermixed_args(typed)
    except argparse.ArgumentError as error:
        raise JujuError(_refusal(error, typed), USAGE) from None
    if unknown:
        raise JujuError(f"option provided but not defined: {unknown[0].partition('=')[0]}", USAGE)
    for name, value in said.items():
        setattr(found, name, value)
    # Tells `--flag=false` from a missing flag.
    found.said = said
    _assign(command, found, found._words + argv[end + 1 :])
    return found


def _said_of_flags(every: tuple[Option, ...], argv: list[str]) -> tuple[list[str], dict[str, bool]]:
    """Split off flags with a value, such as `--trust=false`; return the other words, and these flags."""
    flags = {name: each for each in every if each.is_flag for name in each.names}
    kept, said = [], {}
    for word in argv:
        name, sign, value = word.partition("=")
        if not sign or name not in flags:
            kept.append(word)
        elif value.lower() in ("true", "1", "t", "false", "0", "f"):
            said[flags[name].dest] = value.lower() in ("true", "1", "t")
        else:
            why = f'strconv.ParseBool: parsing "{value}": invalid syntax'
            raise JujuError(f'invalid value "{value}" for option {name}: {why}', USAGE)
    return kept, said


def _refusal(error: argparse.ArgumentError, typed: list[str]) -> str:
    names = (error.argument_name or "").split("/")
    name = next((each for each in names if any(word.partition("=")[0] == each for word in typed)), names[-1])
    if "expected" in error.message:
        return f"option needs an argument: {name}"
    return error.message.replace("{}", name, 1)


def _assign(command: Command, found: argparse.Namespace, words: list[str]) -> None:
    """Set the words of the command line as attributes, by name."""
    for word in command.words:
        if word.missing and not words:
            raise JujuError(word.missing, USAGE)
        if word.many:
            setattr(found, word.name, words)
            return
        setattr(found, word.name, words[0] if words else None)
        words = words[1:]
    if words:
        shown = " ".join(f'"{word}"' for word in words)
        raise JujuError(f"unrecognized args: [{shown}]", USAGE)


def pairs(words: list[str]) -> dict[str, str]:
    """Return `key=value` words as a mapping."""
    found: dict[str, str] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise JujuError(f'expected "key=value", got "{word}"', USAGE)
        if key in found:
            raise JujuError(f'key "{key}" specified more than once', USAGE)
        found[key] = value
    return found
