"""What of all that is offered goes where: objects for each profile, and what is wrong with the offers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from kubeflow_charm import Manifest, Problem, blocked
from kubeflow_charm.problems import shortened
from kubeflow_charm.relations.kubernetes_manifest import Offer

OFFERED_BY = "resource-dispatcher/offered-by"
"""Annotation with the application whose object it is."""


def conflicts(offers: Iterable[Offer]) -> tuple[set[tuple[str, str]], list[Problem]]:
    """Return kind and name of the objects that several applications claim, and the problems of that."""
    claimed: dict[tuple[str, str], set[str]] = defaultdict(set)
    for offer in offers:
        for manifest in offer.manifests:
            claimed[_what(manifest)].add(offer.application)
    several = {what: sorted(names) for what, names in claimed.items() if len(names) > 1}
    problems = [
        blocked(f"{kind} {name} is offered by {' and '.join(names)}", "remove one of the relations")
        for (kind, name), names in sorted(several.items())
    ]
    return set(several), problems


def count(offers: Iterable[Offer]) -> int:
    """Return how many objects a profile gets: those of one name for several profiles are one."""
    return len({_what(manifest) for offer in offers for manifest in offer.manifests})


def spread(
    offers: Iterable[Offer], namespaces: list[str], besides: set[tuple[str, str]]
) -> Iterator[tuple[Manifest, Iterable[str]]]:
    """Yield every object with a note of whose it is, and the profiles it is for.

    Args:
        offers: of all applications.
        namespaces: the profiles. An object that names another namespace goes nowhere.
        besides: kind and name of objects that are left as they are.
    """
    known = dict.fromkeys(namespaces)  # in their order
    for offer in offers:
        for manifest in offer.manifests:
            if _what(manifest) in besides:
                continue
            metadata = dict(manifest["metadata"])
            own = metadata.pop("namespace", None)
            metadata["annotations"] = {**(metadata.get("annotations") or {}), OFFERED_BY: offer.application}
            placed = {**manifest, "metadata": metadata}
            yield placed, known if own is None else known.keys() & {own}


def stays(item: Manifest, unclear: set[str], besides: set[tuple[str, str]]) -> bool:
    """Whether an object stays that nobody is known to offer any more.

    Args:
        item: the object as it is.
        unclear: applications of which it is not known what they want.
        besides: kind and name of objects that are left as they are.
    """
    annotations = item["metadata"].get("annotations") or {}
    return annotations.get(OFFERED_BY) in unclear or _what(item) in besides


def named(item: Manifest, problem: Problem) -> Problem:
    """Return the problem with an object, with the name of the application that offers it."""
    application = (item["metadata"].get("annotations") or {}).get(OFFERED_BY, "")
    text = f"{application}: {problem.status.message}" if application else problem.status.message
    return Problem(type(problem.status)(shortened(text)))


def _what(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]
