"""Which pods really run, of what their images are made here, and which are played."""

from __future__ import annotations

import json
from collections import Counter
from typing import Protocol

from rich.table import Column, Table

from rehearsal.network.playing import image_name
from rehearsal.node.images.recipes import RECIPES
from rehearsal.node.name import NAME


class Cluster(Protocol):
    """A cluster that accepts requests as its administrator."""

    def request(self, method: str, path: str) -> bytes:
        """Return the answer's body; raise OSError if there is no answer, or if it is a refusal."""
        ...


def table(cluster: Cluster) -> Table:
    """Return a table of the images that run, with the number of their pods, and of the pods that are played.

    A pod is played by KWOK: it has a status and an address, and nothing runs in it.
    """
    found = json.loads(cluster.request("GET", "/api/v1/pods"))["items"]
    real = [pod for pod in found if pod["spec"].get("nodeName") == NAME]
    counted = Counter(
        image
        for pod in real
        for image in {
            each["image"] for each in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
        }
    )
    placed = [pod for pod in found if pod["spec"].get("nodeName")]
    image = Column("Image", overflow="fold")
    shown = Table(image, "Pods", "Here it is", box=None, pad_edge=False, header_style="")
    for image, count in sorted(counted.items()):
        recipe = RECIPES.get(image_name(image))
        # A pod may name its node itself, whatever the scheduler thinks.
        shown.add_row(image, str(count), recipe.made_of if recipe else "nothing: it cannot be made")
    shown.add_row("all others", str(len(placed) - len(real)), "played: nothing runs in these pods")
    if waiting := len(found) - len(placed):
        shown.add_row("no node yet", str(waiting), "the scheduler has not placed these pods")
    return shown
