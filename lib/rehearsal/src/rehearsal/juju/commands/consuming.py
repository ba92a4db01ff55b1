"""What a model uses of others: `juju consume`, `remove-saas`, `suspend-relation` and `resume-relation`.

Facts: juju/juju 3.6, cmd/juju/application (consume.go, removesaas.go, suspendrelation.go, resumerelation.go).
"""

from __future__ import annotations

from rehearsal.juju.commands import offers
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, option
from rehearsal.juju.model import offer_urls
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Relation, RemoteApplication


def add(call: Call, url: str, name: str = "") -> RemoteApplication:
    """Add an offer to the present model, under its own name unless another one is given."""
    where = offer_urls.parse(url)
    if where.endpoint:
        raise JujuError(f'saas offer "{url}" shouldn\'t include endpoint')
    source, offer = offers.meant(call, url)
    if source is call.model:
        raise JujuError(
            f"could not consume {offers.url(source, offer)}: it is of this model; relate to the application"
        )
    return call.engine.consume(call.model, source, offer.name, name or offer.name)


@command(
    "consume",
    usage="<remote offer path> [<local application name>]",
    words=(Word("url", "no remote offer specified"), Word("name")),
)
def consume(call: Call) -> None:
    """Add a remote offer to the model."""
    call.model_alive()
    added = add(call, call.arguments.url, call.arguments.name or "")
    call.info(f"Added {added.url} as {added.name}")


@command(
    "remove-saas",
    "remove-consumed-application",
    usage="<saas-application-name> [<saas-application-name>...]",
    words=(Word("names", "no SAAS application names specified", many=True),),
    options=(
        flag("--force", help="Completely remove an application and all its dependencies"),
        flag("--no-wait", help="Rush through removal without waiting for each step to complete"),
    ),
)
def remove_saas(call: Call) -> int:
    """Remove consumed applications (SAAS) from the model."""
    if call.arguments.no_wait and not call.arguments.force:
        raise JujuError("--no-wait requires --force", USAGE)
    failed = 0
    for name in call.arguments.names:
        try:
            call.engine.remove_consumed(call.model, name, force=call.arguments.force)
        except JujuError as error:
            call.info(f"removing SAAS application {name} failed: {error}")
            failed = 1
    return failed


@command(
    "suspend-relation",
    usage="<relation-id>[ <relation-id>...]",
    words=(Word("ids", "no relation ids specified", many=True),),
    options=(option("--message", help="reason for suspension"),),
)
def suspend_relation(call: Call) -> None:
    """Suspends a relation to an application offer."""
    for relation in _meant(call):
        call.engine.suspend(relation, suspended=True)


@command(
    "resume-relation",
    usage="<relation-id>[,<relation-id>]",
    words=(Word("ids", "no relation ids specified", many=True),),
)
def resume_relation(call: Call) -> None:
    """Resumes a suspended relation to an application offer."""
    for relation in _meant(call):
        call.engine.suspend(relation, suspended=False)


def _meant(call: Call) -> list[Relation]:
    found = []
    for said in (each for word in call.arguments.ids for each in word.split(",") if each):
        if not said.isdigit():
            raise JujuError(f'relation ID "{said}" not valid', USAGE)
        if int(said) not in call.model.relations:
            raise JujuError(f'relation "{said}" not found')
        found.append(call.model.relations[int(said)])
    return found
