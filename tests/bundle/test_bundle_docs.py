"""What the documentation tells people to type works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from kubeflow_platform import Platform

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
COMMAND = re.compile(r"(?:^ {4}|`)(juju (?:config|run) [^`\n]+)", re.MULTILINE)
BLOCK = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)
FILES = {
    "places.yaml": "- configKey: ",
    "tolerations.yaml": "- groupKey: ",
    "jupyter.yaml": "- registry.example.com/",
    "links.yaml": "- text: ",
}
"""What a page calls a file, and how the block begins that shows it."""

COMMANDS = [(page, command) for page in PAGES for command in COMMAND.findall(page.read_text())]


def shown(page: Path) -> dict[str, str]:
    """Return the files that a page shows, as people would write them."""
    blocks = [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in BLOCK.findall(page.read_text())]
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
    _, verb, application, *words = shlex.split(command)
    if verb != "config" or words[0] == "--reset":
        platform.stage.juju(verb, application, *words)
        return
    options = ",".join(word.partition("=")[0] for word in words)
    unit = platform.stage.engine.models["mlops"].applications[application].units[0]
    try:
        platform.stage.juju(verb, application, *words)
        assert platform.stage.engine.idle(30)
        assert unit.workload.current != "blocked", unit.workload.message
    finally:
        platform.stage.juju("config", application, "--reset", options)
        assert platform.stage.engine.idle(30)
        platform.settle()


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 15
