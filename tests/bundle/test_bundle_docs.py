"""What the documentation tells people to type works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import documented
import pytest
import yaml
from kubeflow_platform import MODEL, Platform

from rehearsal.patience import until

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
COMMAND = re.compile(r"(?:^ {4}|`)(juju (?:config|run) [^`\n]+)", re.MULTILINE)
FILES = {
    "places.yaml": "- configKey: ",
    "tolerations.yaml": "- groupKey: ",
    "jupyter.yaml": "- registry.example.com/",
    "links.yaml": "- text: ",
    "katib.yaml": "runtime:",
    "templates.yaml": "my-template: |",
}
"""What a page calls a file, and how the block begins that shows it."""


def typed() -> list[tuple[Path, str]]:
    """Return each command once, with a page; one that reads a file of its page, for each page."""
    every = [(page, command) for page in PAGES for command in COMMAND.findall(page.read_text())]
    once: dict[tuple[str, Path | None], tuple[Path, str]] = {}
    for page, command in every:
        reads = any(name in command for name in FILES)
        once.setdefault((command, page if reads else None), (page, command))
    return list(once.values())


COMMANDS = typed()


def shown(page: Path) -> dict[str, str]:
    """Return the files that a page shows, as people would write them."""
    blocks = [part + "\n" for block in documented.blocks(page) for part in block.strip().split("\n\n")]
    return {
        name: block
        for name, beginning in FILES.items()
        for block in blocks
        if block.startswith(beginning) and yaml.safe_load(block)
    }


@pytest.fixture(scope="module", autouse=True)
def nodes_with_gpus(platform: Platform) -> None:
    """Nodes as in the pages."""
    platform.have_nodes("default")


@pytest.mark.parametrize(
    ("page", "command"), COMMANDS, ids=[f"{page.stem}: {command}" for page, command in COMMANDS]
)
def test_a_command_works(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Path, command: str
) -> None:
    for name, text in shown(page).items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    _, verb, application, *words = shlex.split(command.replace("<model>", MODEL))
    if verb != "config" or words[0] == "--reset":
        platform.stage.juju(verb, application, *words)
        return
    names = [word.partition("=")[0] for word in words]
    of_model = platform.stage.engine.models[MODEL].applications[application]
    before, unit = dict(of_model.config), of_model.units[0]
    try:
        platform.stage.juju(verb, application, *words)
        assert platform.stage.engine.idle(120)
        assert unit.workload.current != "blocked", unit.workload.message
    finally:
        platform.stage.juju("config", application, "--reset", ",".join(names))
        if given := [f"{name}={before[name]}" for name in names if name in before]:
            platform.stage.juju("config", application, *given)
        assert platform.stage.engine.idle(120)
        platform.settle()


def test_the_charm_that_the_reference_shows_reaches_profiles(platform: Platform, tmp_path: Path) -> None:
    page = ROOT / "docs/reference/kubernetes-manifest.md"
    blocks = documented.blocks(page)
    metadata, program = (next(b for b in blocks if b.startswith(begin)) for begin in ("requires:", "import"))
    folder = tmp_path / "proxy"
    (folder / "src").mkdir(parents=True)
    head = "name: proxy\ntype: charm\nsummary: A proxy\ndescription: A proxy\n"
    platforms = "platforms: {ubuntu@24.04:amd64: }\nparts: {charm: {plugin: uv, source: .}}\n"
    (folder / "charmcraft.yaml").write_text(head + platforms + metadata)
    (folder / "src/charm.py").write_text(f'{program}\n\nif __name__ == "__main__":\n    ops.main(Proxy)\n')
    (integrate,) = set(re.findall(r"`(juju integrate proxy:[^`]+)`", page.read_text()))
    path = "/apis/kubeflow.org/v1alpha1/namespaces/ada/poddefaults/use-proxy"
    platform.stage.juju("deploy", str(folder), "proxy")
    try:
        platform.stage.juju(*shlex.split(integrate)[1:])
        until(lambda: platform.admin.find(path))
    finally:
        platform.stage.juju("remove-application", "proxy", "--no-prompt")
    until(lambda: platform.admin.find(path) is None)
    platform.settle()


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 15
