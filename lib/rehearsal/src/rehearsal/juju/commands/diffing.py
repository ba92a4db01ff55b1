"""`juju diff-bundle`: what a deployment of a bundle would change, and what only the model has.

Facts: juju/juju 3.6, cmd/juju/application/diffbundle.go and core/bundle/changes/diff.go.
"""

from __future__ import annotations

from typing import Any

from rehearsal.juju.bundle.check import Bundle
from rehearsal.juju.commands import bundles
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import as_yaml
from rehearsal.juju.commands.registry import Word, command, flag, option, options
from rehearsal.juju.model.state import Application, Model


@command(
    "diff-bundle",
    usage="<bundle file or name>",
    words=(Word("bundle", "no bundle specified"),),
    options=(
        options("--overlay", help="Bundles to overlay on the primary bundle, applied in order"),
        option("--channel", help="No difference here"),
        option("--base", help="No difference here"),
        option("--arch", help="No difference here"),
        option("--map-machines", help="Not on Kubernetes"),
        flag("--annotations", help="No difference here"),
        flag("--force", help="Take charms that assume what the model does not have"),
    ),
    locked=False,
)
def diff_bundle(call: Call) -> None:
    """Compare a bundle with a model and report any differences."""
    arguments = call.arguments
    arguments.trust = True  # the difference is shown, not made
    paths = [call.path(name) for name in (arguments.bundle, *arguments.overlay)]
    with call.locked():
        bundle = bundles.checked(call, call.model, paths)
        said = {
            "applications": _applications(call.model, bundle),
            "relations": _relations(call.model, bundle),
        }
    call.out(as_yaml({name: differing for name, differing in said.items() if differing}))


def _applications(model: Model, bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in sorted(bundle.applications.keys() | model.applications.keys()):
        if name not in bundle.applications:
            found[name] = {"missing": "bundle"}
        elif name not in model.applications:
            found[name] = {"missing": "model"}
        elif differing := _application(model.applications[name], bundle, name):
            found[name] = differing
    return found


def _application(application: Application, bundle: Bundle, name: str) -> dict[str, Any]:
    said = bundle.applications[name]
    pairs: dict[str, tuple[Any, Any]] = {
        "charm": (bundle.charms[name].name, application.charm.name),
        "channel": (said.channel or application.channel, application.channel),
        "scale": (said.scale, application.scale),
        "expose": (said.expose, application.exposed),
        "trust": (said.trust, application.trust),
    }
    found: dict[str, Any] = {
        key: {"bundle": there, "model": here} for key, (there, here) in pairs.items() if there != here
    }
    if changed := _options(application, said.options):
        found["options"] = changed
    return found


def _options(application: Application, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return options that the bundle changes, and those that only the model sets."""
    now = application.charm.defaults() | application.config
    changed = {
        key: {"bundle": value, "model": now.get(key)}
        for key, value in bundles.differing(application, wanted).items()
    }
    defaults = application.charm.defaults()
    more = {
        key: {"bundle": None, "model": value}
        for key, value in application.config.items()
        if key not in wanted and value != defaults.get(key)
    }
    return dict(sorted((changed | more).items()))


def _relations(model: Model, bundle: Bundle) -> dict[str, list[list[str]]]:
    there = {
        frozenset(ends): list(ends)
        for each in model.relations.values()
        if not each.is_peer and not each.offer and (ends := bundles.ends(each.endpoints))
    }
    wanted = {frozenset(pair): list(pair) for pair in bundle.relations}
    said = {
        "bundle-additions": sorted(wanted[key] for key in wanted.keys() - there.keys()),
        "model-additions": sorted(there[key] for key in there.keys() - wanted.keys()),
    }
    return {name: pairs for name, pairs in said.items() if pairs}
