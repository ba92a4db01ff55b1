"""Links of related applications and of options: which menus they come to, and what is refused."""

from __future__ import annotations

import itertools
import json
from typing import Any

import ops
import pytest


def offer(text: str, link: str | None = None, location: str = "menu", **others: str) -> dict[str, str]:
    """Return a link with the six keys that travel on the relation."""
    defaults = {"icon": "icons:link", "type": "item", "desc": ""}
    return {"text": text, "link": link or f"/{text}/", "location": location} | defaults | others


def texts(menu: list[dict[str, str]]) -> list[str]:
    return [entry["text"] for entry in menu]


KEYS = {
    "menu": "menuLinks",
    "external": "externalLinks",
    "quick": "quickLinks",
    "documentation": "documentationItems",
}
NONE: dict[str, Any] = {"additional-documentation-links": ""}


@pytest.mark.parametrize("location", KEYS)
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("", ["Alpha", "Beta", "Gamma", "delta"]),
        ("[]", ["Alpha", "Beta", "Gamma", "delta"]),
        ('["Gamma"]', ["Gamma", "Alpha", "Beta", "delta"]),
        ('["delta", "Gamma"]', ["delta", "Gamma", "Alpha", "Beta"]),
        ("- delta\n- Beta\n", ["delta", "Beta", "Alpha", "Gamma"]),
        ('["Gamma", "Gamma", "Alpha"]', ["Gamma", "Alpha", "Beta", "delta"]),
        ('["nobody offers this", "Beta"]', ["Beta", "Alpha", "Gamma", "delta"]),
        ('["beta"]', ["Alpha", "Beta", "Gamma", "delta"]),
    ],
)
def test_named_links_come_first_and_the_others_follow_by_their_text(dashboard, location, order, expected):
    config = NONE | {
        f"additional-{location}-links": json.dumps([{"text": "Beta", "link": "/b/"}]),
        f"{location}-link-order": order,
    }
    offered = {
        "one": [offer("delta", location=location), offer("Alpha", location=location)],
        "two": [offer("Gamma", location=location)],
    }
    menus = dashboard.menus(config, offered=offered)
    assert texts(menus.pop(KEYS[location])) == expected
    assert not any(menus.values())


def test_order_of_charmed_kubeflow_is_the_default(dashboard):
    names = ["Volumes", "Katib Experiments", "Another", "Notebooks", "Runs", "Pipelines", "TensorBoards"]
    menus = dashboard.menus(offered={"app": [offer(name) for name in names]})
    expected = ["Notebooks", "TensorBoards", "Volumes", "Katib Experiments", "Pipelines", "Runs", "Another"]
    assert texts(menus["menuLinks"]) == expected


@pytest.mark.parametrize(
    ("location", "fields"),
    [
        ("menu", {"type": "item", "text": "A", "link": "/a/", "icon": "book"}),
        ("external", {"type": "item", "text": "A", "link": "/a/", "icon": "book"}),
        ("quick", {"text": "A", "desc": "about", "link": "/a/"}),
        ("documentation", {"text": "A", "desc": "about", "link": "/a/"}),
    ],
)
def test_a_menu_has_the_fields_of_upstreams_configmap(dashboard, location, fields):
    link = offer("A", "/a/", location, icon="book", desc="about")
    related = dashboard.menus(NONE, offered={"app": [link]})
    configured = dashboard.menus(NONE | {f"additional-{location}-links": json.dumps([link])})
    assert related == configured
    assert related == {KEYS[place]: [fields] if place == location else [] for place in KEYS}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (offer("A", "/a/"), offer("A", "/a/"), [("A", "/a/")]),
        (offer("A", "/a/", icon="book"), offer("A", "/a/", icon="done"), [("A", "/a/")]),
        (offer("A", "/2/"), offer("A", "/1/"), [("A", "/1/"), ("A", "/2/")]),
        (offer("B", "/a/"), offer("A", "/a/"), [("A", "/a/"), ("B", "/a/")]),
    ],
)
def test_the_same_text_and_target_is_one_entry(dashboard, first, second, expected):
    menu = dashboard.menus(offered={"one": [first], "two": [second]})["menuLinks"]
    assert [(entry["text"], entry["link"]) for entry in menu] == expected


def test_who_was_related_first_makes_no_difference(dashboard):
    offers = {
        "one": [offer("A", "/a/", icon="done"), offer("C")],
        "two": [offer("A", "/a/", icon="book")],
        "three": [offer("A", "/other/"), offer("B")],
    }
    found = [dashboard.menus(offered=dict(order)) for order in itertools.permutations(offers.items())]
    assert all(menus == found[0] for menus in found)


def test_the_operators_own_entry_goes_before_an_applications(dashboard):
    config = {"additional-menu-links": '[{"text": "A", "link": "/a/", "icon": "mine"}]'}
    menu = dashboard.menus(config, offered={"app": [offer("A", "/a/", icon="book")]})["menuLinks"]
    assert [entry["icon"] for entry in menu] == ["mine"]


@pytest.mark.parametrize(
    "value",
    [
        '[{"text": "A", "link": "/a/"}]',
        "- text: A\n  link: /a/\n",
        "- {text: A, link: /a/, location: menu}",
        "- text: A\n  link: /a/\n  icon: icons:link\n  type: item\n  desc: ''\n",
    ],
)
def test_an_options_links_are_yaml_or_json(dashboard, value):
    menu = dashboard.menus({"additional-menu-links": value})["menuLinks"]
    assert menu == [{"type": "item", "text": "A", "link": "/a/", "icon": "icons:link"}]


@pytest.mark.parametrize("value", ["", "[]", " ", "null", "# none\n"])
def test_an_option_that_says_nothing_is_no_link(dashboard, value):
    assert dashboard.menus({"additional-documentation-links": value})["documentationItems"] == []


@pytest.mark.parametrize(
    "text", ["日本語 😀", "a\x7fb", "a\u2028b\x85c", "{{ app }}", '"quoted" \\ \n---\n', "#"]
)
def test_any_text_of_an_application_reaches_the_menu_as_it_is(dashboard, text):
    assert texts(dashboard.menus(offered={"app": [offer(text)]})["menuLinks"]) == [text]


def test_an_application_that_offers_nothing_yet_does_not_hold_the_others_up(dashboard):
    menus = dashboard.menus(offered={"ready": [offer("A")], "new": None})
    assert texts(menus["menuLinks"]) == ["A"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("additional-menu-links", "[{", "not YAML"),
        ("additional-menu-links", "text: A", "should be a list, not an object"),
        ("additional-menu-links", "[A]", "[0]: should be an object, not 'A'"),
        ("additional-menu-links", "[{text: A}]", "[0].link: is missing"),
        ("additional-menu-links", "[{text: A, link: ''}]", "[0].link: is empty"),
        ("additional-menu-links", "[{text: 7, link: /a/}]", "[0].text: should be text, not 7"),
        ("additional-menu-links", "[{text: .nan, link: /a/}]", "[0].text: should be text, not nan"),
        (
            "additional-quick-links",
            '[{"text": "A", "link": "/a/"}, {"text": "B", "link": "/b/", "colour": "red"}]',
            "[1].colour: no such field",
        ),
        (
            "additional-external-links",
            "[{text: A, link: /a/, location: menu}]",
            "[0].location: 'menu' is not 'external'",
        ),
        (
            "additional-menu-links",
            "[{text: A, link: /a/, location: sidebar}]",
            "[0].location: 'sidebar' is not 'menu'",
        ),
        (
            "additional-menu-links",
            "[{text: A, link: /a/, type: section}]",
            "[0].type: 'section' is not 'item'",
        ),
        ("menu-link-order", "A, B", "should be a list, not 'A, B'"),
        ("quick-link-order", "[A, 7]", "[1]: should be text, not 7"),
        ("external-link-order", "[A, [B]]", "[1]: should be text, not a list"),
        ("documentation-link-order", "{A: 1}", "should be a list, not an object"),
        ("menu-link-order", "[&a A, *a]", "not YAML: aliases (*name) are not allowed"),
        ("menu-link-order", "[" * 60_000, "not YAML: nested too deeply"),
        ("menu-link-order", "[!!bool A]", "not YAML"),
    ],
)
def test_a_wrong_option_is_named_with_the_place_and_the_reason(dashboard, option, value, said):
    status = dashboard.run("mlops", {option: value}).unit_status
    assert isinstance(status, ops.BlockedStatus)
    assert status.message.startswith(f"option {option}: {said}")
    assert len(status.message) <= 120


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[{", "dashboard_links: not JSON"),
        ({"text": "A"}, "dashboard_links: Input should be a valid list"),
        ([offer("A") | {"iframe": True}], "dashboard_links.0.iframe: Extra inputs are not permitted"),
        ([offer("A", location="sidebar")], "dashboard_links.0.location: Input should be 'menu', 'external'"),
    ],
)
def test_an_application_that_writes_garbage_is_named(dashboard, written, said):
    status = dashboard.run("mlops", offered={"fine": [offer("B")], "mlflow-server": written}).unit_status
    assert isinstance(status, ops.BlockedStatus)
    assert status.message.startswith(f"mlflow-server sent wrong data on links: {said}")
