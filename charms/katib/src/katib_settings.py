"""Katib's configuration and trial templates, from upstream's, the charm's images and the options."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import katib_defaults
import trial_kinds
import trial_templates
import yaml
from katib_options import KatibOptions

from kubeflow_charm import Manifest
from kubeflow_charm.images import redirected


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the options say, with the images as pods take them.

    Args:
        options: the options.
        resources: resource to image, as pods take it.
    """

    options: KatibOptions
    resources: Mapping[str, str]

    @property
    def document(self) -> Manifest:
        """The whole configuration."""
        return {
            "apiVersion": "config.kubeflow.org/v1beta1",
            "kind": "KatibConfig",
            "init": {"controller": self.controller},
            "runtime": self.runtime,
        }

    @property
    def controller(self) -> dict[str, Any]:
        """What the controller reads when it starts."""
        given = self.options.katib_config.init.controller.given()
        kinds = trial_kinds.every(self.options.trial_resources)
        return {"webhookPort": 8443} | given | {"trialResources": [kind.name for kind in kinds]}

    @property
    def runtime(self) -> dict[str, Any]:
        """What the controller reads when it needs it."""
        given = self.options.katib_config.runtime
        return {
            "metricsCollectors": self._merged(
                "kind", katib_defaults.COLLECTORS, (each.given() for each in given.metrics_collectors)
            ),
            "suggestions": self._merged(
                "algorithmName", katib_defaults.ALGORITHMS, (each.given() for each in given.suggestions)
            ),
            "earlyStoppings": self._merged(
                "algorithmName",
                katib_defaults.EARLY_STOPPINGS,
                (each.given() for each in given.early_stoppings),
            ),
        }

    @property
    def text(self) -> str:
        """The whole configuration as YAML."""
        return yaml.safe_dump(self.document, sort_keys=False)

    @property
    def templates(self) -> dict[str, str]:
        """Name to trial template."""
        images = {
            name: self._image(default.resource, default.custom)
            for name, default in trial_templates.DEFAULTS.items()
        }
        return trial_templates.every(images, self.options.trial_templates)

    def images(self) -> list[str]:
        """Return the images of suggestions, of what runs beside trials, and of trial templates, each once."""
        found = [entry["image"] for part in self.runtime.values() for entry in part]
        templates = trial_templates.DEFAULTS.values()
        return list(dict.fromkeys([*found, *(self._image(each.resource, each.custom) for each in templates)]))

    def _merged(
        self, key: str, defaults: Mapping[str, katib_defaults.Default], given: Iterable[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return upstream's entries, each changed by the given one of its name, and the others."""
        found = {
            name: {key: name, "image": self._image(default.resource, default.custom)} | default.fields
            for name, default in defaults.items()
        }
        for entry in given:
            changed = {name: value for name, value in entry.items() if value is not None}
            if "image" in changed:
                changed["image"] = redirected(changed["image"], self.options.image_registry)
            name = entry[key]
            found[name] = _over(found.get(name, {}), changed)
        # Without anchors in the YAML: entries share nothing.
        return [json.loads(json.dumps(entry)) for entry in found.values()]

    def _image(self, resource: str, custom: str) -> str:
        option = getattr(self.options.custom_images, custom)
        return redirected(option, self.options.image_registry) if option else self.resources[resource]


def _over(below: Any, above: Any) -> Any:
    """Return an object with another one's fields over its own; lists are replaced."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _over(below.get(key), value) for key, value in above.items()}
