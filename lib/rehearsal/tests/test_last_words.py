"""The line of a program's output that tells most."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal import last_words


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("starting\nbind: failed\nbye\n", "bind: failed"),
        ("starting\nbye\n\n", "bye"),
        ("", "exit status 2"),
        ('x\n{"level":"error","msg":"no such file","error":"etcd"}\n', "no such file: etcd"),
        ("error: " + 500 * "x", "error: " + 393 * "x"),
    ],
)
def test_the_last_line_that_tells_of_an_error_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert last_words.telling(text, tmp_path, "exit status 2") == told


@pytest.mark.parametrize("words", ["write /x: no space left on device", "[Errno 28] No space left on device"])
def test_a_full_disk_is_told_whatever_comes_after(tmp_path: Path, words: str) -> None:
    said = last_words.telling(f"{words}\nfatal: ended\n", tmp_path, "")
    assert said == f"no space is left for {tmp_path}: free some, or set TMPDIR to a folder elsewhere"


def test_apt_has_words_of_its_own_for_a_full_disk(tmp_path: Path) -> None:
    assert last_words.is_full("E: You don't have enough free space in /var/cache/apt/archives/.", tmp_path)
    assert not last_words.is_full("E: Unable to locate package", tmp_path)


def test_a_disk_is_full_also_if_nobody_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_words, "LEAST_SPACE", 1 << 60)
    assert last_words.telling("killed", tmp_path, "").startswith("no space is left")
