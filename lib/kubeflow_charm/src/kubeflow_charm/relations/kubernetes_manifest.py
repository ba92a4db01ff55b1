"""`kubernetes_manifest`: objects that the resource dispatcher puts into every profile's namespace.

The requirer writes `kubernetes_manifests`, a JSON list of documents; or, with `is_secret` as `true`, the URI
of a Juju secret whose `manifests` is that list (canonical/resource-dispatcher,
lib/charms/resource_dispatcher/v0/kubernetes_manifests.py, LIBPATCH 1 and 2). A document without a namespace
goes to all profiles, one with a namespace to that profile only. An older dispatcher knows no secrets, so what
we write is plain, unless it is secret itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import ops
import pydantic

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.problems import Problem, blocked
from kubeflow_charm.relations import secrets
from kubeflow_charm.relations.endpoint import Endpoint
from kubeflow_charm.relations.kubernetes_names import DnsName, Namespace

LIMIT = 4 * 1024 * 1024
"""Characters that one application may write."""
LARGEST = 1024 * 1024
"""Characters of one document; Kubernetes takes no larger object."""
COUNT = 5000
"""Documents that one application may write."""
DEPTH = 100
"""Levels of one document; a CustomResourceDefinition, the deepest that Kubernetes has, needs some thirty."""
_COMPACT = (",", ":")


class _Metadata(pydantic.BaseModel):
    """What an application may say about an object: the rest is Kubernetes', or the dispatcher's."""

    model_config = pydantic.ConfigDict(extra="forbid")

    name: DnsName
    namespace: Namespace | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: Annotated[None, pydantic.Field(alias="creationTimestamp")] = None


class _Open(pydantic.BaseModel):
    """A mapping of which only what this charm looks at is checked; the API server knows the rest."""

    model_config = pydantic.ConfigDict(extra="allow")


class _PodMetadata(_Open):
    labels: dict[str, str] = {}


class _Template(_Open):
    metadata: _PodMetadata = _PodMetadata()


class _Spec(_Open):
    template: _Template = _Template()


class _Document(_Open):
    """What every object has."""

    api_version: Annotated[str, pydantic.Field(alias="apiVersion", min_length=1)]
    kind: Annotated[str, pydantic.Field(min_length=1)]
    metadata: _Metadata
    spec: _Spec = _Spec()


@dataclasses.dataclass(frozen=True)
class Offer:
    """What one application offers.

    Args:
        application: its name.
        manifests: the objects that make sense, in its order.
        problems: what is wrong with the others; then it is not known what else the application wants.
    """

    application: str
    manifests: tuple[Manifest, ...] = ()
    problems: tuple[Problem, ...] = ()


class Requires(Endpoint):
    """The side that has objects for profiles, which writes."""

    def send(self, manifests: list[Manifest]) -> None:
        """Offer these objects, and no others, to every related dispatcher."""
        text = json.dumps(manifests, separators=_COMPACT)
        for relation in self.relations:
            self.write(relation, {"kubernetes_manifests": text})


class SecretRequires(Requires):
    """The side that has objects which nobody should read on the relation: they travel in a Juju secret.

    Juju takes secrets of a million bytes, encoded as Base64; before 3.6.9, of 64 KiB, and values of 8 KiB
    (juju/juju, core/secrets/createsecret.go).

    Args:
        charm: the charm that declares the endpoint.
        name: the endpoint's name.
        smaller: the command by which the operator has less travel.
    """

    def __init__(self, charm: ops.CharmBase, name: str, *, smaller: str):
        super().__init__(charm, name)
        self._smaller = smaller

    def send(self, manifests: list[Manifest]) -> None:
        """Offer these objects, and no others, to every related dispatcher.

        A relation on which nothing was offered yet gets no secret for nothing.

        Raises:
            Problem: that Juju takes no secret so large; then the dispatcher goes on with what it has.
        """
        content = {"manifests": json.dumps(manifests, separators=_COMPACT)}
        for relation in self.relations:
            if not manifests and "kubernetes_manifests" not in relation.data[self.charm.app]:
                continue
            with self._fitting():
                secret = self._write_secret(relation, content)
            self.write(relation, {"kubernetes_manifests": secret, "is_secret": "true"})

    def disconnect(self, relation: ops.Relation) -> None:
        """Remove the secret of a relation that breaks, with all its revisions.

        Juju keeps an application's secrets as long as the application, whatever becomes of the relation that
        they were made for. Does nothing for a relation of another endpoint.
        """
        if relation.name == self.name and self.charm.unit.is_leader():
            with contextlib.suppress(ops.SecretNotFoundError):
                self.charm.model.get_secret(label=self._label(relation)).remove_all_revisions()

    def _label(self, relation: ops.Relation) -> str:
        """Return the label of a relation's secret, as the charm library has it."""
        return f"manifest.{self.name}.{relation.id}"

    def _write_secret(self, relation: ops.Relation, content: dict[str, str]) -> str:
        """Make the relation's secret hold `content`, and return its URI."""
        try:
            secret = self.charm.model.get_secret(label=self._label(relation))
        except ops.SecretNotFoundError:
            secret = self.charm.app.add_secret(content, label=self._label(relation))
        else:
            if secret.get_content(refresh=True) != content:
                secret.set_content(content)
        secret.grant(relation)
        return secret.id or secret.get_info().id

    @contextlib.contextmanager
    def _fitting(self) -> Iterator[None]:
        """Turn Juju's refusal of a secret for its size into a `Problem`."""
        try:
            yield
        except ops.ModelError as error:
            if "too large" not in str(error):
                raise
            raise blocked(
                f"what goes to {self.name} is too large for a Juju secret", self._smaller
            ) from error


class Provides(Endpoint):
    """The dispatcher's side, which reads.

    Args:
        charm: the charm that declares the endpoint.
        name: the endpoint's name.
        api_version: of the objects that it takes, such as `v1`.
        kind: of those objects, such as `Secret`.
    """

    def __init__(self, charm: ops.CharmBase, name: str, api_version: str, kind: str):
        super().__init__(charm, name)
        self._api_version, self._kind = api_version, kind

    def get(self) -> list[Offer]:
        """Return what every related application offers; garbage is in its own offer's problems."""
        return [self._read(relation) for relation in self.relations]

    def _read(self, relation: ops.Relation) -> Offer:
        name = relation.app.name
        try:
            documents = self._documents(relation)
        except Problem as problem:
            return Offer(name, problems=(problem,))
        good: list[Manifest] = []
        problems: list[Problem] = []
        for number, document in enumerate(documents):
            try:
                good.append(self._checked(relation, number, document))
            except Problem as problem:
                problems.append(problem)
        return Offer(name, tuple(good), tuple(problems))

    def _documents(self, relation: ops.Relation) -> list[Any]:
        """Return the list that an application wrote, whatever is in it."""
        data = self.received(relation)
        text = data.get("kubernetes_manifests")
        if text is None:
            return []
        if data.get("is_secret", "").lower() == "true":
            content = secrets.content(self, relation, "kubernetes_manifests")
            if "manifests" not in content:
                raise self.garbage(relation, "kubernetes_manifests: the secret has no manifests")
            text = content["manifests"]
        if len(text) > LIMIT:
            raise self.garbage(relation, f"kubernetes_manifests: longer than {LIMIT} characters")
        try:
            documents = json.loads(text, object_pairs_hook=_without_repeats)
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, _RepeatedKeyError) else "not JSON"
            raise self.garbage(relation, f"kubernetes_manifests: {reason}") from None
        if not isinstance(documents, list):
            raise self.garbage(relation, "kubernetes_manifests: no list")
        if len(documents) > COUNT:
            raise self.garbage(relation, f"kubernetes_manifests: more than {COUNT} documents")
        return documents

    def _checked(self, relation: ops.Relation, number: int, document: Any) -> Manifest:
        """Return a document that the endpoint takes; raises `garbage` with its number otherwise."""
        where = f"kubernetes_manifests.{number}"
        if not isinstance(document, Mapping):
            raise self.garbage(relation, f"{where}: no object")
        if shortcoming := _shortcoming(document):
            raise self.garbage(relation, f"{where}: {shortcoming}")
        version, kind = str(document.get("apiVersion")), str(document.get("kind"))
        if (version, kind) != (self._api_version, self._kind):
            wanted = f"{self._kind} of {self._api_version}"
            raise self.garbage(relation, f"{where}: {kind} of {version} is no {wanted}")
        try:
            _Document.model_validate(document)
        except pydantic.ValidationError as error:
            detail = error.errors(include_url=False, include_input=False)[0]
            place = ".".join([where, *map(str, detail["loc"])])
            raise self.garbage(relation, f"{place}: {detail['msg'].removeprefix('Value error, ')}") from None
        metadata = {key: value for key, value in document["metadata"].items() if value is not None}
        return {**document, "metadata": metadata}


def _shortcoming(document: Mapping[str, Any]) -> str:
    """Return why no API server could be sent a document, or nothing."""
    if _is_deep(document):
        return f"nested more than {DEPTH} deep"
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "text that is no Unicode"
    except ValueError:
        return "a number that is none, or too large"
    return f"longer than {LARGEST} characters" if len(text) > LARGEST else ""


def _is_deep(document: Any) -> bool:
    """Whether a document is nested more than `DEPTH` deep. It might be too deep for a recursion."""
    level = [document]
    for _ in range(DEPTH):
        values = (each.values() if isinstance(each, dict) else each for each in level)
        level = [item for each in values for item in each if isinstance(item, dict | list)]
    return bool(level)


class _RepeatedKeyError(ValueError):
    """A key is there twice; readers differ in which one they see."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(f"{next(key for key in keys if keys.count(key) > 1)} is there twice")
    return found
