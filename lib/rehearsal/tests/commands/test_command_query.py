"""Queries of `juju wait-for`: what holds, and what is no query."""

from __future__ import annotations

import pytest

from rehearsal.juju.commands.query import compiled
from rehearsal.juju.model.errors import JujuError

SCOPE = {
    "name": "web",
    "life": "alive",
    "status": "active",
    "workload-message": "a && b",
    "exposed": False,
    "units": {
        "web/0": {"name": "web/0", "life": "alive", "status": "active"},
        "web/1": {"name": "web/1", "life": "alive", "status": "waiting"},
    },
}


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ('status=="active"', True),
        ("status == 'active'", True),
        ('status != "active"', False),
        ('name=="web" && status=="active"', True),
        ('name=="x" && status=="active"', False),
        ('name=="x" || status=="active"', True),
        ('name=="x" && life=="dead" || status=="active"', True),
        ('name=="x" && (life=="dead" || status=="active")', False),
        ('workload-message=="a && b"', True),
        ("len(units) == 2", True),
        ("len(units) > 2", False),
        ("len(units) <= 2 && exposed == false", True),
        ('startsWith(name, "we")', True),
        ('endsWith(name, "we")', False),
        ('forEach(units, unit => unit.life=="alive" && startsWith(unit.name, "web"))', True),
        ('forEach(units, unit => unit.status=="active")', False),
        ('len(name) == "three"', False),
    ],
)
def test_a_query_holds_or_not(query: str, holds: bool) -> None:
    assert compiled(query)(SCOPE) is holds


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ('status = "active"', "="),
        ('status=="active" &&', "its end"),
        ('(status=="active"', "its end"),
        ('status=="active" name', "name"),
        ("guess(units)", "guess"),
        ("forEach(units, 3 => true)", "3"),
        ("", "its end"),
    ],
)
def test_what_is_no_query_is_refused_with_the_place(query: str, at: str) -> None:
    with pytest.raises(JujuError, match=f'syntax error at "{at}"'):
        compiled(query)


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    holds = compiled('colour=="red"')
    with pytest.raises(JujuError, match='invalid identifier "colour": there are exposed, life, name'):
        holds(SCOPE)
