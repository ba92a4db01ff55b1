"""The page about the platform's architecture is true: pictures, applications, programs, relations and tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import draw
import pytest
import yaml
from charm_harness import unwatched
from rendering import COMPONENTS, PARTS, Related

ROOT = Path(__file__).parents[2]
TEXT = re.sub(r"<!--.*?-->", "", draw.PAGE.read_text(), flags=re.DOTALL)
CHAPTERS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", TEXT, re.MULTILINE))
BUNDLE = draw.bundle()
SYSTEMS = BUNDLE.systems
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet"}
CODE = re.compile(r"`([^`]+)`")
MODELS = {
    path.stem: {
        name: said["charm"]
        for document in yaml.safe_load_all(path.read_text())
        for name, said in document["applications"].items()
        if "charm" in said
    }
    for path in sorted(ROOT.glob("models/*.yaml"))
}
"""Model to its applications with their charms."""


def table(chapter: str, head: str) -> list[list[str]]:
    """Return the rows of the table whose first column is called so."""
    found = re.search(rf"^\| {head} \|.*\n\|[ -|]+\n((?:\|.*\n)*)", CHAPTERS[chapter], re.MULTILINE)
    rows = found[1].splitlines() if found else []
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def ends(cell: str) -> tuple[str, str]:
    """Return the two ends that a row about relations names."""
    one, other = CODE.findall(cell)
    return one, other


def is_meant(relation: draw.Relation, cell: str) -> bool:
    """Return whether a row about relations is about this one; `*` is any application."""
    pairs = zip(ends(cell), (relation.requirer, relation.provider), strict=True)
    either = zip(ends(cell), (relation.provider, relation.requirer), strict=True)
    return any(
        all(said in (str(end), f"*:{end.endpoint}") for said, end in order) for order in (pairs, either)
    )


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Application to the names of its workloads, with all that options can switch on."""
    folder, found = tmp_path_factory.mktemp("charms"), {}
    with unwatched():
        for source in COMPONENTS:
            (folder / source.name).mkdir()
            charm = Related(source, folder / source.name)
            objects = charm.objects({option: True for option in PARTS if option in charm.options})
            found[charm.name] = {o["metadata"]["name"] for o in objects if o["kind"] in WORKLOADS}
    return found


def test_pictures_are_as_the_script_draws_them() -> None:
    assert draw.main(["--check"]) == 0, "python docs/draw.py"


def test_an_old_picture_is_noticed() -> None:
    changed = TEXT.replace("kfp_db", "another_db")
    assert changed != TEXT
    assert draw.drawn(changed, BUNDLE) == TEXT


@pytest.mark.parametrize("name", ["whole", *SYSTEMS, "GPUs", "models"])
def test_every_picture_is_in_the_page_once(name: str) -> None:
    assert TEXT.count(f"%% {name}:") == 1


def test_every_application_is_in_one_system() -> None:
    assert sorted(each for own in SYSTEMS.values() for each in own) == sorted(BUNDLE.charms)
    for model, applications in MODELS.items():
        rows = [row for system in SYSTEMS for row in table(system, f"application in model `{model}`")]
        assert sorted((name, charm) for name, charm, _ in rows) == sorted(
            (f"`{name}`", f"`{charm}`") for name, charm in applications.items()
        )


def test_every_system_has_its_chapter() -> None:
    assert [*SYSTEMS, "GPUs", "Juju models"] == [each for each in CHAPTERS if each != "The whole"]


def test_every_overlay_and_charm_is_mentioned() -> None:
    for path in (*ROOT.glob("overlays/*.yaml"), *ROOT.glob("models/*.yaml"), *ROOT.glob("charms/*")):
        assert f"(../../{path.relative_to(ROOT)})" in TEXT


@pytest.mark.parametrize("system", SYSTEMS)
def test_applications_have_their_charms_and_programs(system: str, programs: dict[str, set[str]]) -> None:
    rows = table(system, "application")
    assert sorted(*[[CODE.findall(name)[0] for name, _, _ in rows]]) == sorted(SYSTEMS[system])
    for name, charm, runs in rows:
        application = CODE.findall(name)[0]
        if folder := BUNDLE.folder(application):
            assert charm == f"[charms/{folder.name}](../../charms/{folder.name})"
            assert set(CODE.findall(runs)) == programs.get(application, set())
        else:
            assert charm == f"`{BUNDLE.charms[application][0]}`"


def test_gpus_are_told_of_those_who_follow_nodes() -> None:
    named = [CODE.findall(name)[0] for name, _ in table("GPUs", "application")]
    assert sorted(named) == sorted(BUNDLE.following_nodes())


@pytest.mark.parametrize("system", [*SYSTEMS, "GPUs"])
def test_relations_are_those_of_the_picture(system: str) -> None:
    said = [cell for cell, _ in table(system, "relation")]
    shown = BUNDLE.relations_of(system)
    assert shown, "nothing to compare"
    for relation in shown:
        assert [cell for cell in said if is_meant(relation, cell)], f"{relation} is not told of"
    for cell in said:
        assert [each for each in shown if is_meant(each, cell)], f"{cell} is no relation of this system"


def test_every_relation_is_in_a_picture() -> None:
    shown = {relation for system in SYSTEMS for relation in BUNDLE.relations_of(system)}
    assert shown == set(BUNDLE.relations)


@pytest.mark.parametrize("chapter", [each for each in CHAPTERS if each != "The whole"])
def test_the_tests_are_there(chapter: str) -> None:
    rows = table(chapter, "test")
    assert rows
    for cell, _ in rows:
        link = re.search(r"\]\(([^)]+)\)", cell)
        assert link, cell
        path = (draw.PAGE.parent / link[1]).resolve()
        functions = {
            node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
        }
        assert set(CODE.findall(cell)) <= functions


OVERLAY = """
saas: {metrics: {url: admin/cos.prometheus}, manifests: {url: admin/far.secrets}}
applications: {collector: {charm: a-collector, scale: 1}}
relations:
  - [collector:metrics-endpoint, minio:metrics-endpoint]
  - [collector:send-remote-write, metrics]
  - [manifests, resource-dispatcher:secrets]
"""


def test_an_overlay_that_is_related_to_everything_and_to_other_models(tmp_path: Path) -> None:
    for name in ("bundle.yaml", "charms"):
        (tmp_path / name).symlink_to(ROOT / name)
    for folder, text in (("overlays", OVERLAY), ("models", "applications: {prometheus: {}}")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cos.yaml").write_text(text)
    found = draw.bundle(tmp_path)
    assert found.systems["COS"] == ["collector"]
    pictures = {
        name: draw.picture(found, name) or "" for name in ("COS", "Pipelines", "Profiles", "whole", "models")
    }
    assert '  collector -.->|"metrics-endpoint"| minio\n' in pictures["COS"]
    assert '  metrics(["metrics"]):::elsewhere\n' in pictures["COS"]
    assert '  collector -.->|"send-remote-write"| metrics\n' in pictures["COS"]
    assert "collector" not in pictures["Pipelines"]
    assert '  manifests -.->|"secrets"| resource_dispatcher\n' in pictures["Profiles"]
    assert '  COS -.->|"send-remote-write"| metrics\n' in pictures["whole"]
    assert '  overlays_cos_yaml -.->|"admin/cos.prometheus"| models_cos\n' in pictures["models"]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT):
        assert target.startswith("https://") or (draw.PAGE.parent / target).exists(), target
