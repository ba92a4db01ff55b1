"""What a charm assumes of Juju and of the model (juju/juju, core/assumes/sat_checker_test.go)."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal.juju.model import assumes
from rehearsal.juju.model.errors import JujuError

FEATURES = {"juju": "3.6.9", "k8s-api": "1.36.0"}


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        ["juju >= 3.4", "k8s-api"],
        ["juju < 4", "k8s-api >= 1.36"],
        [{"any-of": ["machine-foo", "juju >= 3"]}],
        [{"all-of": [{"any-of": ["juju < 3", "juju >= 3.6.9"]}, "k8s-api"]}],
    ],
    ids=str,
)
def test_what_holds_is_taken(said: Any) -> None:
    assumes.check({"assumes": said}, FEATURES)


UNMET = {
    "a version of Juju": (
        ["juju >= 99.0"],
        "  - charm requires Juju version >= 99.0.0, model has version 3.6.9",
    ),
    "a bound from above": (["juju < 3"], "  - charm requires Juju version < 3.0.0, model has version 3.6.9"),
    "a version of Kubernetes": (
        ["k8s-api >= 2"],
        "  - charm requires Kubernetes version >= 2.0.0, model is running on version 1.36.0",
    ),
    "an unknown feature": (["popcorn"], '  - charm requires feature "popcorn" but model does not support it'),
    "none of several": (
        [{"any-of": ["k8s-api >= 42", "popcorn"]}],
        "  - charm requires at least one of the following:\n"
        "    - charm requires Kubernetes version >= 42.0.0, model is running on version 1.36.0\n"
        '    - charm requires feature "popcorn" but model does not support it',
    ),
    "not all of several": (
        ["k8s-api", {"all-of": ["popcorn", "juju >= 3"]}],
        "  - charm requires all of the following:\n"
        '    - charm requires feature "popcorn" but model does not support it',
    ),
}


@pytest.mark.parametrize(("said", "lines"), UNMET.values(), ids=UNMET)
def test_what_does_not_hold_is_refused_in_jujus_words(said: Any, lines: str) -> None:
    with pytest.raises(JujuError) as refusal:
        assumes.check({"assumes": said}, FEATURES)
    assert str(refusal.value) == f"Charm cannot be deployed because:\n{lines}"


def test_without_a_cluster_there_is_no_kubernetes_api() -> None:
    with pytest.raises(JujuError, match="charm must be deployed on a Kubernetes cloud"):
        assumes.check({"assumes": ["k8s-api"]}, {"juju": "3.6.9"})


@pytest.mark.parametrize("version", ["3.6.9", "3.6", "2.8.0", None])
def test_the_least_version_of_juju_is_there(version: str | None) -> None:
    assumes.check({"min-juju-version": version}, FEATURES)


def test_the_least_version_of_juju_is_not_there() -> None:
    with pytest.raises(JujuError) as refusal:
        assumes.check({"min-juju-version": "4.0.0"}, FEATURES)
    assert str(refusal.value) == (
        "charm's min version (4.0.0) is higher than this juju model's version (3.6.9)"
    )
