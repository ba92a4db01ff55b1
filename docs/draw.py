"""Draw the pictures of `docs/explanation/architecture.md` from the bundle, its overlays and `models/`.

    python docs/draw.py            write them into the page
    python docs/draw.py --check    only say whether the page is as it would be written

A picture is a Mermaid block whose first line is `%% NAME: ...`. All that is drawn is read from the files;
only the system of an application is said here.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rehearsal.juju.model import charms
from rehearsal.juju.model.errors import JujuError

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"

SYSTEMS: dict[str, tuple[str, ...]] = {
    "Dashboard and web apps": (
        "kubeflow-dashboard",
        "istio-ingressgateway",
        "istio-pilot",
        "dex-auth",
        "oidc-gatekeeper",
    ),
    "Profiles": ("kubeflow-profiles", "resource-dispatcher"),
    "Pipelines": ("kubeflow-pipelines", "kfp-db", "minio"),
    "AutoML": ("katib", "kubeflow-training"),
    "Notebooks": ("kubeflow-notebooks",),
    "KServe": ("kserve",),
    "Serverless": ("knative-operator", "knative-serving", "knative-eventing"),
}
"""System to those of its applications that `bundle.yaml` has."""
OVERLAYS = {"MLflow": "mlflow", "Feast": "feast", "COS": "cos"}
"""System to the overlay that adds its applications."""
EVERYWHERE = "COS"
"""The system that is related to all others: only its own picture shows that."""
FOLLOWING_NODES = "gpu-discovery"
"""The option of a charm that follows the GPUs of the cluster's nodes."""

LOOKS = """\
  classDef ours fill:#d6e6fa,stroke:#2f5d9b,color:#10243f
  classDef charmhub fill:#eeeeee,stroke:#808080,color:#202020,stroke-dasharray:4 3
  classDef elsewhere fill:#fdf1d8,stroke:#b08020,color:#40300a
"""
_BLOCK = re.compile(r"```mermaid\n%% (?P<name>[^:\n]+):.*?```\n", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class End:
    """One end of a relation; the endpoint is empty if the bundle leaves it to Juju."""

    application: str
    endpoint: str

    @classmethod
    def of(cls, text: str) -> End:
        """Return the end that a bundle writes so."""
        application, _, endpoint = text.partition(":")
        return cls(application, endpoint)

    def __str__(self) -> str:
        return f"{self.application}:{self.endpoint}".removesuffix(":")


@dataclasses.dataclass(frozen=True)
class Relation:
    """A relation, from the end that requires to the end that provides."""

    requirer: End
    provider: End
    overlay: str
    """The overlay that has it; empty if the bundle has it."""

    @property
    def label(self) -> str:
        """What a line says."""
        names = dict.fromkeys(filter(None, (self.requirer.endpoint, self.provider.endpoint)))
        return " → ".join(names)

    @property
    def applications(self) -> tuple[str, str]:
        """Both ends' applications."""
        return self.requirer.application, self.provider.application


@dataclasses.dataclass
class Bundle:
    """The bundle with all overlays.

    Attributes:
        root: the folder of `bundle.yaml`.
        charms: application to its charm as a file names it, with the folder that this is relative to.
        added: application to the overlay that adds it; empty for those of the bundle.
        offers: the name here of an offer of another model to its URL.
        consumed: the same name to the overlay that consumes it.
        relations: in the order of the files.
    """

    root: Path
    charms: dict[str, tuple[str, Path]] = dataclasses.field(default_factory=dict)
    added: dict[str, str] = dataclasses.field(default_factory=dict)
    offers: dict[str, str] = dataclasses.field(default_factory=dict)
    consumed: dict[str, str] = dataclasses.field(default_factory=dict)
    relations: list[Relation] = dataclasses.field(default_factory=list)

    def look(self, application: str) -> str:
        """Return the class of an application in a picture."""
        if application in self.offers:
            return "elsewhere"
        return "ours" if self.charms[application][0].startswith(".") else "charmhub"

    def folder(self, application: str) -> Path | None:
        """Return the folder of one of our charms."""
        reference, base = self.charms[application]
        return (base / reference).resolve().parent if reference.startswith(".") else None

    def role(self, end: End) -> str:
        """Return whether an end `requires` or `provides`; empty if that is not known here."""
        try:
            return _charm(*self.charms[end.application]).endpoints[end.endpoint].role
        except (KeyError, JujuError):
            return ""

    @property
    def systems(self) -> dict[str, list[str]]:
        """Systems to all of their applications; those whose overlay is not there are left out."""
        own = {name: list(applications) for name, applications in SYSTEMS.items()}
        for name, overlay in OVERLAYS.items():
            if found := [application for application, by in self.added.items() if by == overlay]:
                own[name] = found
        return own

    def _said(self, application: str) -> dict[str, Any]:
        """Return what one of our charms says of itself; nothing for others."""
        folder = self.folder(application)
        return _read(folder / "charmcraft.yaml")[0] if folder else {}

    def following_nodes(self) -> list[str]:
        """Return the applications that follow the GPUs of nodes."""
        return [
            name
            for name in self.charms
            if FOLLOWING_NODES in self._said(name).get("config", {}).get("options", {})
        ]

    def relations_of(self, system: str) -> list[Relation]:
        """Return the relations that a system's picture shows."""
        if system == "GPUs":
            return [each for each in self.relations if self._is_about_gpus(each.requirer)]
        own = set(self.systems[system])
        return [
            each
            for each in self.relations
            if own & set(each.applications) and (system == EVERYWHERE or not self.is_everywhere(each))
        ]

    def is_everywhere(self, relation: Relation) -> bool:
        """Return whether a relation is one of those that every system has."""
        inside = [each for each in relation.applications if each in self.systems.get(EVERYWHERE, ())]
        return len(inside) == 1 and not set(relation.applications) & self.offers.keys()

    def _is_about_gpus(self, end: End) -> bool:
        if end.application not in self.following_nodes():
            return False
        endpoint = self._said(end.application).get("requires", {}).get(end.endpoint, {})
        return "GPU" in endpoint.get("description", "")


@functools.cache
def _read(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@functools.cache
def _charm(reference: str, base: Path) -> charms.Charm:
    return charms.find(reference, base)[0]


def bundle(root: Path = ROOT) -> Bundle:
    """Read the bundle and all overlays."""
    found = Bundle(root)
    pairs: list[tuple[End, End, str]] = []
    for path in (root / "bundle.yaml", *sorted(root.glob("overlays/*.yaml"))):
        overlay = path.stem if path.parent.name == "overlays" else ""
        for document in _read(path):
            for name, said in (document.get("applications") or {}).items():
                if "charm" in (said or {}) and name not in found.charms:
                    found.charms[name], found.added[name] = (said["charm"], path.parent), overlay
            for name, said in (document.get("saas") or {}).items():
                found.offers[name], found.consumed[name] = said["url"], overlay
            pairs += [(End.of(a), End.of(b), overlay) for a, b in document.get("relations") or []]
    for one, other, overlay in pairs:
        turned = found.role(one) == "provides" or found.role(other) == "requires"
        requirer, provider = (other, one) if turned else (one, other)
        found.relations.append(Relation(requirer, provider, overlay))
    return found


def _id(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _node(names: Iterable[str], look: str, indent: str = "  ") -> str:
    names = sorted(names)
    shape = '(["{}"])' if look == "elsewhere" else '["{}"]'
    return f"{indent}{_id(names[0])}{shape.format('<br/>'.join(names))}:::{look}"


def _group(identifier: str, title: str, nodes: Iterable[str], way: str = "LR") -> Iterator[str]:
    """Draw nodes in a frame; `way` can be said only where no line leads to one of them."""
    yield f'  subgraph {identifier}["{title}"]'
    if way:
        yield f"    direction {way}"
    yield from nodes
    yield "  end"
    yield f"  style {identifier} fill:none,stroke:#808080"


def _lines(
    relations: Iterable[Relation], nodes: Mapping[str, str], said: Callable[[Relation], str]
) -> Iterator[str]:
    """Yield a line for each pair of nodes, with all that is said between them; dotted if overlays say it all.

    Args:
        relations: what the lines stand for.
        nodes: application to the node that it is in, where that is not called like it.
        said: returns what a line says of a relation.
    """
    between: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for each in relations:
        source, target = (nodes.get(name, name) for name in each.applications)
        if source != target:
            known = between[source, target]
            known[said(each)] = known.get(said(each), True) and bool(each.overlay)
    for (source, target), labels in between.items():
        text = "<br/>".join(sorted(filter(None, labels)))
        line = "-.->" if all(labels.values()) else "-->"
        yield f"  {_id(source)} {line}" + (f'|"{text}"|' if text else "") + f" {_id(target)}"


def system(of: Bundle, name: str) -> Iterator[str]:
    """Draw a system, with all that its applications are related to.

    Applications of other systems that have the same relations to this one share a box.
    """
    own = of.systems[name]
    shown = of.relations_of(name)
    alike: dict[Any, list[str]] = defaultdict(list)
    for other in sorted({each for relation in shown for each in relation.applications} - set(own)):
        ties = frozenset(
            (relation.label, inside, inside == relation.provider.application, relation.overlay)
            for relation in shown
            for inside in relation.applications
            if other in relation.applications and inside != other
        )
        alike[ties, of.look(other)].append(other)
    head = {each: sorted(group)[0] for group in alike.values() for each in group}
    yield from _group("system", name, (_node([each], of.look(each), "    ") for each in own), way="")
    yield from (_node(group, look) for (_, look), group in alike.items())
    yield from _lines(shown, head, lambda each: each.label)


def gpus(of: Bundle) -> Iterator[str]:
    """Draw who follows the nodes, and who is told."""
    shown = of.relations_of("GPUs")
    yield '  nodes(["the cluster\'s nodes"]):::elsewhere'
    for name in of.following_nodes():
        yield _node([name], of.look(name))
        yield f'  nodes -->|"{FOLLOWING_NODES}"| {_id(name)}'
    for name in sorted({each.provider.application for each in shown}):
        yield _node([name], of.look(name))
    yield from _lines(shown, {}, lambda each: each.label)


def whole(of: Bundle) -> Iterator[str]:
    """Draw all systems, and what is between them."""
    home = {name: system for system, names in of.systems.items() for name in names}
    for name, applications in of.systems.items():
        looks = dict.fromkeys(map(of.look, applications))
        boxes = (
            _node([each for each in applications if of.look(each) == look], look, "    ") for look in looks
        )
        yield from _group(_id(name), name, boxes)
    for name in of.offers:
        yield _node([name], "elsewhere")
    shown = [each for each in of.relations if not of.is_everywhere(each)]
    yield from _lines(shown, home, lambda each: each.provider.endpoint or each.requirer.endpoint)


def models(of: Bundle) -> Iterator[str]:
    """Draw which file adds what to which model, and what crosses from one to another."""

    def box(label: str, names: Collection[str]) -> str:
        count = f"{len(names)} application{'s' if len(names) > 1 else ''}" if names else "options only"
        return f'["{label}<br/>{count}"]'

    files = {"": "bundle.yaml"} | {
        path.stem: f"overlays/{path.name}" for path in sorted(of.root.glob("overlays/*.yaml"))
    }
    adds = {overlay: [name for name, by in of.added.items() if by == overlay] for overlay in files}
    nodes = [f"    {_id(label)}{box(label, adds[overlay])}" for overlay, label in files.items()]
    yield from _group("kubeflow", "model kubeflow", nodes, way="")
    for path in sorted(of.root.glob("models/*.yaml")):
        names = [name for document in _read(path) for name in document.get("applications") or {}]
        node = f"    models_{_id(path.stem)}{box(f'models/{path.name}', set(names))}"
        yield from _group(f"model_{_id(path.stem)}", f"model {path.stem}", [node], way="")
    for overlay, label in files.items():
        if overlay:
            count = sum(each.overlay == overlay for each in of.relations)
            said = f"{count} relations" if count else "changes options"
            yield f'  {_id(label)} -->|"{said}"| bundle_yaml'
        for name, by in of.consumed.items():
            if by == overlay:
                target = _id("models_" + of.offers[name].partition("/")[2].partition(".")[0])
                yield f'  {_id(label)} -.->|"{of.offers[name]}"| {target}'


def picture(of: Bundle, name: str) -> str | None:
    """Return a picture as it is in the page; None if there is nothing of this name."""
    match name:
        case "whole":
            lines = whole(of)
        case "GPUs":
            lines = gpus(of)
        case "models":
            lines = models(of)
        case _ if name in of.systems:
            lines = system(of, name)
        case _:
            return None
    head = f"```mermaid\n%% {name}: python docs/draw.py draws it\nflowchart LR\n"
    return head + "\n".join(lines) + f"\n{LOOKS}```\n"


def drawn(page: str, of: Bundle) -> str:
    """Return a page with its pictures as they should be."""
    return _BLOCK.sub(lambda block: picture(of, block["name"]) or block[0], page)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pictures, or check them; return the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    before = PAGE.read_text()
    after = drawn(before, bundle())
    if not check:
        PAGE.write_text(after)
    elif before != after:
        print(f"{PAGE.relative_to(ROOT)} has old pictures: python docs/draw.py")
    return int(check and before != after)


if __name__ == "__main__":
    sys.exit(main())
