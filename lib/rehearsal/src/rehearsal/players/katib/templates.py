"""The job that a trial runs: the experiment's template with the trial's parameters put in.

kubeflow/katib v0.19.0, pkg/controller.v1beta1/experiment/manifest/generator.go and consts/const.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

import yaml

from rehearsal.players import kinds
from rehearsal.players.kinds import Key, Object

Look = Callable[[Key], Object | None]
"""Returns a ConfigMap."""

PLACE = "${trialParameters.%s}"
_META = re.compile(r"\$\{trialSpec\.(.+?)\}")
_INDEXED = re.compile(r"(.+)\[(.+)]")
_FIELDS = ("Name", "Namespace", "Kind", "APIVersion", "Annotations", "Labels")


class Untenable(Exception):
    """A template cannot be made a job, in Katib's words."""


def text(experiment: Object, look: Look) -> str:
    """Return the template as text.

    Raises:
        Untenable: if it is in a ConfigMap that is not there, or not in it.
    """
    source = experiment["spec"]["trialTemplate"]
    if source.get("trialSpec") is not None:
        return json.dumps(source["trialSpec"], ensure_ascii=False, separators=(",", ":"))
    place = source["configMap"]
    found = look((place.get("configMapNamespace", ""), place.get("configMapName", "")))
    if found is None:
        raise Untenable(f'couldn\'t find ConfigMap "{place.get("configMapName")}"')
    data = found.get("data") or {}
    if place.get("templatePath") not in data:
        raise Untenable(f"couldn't find trial template: TemplatePath: {place.get('templatePath')}")
    return data[place["templatePath"]]


def parse(said: str) -> Object:
    """Return the object that a template describes; raises `Untenable`."""
    try:
        found = json.loads(said) if said.lstrip().startswith("{") else yaml.safe_load(said)
    except (ValueError, yaml.YAMLError) as error:
        raise Untenable(f"failed to convert string to unstructured: {error}") from None
    if not isinstance(found, dict):
        raise Untenable("failed to convert string to unstructured: no object")
    if not found.get("kind"):
        raise Untenable(f"failed to convert string to unstructured: Object 'Kind' is missing in '{said}'")
    return found


def run(experiment: Object, name: str, assignments: list[Object], look: Look) -> Object:
    """Return the job of a trial; raises `Untenable`."""
    said = text(experiment, look)
    for placed, value in _values(experiment, said, name, assignments).items():
        said = said.replace(PLACE % placed, value)
    job = parse(said)
    namespace, _ = kinds.key(experiment)
    job.setdefault("metadata", {}).update({"name": name, "namespace": namespace})
    return job


def is_meta(reference: str) -> bool:
    """Tell whether a parameter takes its value from the job itself."""
    match = _META.search(reference)
    if match is None:
        return False
    indexed = _INDEXED.fullmatch(match[1])
    return match[1] in _FIELDS or (indexed is not None and indexed[1] in _FIELDS)


def _values(experiment: Object, said: str, name: str, assignments: list[Object]) -> Mapping[str, str]:
    """Return the values by the names that the template has for them."""
    assigned = {each["name"]: each["value"] for each in assignments}
    found: dict[str, str] = {}
    used = 0
    for parameter in experiment["spec"]["trialTemplate"].get("trialParameters") or ():
        reference = parameter["reference"]
        if match := _META.search(reference):
            found[parameter["name"]] = _meta(match[1], reference, parse(said), experiment, name)
        elif reference in assigned:
            found[parameter["name"]] = assigned[reference]
            used += 1
        else:
            raise Untenable(
                f"unable to find parameter in parameter assignment: parameter: {reference}, "
                f"parameter assignment: {assigned}"
            )
    if used != len(assignments):
        raise Untenable(
            f"unable to find parameter in trial parameters: parameter assignments: {assigned}, "
            f"non-meta trial parameter count: {used}"
        )
    return found


def _meta(field: str, reference: str, job: Object, experiment: Object, name: str) -> str:
    indexed = _INDEXED.fullmatch(field)
    field, index = (indexed[1], indexed[2]) if indexed else (field, "")
    simple = {
        "Name": name,
        "Namespace": experiment["metadata"]["namespace"],
        "Kind": job.get("kind", ""),
        "APIVersion": job.get("apiVersion", ""),
    }
    if field in simple:
        return simple[field]
    if field in ("Annotations", "Labels"):
        values = (job.get("metadata") or {}).get(field.lower()) or {}
        if index in values:
            return values[index]
        raise Untenable(
            f"illegal reference of trial metadata: {reference}; failed to fetch {field[:-1]}: {index}"
        )
    raise Untenable(f"illegal reference of trial metadata: {reference}")
