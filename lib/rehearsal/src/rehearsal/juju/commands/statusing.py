"""`juju status`."""

from __future__ import annotations

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import document
from rehearsal.juju.commands.registry import Word, command, duration, flag, number, option, output
from rehearsal.juju.commands.tabular import render_lines, render_status
from rehearsal.juju.model.status import document as status_document
from rehearsal.juju.model.status import selected

_CLEAR = "\033[H\033[2J"


@command(
    "status",
    "show-status",
    usage="[<selector> [...]]",
    words=(Word("patterns", many=True),),
    options=(
        output("tabular", "json", "yaml", "short", "line", "oneline", "summary"),
        flag(
            "--relations", "--integrations", help="Show relations section in tabular output", dest="relations"
        ),
        flag("--storage", help="Show storage section in tabular output"),
        flag("--utc", help="Display timestamps in the UTC timezone"),
        option("--watch", type=duration, default=None, help="Watch the status every period of time"),
        option("--retry-count", type=number, default=3, help="No effect here"),
        option("--retry-delay", type=duration, default=0.1, help="No effect here"),
    ),
    locked=False,
)
def status(call: Call) -> None:
    """Report the status of the model, its machines, applications and units.

    A selector is the name of an application or a unit, or a state; * stands for any characters.
    """
    every = call.arguments.watch
    while True:
        with call.locked():
            text = _text(call)
            nothing = not selected(call.model, call.arguments.patterns)
        call.out((_CLEAR if every else "") + text)
        if nothing:
            call.info(_emptiness(call))
        if not every:
            return
        call.wait(lambda: False, every)


def _text(call: Call) -> str:
    arguments, model = call.arguments, call.model
    utc = arguments.utc or call.environment.get("JUJU_STATUS_ISO_TIME", "").lower() in ("1", "t", "true")
    match arguments.format:
        case "json" | "yaml":
            return document(status_document(model, arguments.patterns, utc=utc), arguments.format)
        case "short" | "line" | "oneline":
            return render_lines(model, arguments.patterns)
        case _:
            return render_status(
                model,
                arguments.patterns,
                show_relations=arguments.relations,
                show_storage=arguments.storage,
                terminal=call.terminal,
                utc=utc,
            )


def _emptiness(call: Call) -> str:
    patterns = call.arguments.patterns
    if not patterns:
        return f'\nModel "admin/{call.model.name}" is empty.'
    return f"Nothing matched specified filter{'s'[: len(patterns) > 1]}."
