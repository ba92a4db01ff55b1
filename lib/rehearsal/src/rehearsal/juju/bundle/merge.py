"""Merge a bundle with its overlays, and record which file said what.

Facts: juju/charm, overlay.go (applyOverlay, mergeStructs, resolveIncludes) and bundledatasrc.go. In a file
with several documents, those after the first are overlays. A null application removes the application and its
relations so far. An overlay's fields replace the application's earlier fields, except options, resources,
annotations and storage: these merge entry by entry, and null clears them. Relations are added. Paths are
relative to the file that names them.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic
import pydantic_core

from rehearsal import yaml_document as document
from rehearsal.juju.bundle import schema
from rehearsal.yaml_document import Document, Finding, Place

_INCLUDES = {
    "include-file://": lambda data: data.decode(),
    "include-base64://": lambda data: base64.b64encode(data).decode(),
}


@dataclass
class Merged:
    """A bundle merged with its overlays.

    Attributes:
        applications: the fields of each, not yet checked against its charm.
        relations: the ends of each, with the document and the place that name them.
        saas: the URL of each offer of another model, with the document that names it.
        findings: errors within the files; the other attributes leave out the wrong parts.
        unsound: applications whose charm, resources or trust were left out, in whole or in part.
        whole: False if a file could not be read, so the rest cannot be checked.
    """

    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    relations: list[tuple[list[str], Document, Place]] = field(default_factory=list)
    saas: dict[str, tuple[str, Document]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unsound: set[str] = field(default_factory=set)
    whole: bool = True
    _origins: dict[Place, Document] = field(default_factory=dict)

    def origin(self, application: str, *place: str) -> Document:
        """Return the document that set an application's field."""
        path: Place = (application, *place)
        while path not in self._origins:
            path = path[:-1]
        return self._origins[path]

    def finding(self, application: str, *place: str | int, message: str, warning: bool = False) -> Finding:
        """Return a finding about an application, in the file that set the field."""
        said = self.origin(application, *map(str, place))
        return said.finding(("applications", application, *place), message, warning=warning)

    def add(self, said: Document, *, overlay: bool) -> None:
        """Merge in a document: the bundle itself, or an overlay on what was merged before."""
        self.findings += said.findings
        value = self._sound(said, schema.OverlayFile if overlay else schema.BundleFile)
        if not isinstance(value, dict) or (not overlay and not value.get("applications")):
            self.whole = False
            return
        for name, change in (value.get("applications") or {}).items():
            if change is None:
                self._take_out(name)
            else:
                self._overlay_only(name, change, said, overlay=overlay)
                self._change(name, change, said)
        for name, consumed in (value.get("saas") or {}).items():
            if consumed is None:
                self.saas.pop(name, None)
                self._drop_relations(name)
            else:
                self.saas[name] = consumed["url"], said
        for number, ends in enumerate(value.get("relations") or []):
            if ends is not None:
                self.relations.append((ends, said, ("relations", number)))

    def _sound(self, said: Document, model: type[pydantic.BaseModel]) -> Any:
        """Return a document's content without its misshapen parts; add a finding for each."""
        if not isinstance(said.value, dict):
            if not said.findings:
                expected = 'expected a mapping with "applications" and "relations"'
                self.findings.append(said.finding((), expected))
            return None
        value = copy.deepcopy(said.value)
        for place, message, warning in _misshapen(said, model):
            self.findings.append(said.finding(place, message, warning=warning))
            _leave_out(value, place)
            if warning:
                continue
            match place:
                case ("saas", *_):
                    pass
                case ("applications", name):
                    self.unsound.add(str(name))
                    value["applications"][name] = {}
                case ("applications", name, "charm" | "resources" | "trust", *_):
                    self.unsound.add(str(name))
        return value

    def _take_out(self, name: str) -> None:
        self.applications.pop(name, None)
        self._origins = {place: said for place, said in self._origins.items() if place[0] != name}
        self._drop_relations(name)

    def _drop_relations(self, name: str) -> None:
        self.relations = [
            each for each in self.relations if name not in (end.partition(":")[0] for end in each[0])
        ]

    def _overlay_only(self, name: str, change: dict[str, Any], said: Document, *, overlay: bool) -> None:
        for key in schema.OVERLAY_ONLY:
            if key in change and not overlay:
                path = f"applications.{name}.{key}"
                message = f"{path} can only appear in an overlay section"
                self.findings.append(said.finding(("applications", name, key), message))

    def _change(self, name: str, change: dict[str, Any], said: Document) -> None:
        known = self.applications.setdefault(name, {})
        self._origins.setdefault((name,), said)
        if "num_units" in change:  # bundledata.go, normalizeData
            if change.get("scale"):
                message = f'cannot specify both scale and num_units for application "{name}"'
                self.findings.append(said.finding(("applications", name, "num_units"), message))
            change = {**change, "scale": change["num_units"]}
            del change["num_units"]
        for key, value in change.items():
            self._origins[name, key] = said
            if key not in schema.MAPPINGS:
                known[key] = value
            elif not value:
                known[key] = {}
            else:
                known[key] = known.get(key) or {}
                for entry, content in value.items():
                    self._origins[name, key, entry] = said
                    if key in ("options", "annotations"):
                        content = self._included(content, said, ("applications", name, key, entry))
                    if content is None:
                        known[key].pop(entry, None)
                    else:
                        known[key][entry] = content

    def _included(self, value: Any, said: Document, place: Place) -> Any:
        """Return a value, or the content of the file that an include in its place names."""
        for directive, encode in _INCLUDES.items():
            if isinstance(value, str) and value.startswith(directive):
                path = value.removeprefix(directive)
                try:
                    return encode((said.path.parent / path).read_bytes())
                except OSError as error:
                    why = f'resolving include "{path}": {error.strerror}'
                except UnicodeDecodeError:
                    why = f'resolving include "{path}": expected UTF-8; include-base64:// takes any file'
                self.findings.append(said.finding(place, why))
        return value


def files(paths: list[Path], *, overlays_only: bool = False) -> Merged:
    """Return the bundle of the first file with the others merged in as overlays.

    Args:
        paths: the bundle and the overlays, in order.
        overlays_only: whether the first file is an overlay, too, on applications that are in no file.
    """
    merged = Merged()
    parts = [said for path in paths for said in document.load_all(path)]
    for number, said in enumerate(parts):
        merged.add(said, overlay=overlays_only or number > 0)
    return merged


def _misshapen(said: Document, model: type[pydantic.BaseModel]) -> Iterator[tuple[Place, str, bool]]:
    """Yield the place of each misshapen value, what was expected, and whether Juju takes it."""
    try:
        model.model_validate(said.value)
    except pydantic.ValidationError as error:
        # pydantic refuses a value once for each type of a union.
        seen: set[Place] = set()
        for detail in error.errors(include_url=False):
            place = _place(said, detail)
            if place not in seen:
                key = str(place[-1]) if place else ""
                ignored = detail["type"] == "extra_forbidden" and key not in schema.REFUSED
                yield place, _expected(detail, place), ignored
            seen.add(place)
    kind = said.value.get("bundle", "kubernetes")
    if isinstance(kind, str) and kind != "kubernetes":
        yield ("bundle",), f'bundle has an invalid type "{kind}": expected "kubernetes"', False


def _leave_out(value: Any, place: Place) -> None:
    """Delete the value at a place; a wrong relation becomes None, so that the others keep their numbers.

    An offer goes as a whole.
    """
    match place:
        case ("relations" | "saas", _, *_):
            *above, last = place[:2]
        case ("applications", _, "offers", _, *_):
            *above, last = place[:4]
        case _:
            *above, last = place
    for key in above:
        value = value[key]
    if isinstance(value, list):
        value[int(last)] = None
    else:
        value.pop(last, None)


def _place(said: Document, detail: pydantic_core.ErrorDetails) -> Place:
    """Return where an error is, without the union types that pydantic adds to the place."""
    place = detail["loc"]
    while detail["type"] != "missing" and place not in said.places:
        place = place[:-1]
    return place


def _expected(detail: pydantic_core.ErrorDetails, place: Place) -> str:
    key = place[-1] if place else ""
    if detail["type"] == "extra_forbidden":
        if why := schema.REFUSED.get(str(key)):
            return f'key "{key}" cannot be used: {why}'
        return f'key "{key}" has no effect: {schema.IGNORED.get(str(key), "Juju does not know it")}'
    if detail["type"] == "missing":
        if place == ("applications",):
            return "at least one application must be specified"
        return f'key "{key}" is missing'
    match place:
        case ("relations", *_):
            return "expected two ends, application[:endpoint] each"
        case ("applications", _):
            return f'bundle application for key "{key}" is undefined: expected a mapping'
        case ("applications", _, "options", _):
            expected = "text, a number, true or false"
        case _:
            expected = detail["msg"].removeprefix("Input should be ")
    return f'"{key}": expected {expected}'
