"""What a program finds in its pod: arguments, environment, flags and mounted files."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from rehearsal.players import deployments, flags, kinds
from rehearsal.players.refusals import Unstartable

MAP = {"kind": "ConfigMap", "data": {"GATEWAY": "a/b", "FLAG": "x"}}
SECRET = {"kind": "Secret", "data": {"PASSWORD": base64.b64encode(b"secret").decode()}}


def look(kind: Any, name: str) -> dict[str, Any] | None:
    return {(kinds.CONFIG_MAP, "map"): MAP, (kinds.SECRET, "secret"): SECRET}.get((kind, name))


def settings(volumes: list[Any] | None = None, **container: Any) -> deployments.Settings:
    pod = {"serviceAccountName": "played", "volumes": volumes or []}
    deployment = {"metadata": {"namespace": "model"}, "spec": {"template": {"spec": pod}}}
    return deployments.read(deployment, container, look)


def key(kind: str, name: str, of: str, **more: Any) -> dict[str, Any]:
    return {"name": "V", "valueFrom": {kind: {"name": name, "key": of, **more}}}


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("notebook-controller", "notebook-controller"),
        ("ghcr.io/kubeflow/kubeflow/notebook-controller:v1.10.0", "notebook-controller"),
        ("mirror.example:5000/x/notebook-controller", "notebook-controller"),
        ("mirror.example:5000/notebook-controller:v1@sha256:00ff", "notebook-controller"),
        ("a/notebook-controller@sha256:00ff", "notebook-controller"),
        ("notebook-controller/other:notebook-controller", "other"),
    ],
)
def test_the_program_is_the_last_part_of_the_image(image: str, name: str):
    assert deployments.program({"image": image}) == name


@pytest.mark.parametrize(
    ("container", "environment"),
    [
        ({}, {}),
        ({"env": [{"name": "A", "value": "b"}, {"name": "EMPTY"}]}, {"A": "b", "EMPTY": ""}),
        ({"env": [key("configMapKeyRef", "map", "GATEWAY")]}, {"V": "a/b"}),
        ({"env": [key("secretKeyRef", "secret", "PASSWORD")]}, {"V": "secret"}),
        ({"env": [key("configMapKeyRef", "none", "X", optional=True)]}, {}),
        ({"env": [key("configMapKeyRef", "map", "X", optional=True)]}, {}),
        (
            {"env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}]},
            {"N": "model"},
        ),
        ({"env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}, {}),
        ({"envFrom": [{"configMapRef": {"name": "map"}}]}, {"GATEWAY": "a/b", "FLAG": "x"}),
        (
            {"envFrom": [{"prefix": "P_", "configMapRef": {"name": "map"}}]},
            {"P_GATEWAY": "a/b", "P_FLAG": "x"},
        ),
        ({"envFrom": [{"secretRef": {"name": "secret"}}]}, {"PASSWORD": "secret"}),
        ({"envFrom": [{"configMapRef": {"name": "none", "optional": True}}]}, {}),
        (
            {
                "envFrom": [{"configMapRef": {"name": "map"}}],
                "env": [{"name": "FLAG", "value": "$(GATEWAY)/$(X)"}],
            },
            {"GATEWAY": "a/b", "FLAG": "a/b/$(X)"},
        ),
    ],
)
def test_the_environment_is_put_together(container: dict[str, Any], environment: dict[str, str]):
    assert settings(**container).environment == environment


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"env": [key("configMapKeyRef", "none", "X")]}, 'ConfigMap "none" not found'),
        ({"env": [key("configMapKeyRef", "map", "X")]}, 'ConfigMap "map" has no key X'),
        ({"env": [key("secretKeyRef", "map", "X")]}, 'Secret "map" not found'),
        ({"envFrom": [{"configMapRef": {"name": "none"}}]}, 'ConfigMap "none" not found'),
    ],
)
def test_what_is_missing_keeps_it_from_starting(container: dict[str, Any], reason: str):
    with pytest.raises(Unstartable, match=reason):
        settings(**container)


def test_variables_are_expanded_in_arguments():
    found = settings(
        command=["/manager", "-a", "$(A)"], args=["$$(A)", "x$(A)y$(B)"], env=[{"name": "A", "value": "1"}]
    )
    assert found.words == ("-a", "1", "$(A)", "x1y$(B)")


@pytest.mark.parametrize(
    ("mount", "source", "file"),
    [
        ({"mountPath": "/etc/c"}, {"name": "map"}, ("map", "f.yaml")),
        ({"mountPath": "/etc"}, {"name": "map"}, ("map", "c/f.yaml")),
        ({"mountPath": "/etc/c/f.yaml", "subPath": "other"}, {"name": "map"}, ("map", "other")),
        ({"mountPath": "/etc/c"}, {"name": "map", "items": [{"key": "k", "path": "f.yaml"}]}, ("map", "k")),
        ({"mountPath": "/etc/c"}, {"name": "map", "items": [{"key": "k", "path": "g.yaml"}]}, None),
        ({"mountPath": "/etc/d"}, {"name": "map"}, None),
    ],
)
def test_a_mounted_file_is_a_key_of_a_config_map(mount, source, file):
    found = settings(volumes=[{"name": "v", "configMap": source}], volumeMounts=[{"name": "v", **mount}])
    assert found.config_file("/etc/c/f.yaml") == file


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ([], "default"),
        (["-name", "given"], "given"),
        (["--name", "given"], "given"),
        (["--name=given"], "given"),
        (["-name", ""], ""),
        (["-name", "-on"], "-on"),
        (["-on", "-name=a", "--name=b"], "b"),
        (["-on=false", "-zap-devel", "--zap-log-level=info", "-name=a"], "a"),
        (["-on", "word", "-name=after"], "default"),
        (["--", "-name=after"], "default"),
    ],
)
def test_flags_are_read_as_go_does(words: list[str], value: str):
    assert flags.parse(words, {"name": "default"}, ["on"])["name"] == value


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-other=1"], "flag provided but not defined: -other"),
        (["-name"], "flag needs an argument: -name"),
        (["-on=maybe"], 'invalid boolean value "maybe" for -on'),
    ],
)
def test_wrong_flags_end_a_program(words: list[str], reason: str):
    with pytest.raises(Unstartable, match=reason):
        flags.parse(words, {"name": "default"}, ["on"])
