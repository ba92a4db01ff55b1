"""kubeflow_dashboard_links: the six keys both ways, and one application's garbage beside another's links."""

from __future__ import annotations

import json

import pytest

from kubeflow_charm.relations.dashboard_links import LIMIT, Link, Provides, Requires

NOTEBOOKS = {
    "text": "Notebooks",
    "link": "/jupyter/",
    "location": "menu",
    "icon": "book",
    "type": "item",
    "desc": "",
}


def bag(*entries: object) -> dict[str, str]:
    return {"dashboard_links": json.dumps(entries)}


def test_links_of_all_applications_are_read_in_the_order_of_being_related(ask):
    bags = {"b": bag(NOTEBOOKS), "a": bag(NOTEBOOKS | {"text": "1"}, NOTEBOOKS | {"text": "2"})}
    links = ask(Provides, lambda end: end.get(), bags).value
    assert [link.text for link in links] == ["Notebooks", "1", "2"]


def test_icon_type_and_description_have_the_defaults_of_the_library(ask):
    entry = {"text": "A", "link": "/a/", "location": "quick"}
    (link,) = ask(Provides, lambda end: end.get(), {"app": bag(entry)}).value
    assert link.model_dump() == entry | {"icon": "icons:link", "type": "item", "desc": ""}


@pytest.mark.parametrize("bags", [{}, {"late": {}}, {"none": bag()}])
def test_no_links_are_no_problem(ask, bags):
    said = ask(Provides, lambda end: end.get(), bags)
    assert (said.value, said.problems) == ([], [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[{", "dashboard_links: not JSON"),
        ("[" * 30_000, "dashboard_links: not JSON"),
        ("{}", "dashboard_links: Input should be a valid list"),
        ("null", "dashboard_links: Input should be a valid list"),
        ('["Notebooks"]', "dashboard_links.0: Input should be a valid dictionary"),
        (json.dumps([NOTEBOOKS | {"iframe": True}]), "dashboard_links.0.iframe: Extra inputs are not perm"),
        (json.dumps([NOTEBOOKS | {"a\0b": 1}]), "dashboard_links.0.a b: Extra inputs are not permitted"),
        (json.dumps([NOTEBOOKS, NOTEBOOKS | {"text": ""}]), "dashboard_links.1.text: String should have at"),
        (json.dumps([NOTEBOOKS | {"text": 7}]), "dashboard_links.0.text: Input should be a valid string"),
        (json.dumps([NOTEBOOKS | {"text": "\ud800"}]), "dashboard_links.0.text: Input should be a valid str"),
        (json.dumps([NOTEBOOKS | {"location": "sidebar"}]), "dashboard_links.0.location: Input should be"),
        (json.dumps([NOTEBOOKS | {"type": "section"}]), "dashboard_links.0.type: Input should be 'item'"),
        (json.dumps([{"text": "A", "link": "/"}]), "dashboard_links.0.location: Field required"),
        (" " * (LIMIT + 1), f"dashboard_links: longer than {LIMIT} characters"),
        ("1" * 5000, "dashboard_links: not JSON"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_garbage_blocks_and_names_the_application_and_the_place(ask, text, said):
    bags = {"fine": bag(NOTEBOOKS), "mlflow-server": {"dashboard_links": text}}
    (status,) = ask(Provides, lambda end: end.get(), bags).statuses
    assert status[0] == "blocked"
    assert status[1].startswith(f"mlflow-server sent wrong data on there: {said}")


def test_every_application_with_garbage_is_named_at_once(ask):
    bags = {"one": {"dashboard_links": "["}, "fine": bag(NOTEBOOKS), "two": {"dashboard_links": "{}"}}
    names = [text.split()[0] for _, text in ask(Provides, lambda end: end.get(), bags).statuses]
    assert names == ["one", "two"]


def test_what_is_written_is_what_the_library_writes(ask):
    links = [Link.model_validate(NOTEBOOKS), Link(text="é", link="/e/", location="external")]
    said = ask(Requires, lambda end: end.send(links), {"kubeflow-dashboard": {}})
    assert said.written["kubeflow-dashboard"] == {
        "dashboard_links": '[{"text": "Notebooks", "link": "/jupyter/", "location": "menu", "icon": "book", '
        '"type": "item", "desc": ""}, {"text": "\\u00e9", "link": "/e/", "location": "external", '
        '"icon": "icons:link", "type": "item", "desc": ""}]'
    }


def test_what_one_side_writes_the_other_reads(ask):
    links = [Link.model_validate(NOTEBOOKS), Link(text="Docs", link="https://x", location="documentation")]
    written = ask(Requires, lambda end: end.send(links), {"dashboard": {}}).written["dashboard"]
    assert ask(Provides, lambda end: end.get(), {"app": written}).value == links
