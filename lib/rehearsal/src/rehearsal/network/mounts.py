"""Read a container's Secret and ConfigMap files, laid out as the kubelet does.

A file has the object's content at the time of reading; the kubelet would need about a minute for a change.
"""

from __future__ import annotations

import base64
import json
import posixpath
import urllib.parse
from typing import Any

from rehearsal.network.addresses import Cluster, Object


class Mounts:
    """The mounted files of one container of a pod; each object is read once.

    Args:
        cluster: queried as its administrator, since the kubelet, not the pod, reads Secrets.
        pod: the pod with the volumes.
        container: the container with the mounts.
    """

    def __init__(self, cluster: Cluster, pod: Object, container: Object):
        self._cluster = cluster
        self._namespace: str = pod["metadata"]["namespace"]
        self._volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        self._mounts = container.get("volumeMounts", [])
        self._objects: dict[str, Object] = {}

    def read(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: if no mounted Secret or ConfigMap has the file.
            OSError: if the API server does not answer.
        """
        path = posixpath.normpath(path)
        holding = [each for each in self._mounts if _within(path, each["mountPath"]) is not None]
        if not holding:
            raise FileNotFoundError(f"nothing is mounted at {path}")
        mount = max(holding, key=lambda each: len(posixpath.normpath(each["mountPath"])))
        inside = posixpath.join(mount.get("subPath", ""), _within(path, mount["mountPath"]) or "")
        files = self._files(self._volumes[mount["name"]])
        name = posixpath.normpath(inside)
        if name not in files:
            raise FileNotFoundError(f"{path} is no file of the volume {mount['name']}")
        return files[name]

    def _files(self, volume: Object) -> dict[str, bytes]:
        """Return the files of a volume by their path inside it."""
        found: dict[str, bytes] = {}
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            if secret := source.get("secret"):
                name = secret.get("secretName") or secret.get("name")
                found |= _laid(self._content("secrets", name), secret)
            if config := source.get("configMap"):
                found |= _laid(self._content("configmaps", config["name"]), config)
        return found

    def _content(self, kind: str, name: str) -> dict[str, bytes]:
        path = f"/api/v1/namespaces/{self._namespace}/{kind}/{urllib.parse.quote(name)}"
        if path not in self._objects:
            self._objects[path] = json.loads(self._cluster.request("GET", path))
        said = self._objects[path]
        text: dict[str, Any] = said.get("data") or {}
        if kind == "configmaps":
            binary = {key: base64.b64decode(each) for key, each in (said.get("binaryData") or {}).items()}
            return {key: each.encode() for key, each in text.items()} | binary
        return {key: base64.b64decode(each) for key, each in text.items()}


def _laid(content: dict[str, bytes], source: Object) -> dict[str, bytes]:
    """Return the files of a source: one for each key, or those that its items name."""
    if not (items := source.get("items")):
        return content
    return {
        posixpath.normpath(each["path"]): content[each["key"]] for each in items if each["key"] in content
    }


def _within(path: str, folder: str) -> str | None:
    """Return a path relative to a folder, or None if it is not inside."""
    folder = posixpath.normpath(folder)
    if path == folder:
        return ""
    return path[len(folder) :].lstrip("/") if path.startswith(folder.rstrip("/") + "/") else None
