"""What a model offers to others: `juju offer`, `offers`, `find-offers`, `show-offer` and `remove-offer`.

Facts: juju/juju 3.6, cmd/juju/crossmodel.
"""

from __future__ import annotations

import re
from typing import Any

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import ago, document
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, option, output
from rehearsal.juju.commands.tabular import table
from rehearsal.juju.model import offer_urls
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Model, Offer, Relation, now
from rehearsal.juju.model.status import CONTROLLER, charm_url, relation_status
from rehearsal.juju.model.status import offered_endpoints as endpoints

_USERS = {"admin": {"display-name": "admin", "access": "admin"}, "everyone@external": {"access": "read"}}
_SPEC = re.compile(r"(?:(?P<model>[^.]*)\.)?(?P<application>[^:]*):(?P<endpoints>.*)")


@command(
    "offer",
    usage="[model-name.]<application-name>:<endpoint-name>[,...] [offer-name]",
    words=(Word("spec", "an offer must at least specify application endpoint"), Word("name")),
    options=(option("-c", "--controller", help="Controller to operate in"),),
)
def offer(call: Call) -> None:
    """Offer application endpoints for use in other models."""
    found = _SPEC.fullmatch(call.arguments.spec)
    if found is None:
        raise JujuError('endpoints must conform to format "<application-name>:<endpoint-name>[,...]" ', USAGE)
    application, said = found["application"], found["endpoints"]
    if not said:
        raise JujuError(f'specify endpoints for {application}" ')
    if found["model"]:
        call.arguments.model = found["model"]
    model, names = call.model, said.split(",")
    made = call.engine.add_offer(model, application, names, call.arguments.name or application)
    url = f"admin/{model.name}.{made.name}"
    call.info(f'Application "{application}" endpoints [{", ".join(names)}] available at "{url}"')


@command(
    "offers",
    "list-offers",
    usage="[<offer-name>]",
    words=(Word("name"),),
    options=(
        option("--application", help="return results matching the application"),
        option("--interface", help="return results matching the interface name"),
        option("--allowed-consumer", help="return results where the user is allowed to consume the offer"),
        option("--connected-user", help="return results where the user has a connection to the offer"),
        flag("--active-only", help="only return results where the offer is in use"),
        output("tabular", "json", "summary", "yaml"),
    ),
)
def offers(call: Call) -> None:
    """Lists shared endpoints."""
    arguments, model = call.arguments, call.model
    shown = []
    for each in sorted(model.offers.values(), key=lambda each: each.name):
        connected = call.engine.connections(model, each.name)
        interfaces = {said["interface"] for said in endpoints(model, each).values()}
        if (
            arguments.name in (None, each.name)
            and arguments.application in ("", each.application)
            and (not arguments.interface or arguments.interface in interfaces)
            and arguments.connected_user in ("", "admin")
            and (connected or not (arguments.active_only or arguments.connected_user))
        ):
            shown.append((each, connected))
    match arguments.format:
        case "tabular":
            call.out(_connections(model, shown))
        case "summary":
            call.out(_summary(model, shown))
        case form:
            call.out(document({each.name: _listed(model, each, using) for each, using in shown}, form))


def _connections(model: Model, shown: list[tuple[Offer, list[Relation]]]) -> str:
    rows = []
    for each, using in shown:
        for number, relation in enumerate(sorted(using, key=lambda each: each.id)):
            end = relation.end(each.application)
            said = endpoints(model, each)[end.name] if end else {"interface": "", "role": ""}
            rows.append(
                [
                    each.name if number == 0 else "",
                    "admin",
                    relation.id,
                    relation_status(relation),
                    end.name if end else "",
                    said["interface"],
                    said["role"],
                ]
            )
    return table(["Offer", "User", "Relation id", "Status", "Endpoint", "Interface", "Role"], rows)


def _summary(model: Model, shown: list[tuple[Offer, list[Relation]]]) -> str:
    rows = []
    for each, using in shown:
        charm = charm_url(model.applications[each.application])
        first = [each.name, each.application, charm, len(using), CONTROLLER, url(model, each)]
        for name, said in endpoints(model, each).items():
            rows.append([*first, name, said["interface"], said["role"]])
            first = [""] * 6
    heading = ["Offer", "Application", "Charm", "Connected", "Store", "URL", "Endpoint", "Interface", "Role"]
    return table(heading, rows)


def _listed(model: Model, each: Offer, using: list[Relation]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "application": each.application,
        "store": CONTROLLER,
        "charm": charm_url(model.applications[each.application]),
        "offer-url": url(model, each),
        "endpoints": endpoints(model, each),
    }
    if using:
        said["connections"] = [_connection(each, relation) for relation in using]
    return said | {"users": _USERS}


def _connection(each: Offer, relation: Relation) -> dict[str, Any]:
    end = relation.end(each.application)
    source = relation.other_model
    return {
        "source-model-uuid": source.uuid if source else "",
        "username": "admin",
        "relation-id": relation.id,
        "endpoint": end.name if end else "",
        "status": {"current": relation_status(relation), "since": ago(relation.made, now())},
    }


@command(
    "find-offers",
    usage="",
    words=(Word("where"),),
    options=(
        option("--url", help="return results matching the offer URL"),
        option("--interface", help="return results matching the interface name"),
        option("--offer", help="return results matching the offer name"),
        output("tabular", "json", "yaml"),
    ),
)
def find_offers(call: Call) -> None:
    """Find offered application endpoints."""
    arguments = call.arguments
    if arguments.where and arguments.url:
        raise JujuError("URL term cannot be specified twice", USAGE)
    if arguments.offer and (arguments.where or arguments.url):
        raise JujuError("cannot specify both a URL term and offer term", USAGE)
    wanted = offer_urls.parse(arguments.where or arguments.url or "", whole=False)
    found = {
        f"{CONTROLLER}:{url(model, each)}": {
            "access": "admin",
            "endpoints": said,
            "users": _USERS,
        }
        for model in call.engine.models.values()
        for each in model.offers.values()
        if (said := endpoints(model, each))
        and wanted.model in ("", model.name)
        and wanted.user in ("", "admin")
        and (wanted.offer or arguments.offer) in ("", each.name)
        and (not arguments.interface or arguments.interface in {end["interface"] for end in said.values()})
    }
    if not found:
        raise JujuError("no matching application offers found")
    if arguments.format != "tabular":
        call.out(document(found, arguments.format))
        return
    rows = [
        [where, "admin", ", ".join(sorted(f"{end['interface']}:{n}" for n, end in said["endpoints"].items()))]
        for where, said in sorted(found.items())
    ]
    call.out(table(["URL", "Access", "Interfaces"], rows))


@command(
    "show-offer",
    usage="[<controller>:]<offer url>",
    words=(Word("url", "must specify endpoint URL"),),
    options=(output("tabular", "json", "yaml"),),
)
def show_offer(call: Call) -> None:
    """Shows extended information about the offered application."""
    model, each = meant(call, call.arguments.url)
    description = str(model.applications[each.application].charm.metadata.get("description", "")).strip()
    said = {"description": description, "access": "admin", "endpoints": endpoints(model, each)}
    if call.arguments.format != "tabular":
        said = {key: value for key, value in said.items() if value} | {"users": _USERS}
        call.out(document({f"{CONTROLLER}:{url(model, each)}": said}, call.arguments.format))
        return
    first = [CONTROLLER, url(model, each), "admin", description.partition("\n")[0][:45]]
    rows = []
    for name, end in said["endpoints"].items():
        rows.append([*first, name, end["interface"], end["role"]])
        first = [""] * 4
    call.out(table(["Store", "URL", "Access", "Description", "Endpoint", "Interface", "Role"], rows))


@command(
    "remove-offer",
    usage="<offer-url> ...",
    words=(Word("urls", "no offers specified", many=True),),
    options=(
        flag("--force", help="remove the offer as well as any relations to the offer"),
        flag("-y", "--yes", "--no-prompt", help="Do not prompt for confirmation", dest="yes"),
        option("-c", "--controller", help="Controller to operate in"),
    ),
    locked=False,
)
def remove_offer(call: Call) -> None:
    """Removes one or more offers specified by their URL."""
    arguments = call.arguments
    with call.locked():
        found = [meant(call, said) for said in arguments.urls]
    if arguments.force and not arguments.yes and not call.skips_confirmation:
        names = ", ".join(url(model, each) for model, each in found)
        call.info(
            f"WARNING! This command will remove offers: {names}\nThis includes all relations to those offers."
        )
        if not call.confirmed("\nContinue [y/N]? "):
            raise JujuError("offer removal: aborted")
    with call.locked():
        for model, each in found:
            call.engine.remove_offer(model, each.name, force=arguments.force)


def meant(call: Call, said: str) -> tuple[Model, Offer]:
    """Return the offer that a URL, or the name of an offer of the present model, names."""
    if offer_urls.is_offer_url(said):
        where = offer_urls.parse(said)
        if where.endpoint:
            raise JujuError(f"These offers contain endpoints. Only specify the offer name itself.\n -{said}")
        model, name = call.model_named("/".join(filter(None, (where.user, where.model)))), where.offer
    else:
        model, name = call.model, said
    if name not in model.offers:
        raise JujuError(f'application offer "admin/{model.name}.{name}" not found')
    return model, model.offers[name]


def url(model: Model, each: Offer) -> str:
    """Return an offer's URL without the controller."""
    return f"admin/{model.name}.{each.name}"
