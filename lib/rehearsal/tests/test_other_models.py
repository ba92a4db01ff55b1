"""Which other models a rehearsal deploys: those whose offers the bundle consumes, and those asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rehearsal import cli, other_models
from rehearsal.errors import RehearsalError

BUNDLE = "applications: {web: {charm: minio, scale: 1}}\n"


def consuming(*offers: str) -> str:
    consumed = {f"offer-{number}": {"url": url} for number, url in enumerate(offers)}
    return f"{BUNDLE}saas: {json.dumps(consumed)}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "bundle.yaml").write_text(BUNDLE)
    return tmp_path


def write(folder: Path, name: str, *offers: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(consuming(*offers))
    return path


def needed(folder: Path, *overlays: Path, **also: Path) -> dict[str, Path]:
    return other_models.needed([folder / "bundle.yaml", *overlays], "here", also)


def test_a_bundle_that_consumes_nothing_needs_nothing(folder: Path) -> None:
    write(folder, "models/cos")
    assert needed(folder) == {}


def test_the_bundle_of_a_model_is_beside_the_bundle(folder: Path) -> None:
    there = write(folder, "models/cos")
    overlay = write(folder, "overlay", "admin/cos.logs", "cos.metrics", "admin/here.own")
    assert needed(folder, overlay) == {"cos": there}


def test_a_model_comes_after_those_that_it_needs_itself(folder: Path) -> None:
    first = write(folder, "models/store", "admin/here.back")
    second = write(folder, "models/cos", "admin/store.bucket")
    overlay = write(folder, "overlay", "admin/cos.logs")
    assert list(needed(folder, overlay).items()) == [("store", first), ("cos", second)]


def test_one_that_is_asked_for_takes_the_place_of_that_beside_the_bundle(folder: Path) -> None:
    write(folder, "models/cos")
    lite, more = write(folder, "lite"), write(folder, "more")
    overlay = write(folder, "overlay", "admin/cos.logs")
    assert needed(folder, overlay, cos=lite, more=more) == {"cos": lite, "more": more}


def test_a_model_without_a_bundle_is_named_with_the_way_out(folder: Path) -> None:
    overlay = write(folder, "overlay", "admin/cos.logs")
    with pytest.raises(RehearsalError) as caught:
        needed(folder, overlay)
    assert str(caught.value) == (
        "the offer admin/cos.logs is of the model cos, and there is no models/cos.yaml beside bundle.yaml; "
        "another bundle for that model: --also cos=BUNDLE"
    )


@pytest.mark.parametrize("word", ["cos", "=x.yaml", "cos=", "cos=nothing.yaml"])
def test_what_is_no_model_and_bundle(word: str) -> None:
    with pytest.raises(RehearsalError, match="--also takes MODEL=BUNDLE"):
        other_models.given([word])


def test_the_command_says_it_before_it_starts_anything(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = write(folder, "overlay", "admin/cos.logs")
    assert cli.main([str(folder / "bundle.yaml"), "--overlay", str(overlay)]) == 1
    assert "there is no models/cos.yaml" in capsys.readouterr().err


def test_what_is_wrong_in_a_file_is_left_to_juju(folder: Path) -> None:
    broken = folder / "broken.yaml"
    broken.write_text("saas: {logs: {url: 'not a url'}, more: {}}\nrelations: {")
    assert needed(folder, broken, folder / "gone.yaml") == {}
