"""Distribute the offers of applications: objects for each profile, and conflicts between offers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator

from kubeflow_charm import Manifest, Problem, blocked
from kubeflow_charm.problems import shortened
from kubeflow_charm.relations.kubernetes_manifest import Offer

OFFERED_BY = "resource-dispatcher/offered-by"
"""Annotation with the application that offers the object."""

Place = tuple[str, str, str]
"""Kind, namespace and name of an object; an empty namespace stands for every profile."""


def conflicts(offers: Iterable[Offer], profiles: Collection[str]) -> tuple[set[Place], list[Problem]]:
    """Return the objects that several applications offer for one profile, and their problems.

    An object without a namespace is for all profiles, so it conflicts with every other object of its name.

    Args:
        offers: the offers of all applications.
        profiles: the profiles; an object for another namespace goes nowhere.
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
    """Return the number of different objects; objects of one name for several profiles count once."""
    places = (_place(manifest) for offer in offers for manifest in offer.manifests)
    return len({(kind, name) for kind, _, name in places})


def spread(
    offers: Iterable[Offer], profiles: Collection[str], contested: set[Place]
) -> Iterator[tuple[Manifest, Iterable[str]]]:
    """Yield every object, annotated with its application, and the profiles to put it into.

    Args:
        offers: the offers of all applications.
        profiles: the profiles; an object for another namespace goes nowhere.
        contested: objects that stay unchanged, because several applications offer them.
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
    """Whether an object stays although no readable offer has it.

    Args:
        item: the existing object.
        unclear: applications whose offers have problems, so that we do not know all that they want.
        contested: objects that stay unchanged, because several applications offer them.
    """
    annotations = item["metadata"].get("annotations") or {}
    kind, namespace, name = _place(item)
    return annotations.get(OFFERED_BY) in unclear or bool(
        {(kind, namespace, name), (kind, "", name)} & contested
    )


def is_users_doing(item: Manifest, problem: Problem, is_ours: Callable[[Manifest], bool]) -> bool:
    """Whether a user keeps an object out of a profile, by an object of that name or by a full quota.

    The operator often cannot do anything about that, and no user should be able to block an application of
    the platform.

    Args:
        item: the object that could not be written or deleted, or somebody else's object in its place.
        problem: the reason.
        is_ours: tells whether we own an existing object.
    """
    if "uid" in item["metadata"]:  # it exists
        return not is_ours(item)
    return "exceeded quota" in str(problem.__cause__)


def named(item: Manifest, problem: Problem) -> Problem:
    """Return an object's problem with the name of the application that offers the object."""
    application = (item["metadata"].get("annotations") or {}).get(OFFERED_BY, "")
    text = f"{application}: {problem.status.message}" if application else problem.status.message
    return Problem(type(problem.status)(shortened(text)))


def _place(manifest: Manifest) -> Place:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace") or "", metadata["name"]
