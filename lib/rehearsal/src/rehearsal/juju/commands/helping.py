"""The output of `juju help`, and of a command's `--help`."""

from __future__ import annotations

from rehearsal.juju.commands.parsing import MODEL
from rehearsal.juju.commands.registry import REGISTRY, Command, Option

_HEADER = """Juju provides easy, intelligent service orchestration on top of Kubernetes,
cloud infrastructure providers, or regular servers. This is the juju command of a
rehearsal: it speaks to a model of Juju on this machine.

Usage: juju [command] [options]

Commands:
"""


def everything() -> str:
    """Return the help of `juju`, with one line for each command."""
    return _HEADER + commands() + '\nSee "juju help <command>" for one of them.\n'


def commands() -> str:
    """Return the commands in the order of their names, with their summaries."""
    entries = sorted({entry.names[0]: entry.summary for entry in REGISTRY.values()}.items())
    width = max(len(name) for name, _ in entries)
    return "".join(f"    {name:{width}}  {summary}\n" for name, summary in entries)


def of(command: Command) -> str:
    """Return the help of one command."""
    name, *aliases = command.names
    parts = [
        f"Usage: juju {name} [options] {command.usage}".rstrip(),
        f"Summary:\n{command.summary}",
        "Options:\n" + "\n".join(map(_option, sorted((*command.all_options, MODEL), key=lambda o: o.dest))),
    ]
    details = "\n".join(line.strip() for line in (command.function.__doc__ or "").splitlines()[1:]).strip()
    if details:
        parts.append(f"Details:\n{details}")
    if aliases:
        parts.append(f"Aliases: {', '.join(aliases)}")
    return "\n\n".join(parts) + "\n"


def _option(option: Option) -> str:
    return f"{', '.join(option.names)}  (= {_default(option)})\n    {option.help}"


def _default(option: Option) -> str:
    default = option.details.get("default")
    if option.is_flag:
        return "false"
    if isinstance(default, str):
        return f'"{default}"'
    return str(default) if default else ""
