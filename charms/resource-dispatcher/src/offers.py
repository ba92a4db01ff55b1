"""What of all that is offered goes where: objects for each profile, and what is wrong with the offers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator

from kubeflow_charm import Manifest, Problem, blocked
from kubeflow_charm.problems import shortened
from kubeflow_charm.relations.kubernetes_manifest import Offer

OFFERED_BY = "resource-dispatcher/offered-by"
"""Annotation with the application whose object it is."""

Place = tuple[str, str, str]
"""Kind, namespace and name of an object; an empty namespace stands for every profile."""


def conflicts(offers: Iterable[Offer], profiles: Collection[str]) -> tuple[set[Place], list[Problem]]:
    """Return the objects that several applications offer for one profile, and the problems of that.

    An object without a namespace is for all profiles, so it is in the way of every other of its name.

    Args:
        offers: of all applications.
        profiles: the profiles; what is offered for another namespace goes nowhere.
    """
    claimed: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for offer in offers:
        for manifest in offer.manifests:
            kind, namespace, name = _place(manifest)
            if not namespace or namespace in profiles:
                claimed[kind, name][namespace].add(offer.application)
    contested: set[Place] = set()
    problems: dict[str, Problem] = {}
    for (kind, name), places in sorted(claimed.items()):
        for namespace, applications in places.items():
            names = " and ".join(sorted(applications | places.get("", set())))
            if " and " in names:
                contested.add((kind, namespace, name))
                what = f"{kind} {name} is offered by {names}"
                problems.setdefault(what, blocked(what, "remove one of the relations"))
    return contested, list(problems.values())


def count(offers: Iterable[Offer]) -> int:
    """Return how many objects a profile gets: those of one name for several profiles are one."""
    places = (_place(manifest) for offer in offers for manifest in offer.manifests)
    return len({(kind, name) for kind, _, name in places})


def spread(
    offers: Iterable[Offer], profiles: Collection[str], contested: set[Place]
) -> Iterator[tuple[Manifest, Iterable[str]]]:
    """Yield every object with a note of whose it is, and the profiles it is for.

    Args:
        offers: of all applications.
        profiles: the profiles. An object that names another namespace goes nowhere.
        contested: objects that are left as they are.
    """
    left_alone: dict[tuple[str, str], set[str]] = defaultdict(set)
    for kind, namespace, name in contested:
        left_alone[kind, name].add(namespace)
    for offer in offers:
        for manifest in offer.manifests:
            kind, own, name = _place(manifest)
            besides = left_alone.get((kind, name), set())
            if "" in besides:
                continue
            metadata = {key: value for key, value in manifest["metadata"].items() if key != "namespace"}
            metadata["annotations"] = {**(metadata.get("annotations") or {}), OFFERED_BY: offer.application}
            places = ([own] if own in profiles else []) if own else profiles
            yield {**manifest, "metadata": metadata}, [place for place in places if place not in besides]


def stays(item: Manifest, unclear: set[str], contested: set[Place]) -> bool:
    """Whether an object stays that nobody is known to offer any more.

    Args:
        item: the object as it is.
        unclear: applications of which it is not known what they want.
        contested: objects that are left as they are.
    """
    annotations = item["metadata"].get("annotations") or {}
    kind, namespace, name = _place(item)
    return annotations.get(OFFERED_BY) in unclear or bool(
        {(kind, namespace, name), (kind, "", name)} & contested
    )


def is_users_doing(item: Manifest, problem: Problem, is_ours: Callable[[Manifest], bool]) -> bool:
    """Whether a user keeps an object from a profile: by one of that name, or by a quota that is used up.

    The operator need not and often cannot do anything about that, and no user should be able to block an
    application of the platform.

    Args:
        item: the object that could not be written or deleted; or the one of somebody else in its place.
        problem: why.
        is_ours: tells whether an object that exists is one of ours.
    """
    if "uid" in item["metadata"]:  # it exists
        return not is_ours(item)
    return "exceeded quota" in str(problem.__cause__)


def named(item: Manifest, problem: Problem) -> Problem:
    """Return the problem with an object, with the name of the application that offers it."""
    application = (item["metadata"].get("annotations") or {}).get(OFFERED_BY, "")
    text = f"{application}: {problem.status.message}" if application else problem.status.message
    return Problem(type(problem.status)(shortened(text)))


def _place(manifest: Manifest) -> Place:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace") or "", metadata["name"]
