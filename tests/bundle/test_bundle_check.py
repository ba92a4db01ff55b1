"""What is refused in a bundle and its overlays: each thing with its place, all at once, in Juju's words."""

from __future__ import annotations

import functools
import textwrap
from pathlib import Path

import pytest

from rehearsal.juju.bundle import check
from rehearsal.juju.model import charms
from rehearsal.yaml_document import Finding

CHARMS = {
    "web": """
        name: web
        assumes: [k8s-api]
        requires:
          db: {interface: sql, limit: 1}
          cache: {interface: kv, optional: true}
        provides:
          site: {interface: http}
          mirror: {interface: http}
        resources:
          image: {type: oci-image}
          page: {type: file, filename: page.html}
        storage:
          pages: {type: filesystem}
        config:
          options:
            port: {type: int, default: 80}
            ratio: {type: float}
            debug: {type: boolean}
            title: {type: string}
            token: {type: secret}
        """,
    "store": """
        name: store
        provides:
          db: {interface: sql}
          archive: {interface: sql}
          cache: {interface: kv, limit: 1}
        requires:
          site: {interface: http, optional: true}
        """,
    "broken": """
        name: broken
        requires:
          db: {interfase: sql}
        """,
}
GOOD = """\
bundle: kubernetes
applications:
  web:
    charm: ./web
    trust: true
    resources: {image: nginx}
  store:
    charm: ./store
relations:
  - [web:db, store:db]
"""


@pytest.fixture
def read(tmp_path: Path):
    """Write charms, a bundle and overlays, and read them."""
    for name, text in CHARMS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "charmcraft.yaml").write_text(textwrap.dedent(text))

    def read(*texts: str, **known) -> check.Bundle:
        paths = [tmp_path / ("bundle.yaml" if not n else f"overlay{n}.yaml") for n in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return check.read(paths, functools.partial(charms.find, replacements={}), **known)

    return read


def shown(findings: list[Finding]) -> list[str]:
    return [f"{Path(f.file).name}:{f.line}:{f.column}: {f.message}" for f in findings]


def said(bundle: check.Bundle) -> list[str]:
    return shown(bundle.findings)


def test_a_good_bundle_has_no_findings(read):
    bundle = read(GOOD)
    assert said(bundle) == []
    assert bundle.relations == [("web:db", "store:db")]
    assert bundle.origins == {"web": "local", "store": "local"}
    assert bundle.charms["web"].name == "web"
    assert bundle.applications["store"].scale == 0


IN_WEB = "    resources: {image: nginx}\n"
RELATION = "  - [web:db, store:db]\n"


def instead(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


BAD = {
    "a list is not closed": (
        instead("{image: nginx}", "{image: nginx"),
        ["7:8: not YAML: did not find expected ',' or '}', while parsing a flow mapping"],
    ),
    "a tab where blanks belong": (
        instead("    trust", "\ttrust"),
        ["5:1: not YAML: found a tab character that violates indentation, while scanning a plain scalar"],
    ),
    "an empty file": ("", ['1:1: expected a mapping with "applications" and "relations"']),
    "a list": ("[]", ['1:1: expected a mapping with "applications" and "relations"']),
    "no applications": ("bundle: kubernetes\n", ["1:1: at least one application must be specified"]),
    "another type of bundle": (
        instead("bundle: kubernetes", "bundle: lxd"),
        ['1:1: bundle has an invalid type "lxd": expected "kubernetes"'],
    ),
    "a key twice": (
        instead("    trust: true\n", "    trust: true\n    trust: true\n"),
        ['6:5: key "trust" already set in this mapping'],
    ),
    "scale and num_units": (
        instead("    trust", "    scale: 1\n    num_units: 2\n    trust"),
        ['6:5: cannot specify both scale and num_units for application "web"'],
    ),
    "offers": (
        instead("    trust", "    offers: {shop: {endpoints: [db]}}\n    trust"),
        ["5:5: applications.web.offers can only appear in an overlay section"],
    ),
    "an offer of an unknown endpoint": (
        f"{GOOD}--- {{applications: {{web: {{offers: {{shop: {{endpoints: [nothing]}}}}}}}}}}\n",
        ['11:36: cannot offer "web:nothing": application "web" has no "nothing" relation'],
    ),
    "an offer without endpoints": (
        f"{GOOD}--- {{applications: {{web: {{offers: {{shop: {{endpoints: []}}}}}}}}}}\n",
        ['11:43: "endpoints": expected List should have at least 1 item after validation, not 0'],
    ),
    "an offer of no model": (
        f"{GOOD}saas: {{shop: {{url: admin/other.shop}}}}\n",
        ['11:8: application offer "admin/other.shop" not found: there is no other model'],
    ),
    "an offer without a URL": (
        f"{GOOD}saas: {{shop: {{}}}}\n",
        ['11:8: key "url" is missing'],
    ),
    "scale is no number": (
        instead("    trust", "    scale: two\n    trust"),
        ['5:5: "scale": expected a valid integer'],
    ),
    "scale is negative": (
        instead("    trust", "    scale: -1\n    trust"),
        ['5:5: "scale": expected greater than or equal to 0'],
    ),
    "an application without a body": (
        instead("  store:\n    charm: ./store\n", "  store:\n"),
        ['7:3: bundle application for key "store" is undefined: expected a mapping'],
    ),
    "an application without a charm": (
        instead("    charm: ./store\n", "    scale: 1\n"),
        ['7:3: empty charm path: application "store" has no charm'],
    ),
    "a name that is none": (
        instead("  store:", "  store_1:").replace("store:db]", "store_1:db]"),
        ['7:3: invalid application name "store_1"', '10:5: invalid relation syntax "store_1:db"'],
    ),
    "a folder that is not there": (
        instead("./store", "./stor"),
        ['8:5: no charm was found at "./stor"'],
    ),
    "a packed charm of another name": (
        instead("./store", "./store/stall_amd64.charm"),
        ['8:5: no charm was found at "./store/stall_amd64.charm": the charm in {folder}/store is "store"'],
    ),
    "a charm that Charmhub does not have": (
        instead("./store", "stor"),
        [
            '8:5: cannot resolve charm or bundle "stor": charm or bundle not found: '
            "no stand-in plays it here; --charm stor=DIR runs its source"
        ],
    ),
    "a charm that Juju would not take": (
        instead("./store", "./broken"),
        ["8:5: {folder}/broken/charmcraft.yaml:4:3: requires.db.interface: expected the interface's name"],
    ),
    "a risk that is none": (
        instead("    trust", "    channel: 1.28/steady\n    trust"),
        ['5:5: risk in channel "1.28/steady" not valid'],
    ),
    "a channel of too many parts": (
        instead("    trust", "    channel: a/b/c/d\n    trust"),
        ['5:5: channel is malformed and has too many components "a/b/c/d"'],
    ),
    "a revision without a channel": (
        GOOD.replace("./store", "dex-auth\n    revision: 5"),
        [
            '9:5: application "store" with a revision requires a channel for future upgrades, '
            "please use channel",
            '11:5: charm "dex-auth" used by application "store" does not define relation "db"',
        ],
    ),
    "an option that does not exist": (
        instead(IN_WEB, IN_WEB + "    options: {heading: x}\n"),
        ['7:15: unknown option "heading"'],
    ),
    "options of wrong types": (
        instead(
            IN_WEB,
            IN_WEB + "    options:\n      port: eighty\n      ratio: 1\n      debug: 'yes'\n      title: 3\n"
            "      token: abc\n",
        ),
        [
            '8:7: option "port" expected int, got "eighty"',
            '9:7: option "ratio" expected float, got 1',
            '10:7: option "debug" expected boolean, got "yes"',
            '11:7: option "title" expected string, got 3',
            '12:7: option "token" expected secret, got "abc"',
        ],
    ),
    "an option that is a list": (
        instead(IN_WEB, IN_WEB + "    options: {title: [x]}\n"),
        ['7:15: "title": expected text, a number, true or false'],
    ),
    "an include that is not there": (
        instead(IN_WEB, IN_WEB + "    options: {title: include-file://title.txt}\n"),
        ['7:15: resolving include "title.txt": No such file or directory'],
    ),
    "an image that is not named": (
        instead(IN_WEB, ""),
        ["3:3: local charm missing OCI images for: image"],
    ),
    "a resource that the charm has not": (
        instead("{image: nginx}", "{image: nginx, imag: nginx}"),
        ['6:31: charm "web": unrecognized resource "imag"'],
    ),
    "a resource's revision for a local charm": (
        instead("{image: nginx}", "{image: 3}"),
        ['6:17: resource "image": a local charm has no store, and so no revision 3'],
    ),
    "storage that the charm has not": (
        instead(IN_WEB, IN_WEB + "    storage: {page: 1G}\n"),
        ['7:15: charm "web" has no store called "page"'],
    ),
    "rights not given": (
        instead("    trust: true\n", ""),
        ['3:3: "web" needs rights on the cluster: add "trust: true"'],
    ),
    "a required endpoint left open": (
        instead(RELATION, "  []\n"),
        ["3:3: web:db (sql) is required and not related: relate it to store:db, store:archive"],
    ),
    "a relation of one end": (
        instead(RELATION, RELATION + "  - [web:cache]\n"),
        ["11:5: expected two ends, application[:endpoint] each"],
    ),
    "a relation to nobody": (
        instead(RELATION, RELATION + "  - [web:cache, stor]\n"),
        ['11:5: relation ["web:cache" "stor"] refers to application "stor" not defined in this bundle'],
    ),
    "a relation to itself": (
        instead(RELATION, RELATION + "  - [web:cache, web]\n"),
        ['11:5: relation ["web:cache" "web"] relates an application to itself'],
    ),
    "a relation twice, once without endpoints": (
        instead(RELATION, RELATION + "  - [store:db, web]\n"),
        ['11:5: relation ["store:db" "web"] is defined more than once'],
    ),
    "an end with too many parts": (
        instead(RELATION, RELATION + "  - [web:cache:a, store]\n"),
        ['11:5: invalid relation syntax "web:cache:a"'],
    ),
    "an endpoint that does not exist": (
        instead(RELATION, RELATION + "  - [web:cash, store:cache]\n"),
        ['11:5: charm "web" used by application "web" does not define relation "cash"'],
    ),
    "different interfaces": (
        instead(RELATION, RELATION + "  - [web:cache, store:db]\n"),
        ['11:5: mismatched interface between "store:db" and "web:cache" ("sql" vs "kv")'],
    ),
    "both provide": (
        instead(RELATION, RELATION + "  - [web:site, store:cache]\n"),
        ['11:5: relation "web:site" to "store:cache" relates provider to provider'],
    ),
    "both require": (
        instead(RELATION, RELATION + "  - [web:cache, store:site]\n"),
        ['11:5: relation "web:cache" to "store:site" relates requirer to requirer'],
    ),
    "ends that no relation fits": (
        instead("relations:\n", "  other:\n    charm: ./store\nrelations:\n  - [store:db, other]\n"),
        ["12:5: cannot infer endpoint between store:db and other: no relations found"],
    ),
    "ends that several relations fit": (
        instead("web:db, store:db", "web:db, store"),
        [
            "10:5: cannot infer endpoint between web:db and store: ambiguous relation: web:db store "
            'could refer to "web:db store:archive"; "web:db store:db"',
        ],
    ),
    "more relations than the limit": (
        instead(RELATION, RELATION + "  - [web:db, store:archive]\n"),
        [
            '11:5: cannot add relation "web:db store:archive": establishing a new relation for web:db '
            "would exceed its maximum relation limit of 1 (quota limit exceeded)"
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD)
def test_what_is_refused(read, tmp_path: Path, text: str, expected: list[str]):
    expected = [f"bundle.yaml:{each}".replace("{folder}", str(tmp_path)) for each in expected]
    assert sorted(said(read(text))) == sorted(expected)


TAKEN = {
    "an unknown key of the bundle": (
        instead("bundle:", "_github: x\nbundle:"),
        ['1:1: key "_github" has no effect: Juju does not know it'],
    ),
    "an unknown key of an application": (
        instead("    trust", "    trusted: true\n    trust"),
        ['5:5: key "trusted" has no effect: Juju does not know it'],
    ),
    "bindings": (
        instead("    trust", "    bindings: {db: alpha}\n    trust"),
        ['5:5: key "bindings" has no effect: a Kubernetes model has one space'],
    ),
    "a placement": (
        instead("    trust", "    to: [zone=a]\n    trust"),
        ['5:5: key "to" has no effect: here, Kubernetes alone places pods'],
    ),
    "an endpoint of a charm from Charmhub": (
        GOOD.replace("  store:", "  login: {charm: dex-auth, scale: 1}\n  store:"),
        ["7:3: login:oidc-client (oidc-client) is required and not related: nothing here provides it"],
    ),
}
"""What Juju takes, and what is said of it."""


@pytest.mark.parametrize(("text", "expected"), TAKEN.values(), ids=TAKEN)
def test_what_is_taken_with_a_warning(read, text: str, expected: list[str]):
    bundle = read(text)
    assert said(bundle) == []
    found = [each for each in bundle.warnings if "scale" not in each.message]
    assert shown(found) == [f"bundle.yaml:{each}" for each in expected]


@pytest.mark.parametrize(
    ("said", "scale"), [("", None), ("scale: 0", 0), ("scale: 2", 2), ("num_units: 3", 3)], ids=str
)
def test_without_a_scale_there_is_no_unit(read, said: str, scale: int | None):
    bundle = read(instead("    trust", f"    {said}\n    trust"))
    assert bundle.findings == []
    assert bundle.applications["web"].scale == (scale or 0)
    warned = '3:3: "web" has no scale: Juju deploys no unit of it' in shown(bundle.warnings)[0]
    assert warned is (scale is None)


def test_later_documents_of_a_file_are_overlays(read):
    bundle = read(
        f"{GOOD}---\napplications:\n  web:\n    scale: 3\n---\nrelations:\n- [store:site, web:site]\n"
    )
    assert said(bundle) == []
    assert bundle.applications["web"].scale == 3
    assert bundle.relations == [("web:db", "store:db"), ("store:site", "web:site")]


def test_a_finding_in_a_later_document_has_its_line(read):
    bundle = read(f"{GOOD}---\napplications:\n  web:\n    options: {{prot: 1}}\n")
    assert said(bundle) == ['bundle.yaml:14:15: unknown option "prot"']


def test_everything_is_said_at_once_in_the_order_of_the_file(read):
    text = instead("    trust: true\n", "    storage: {disk: x}\n    options: {port: x, prot: 1}\n")
    text = text.replace("store:db]", "store:bd]").replace("{image: nginx}", "{img: nginx}")
    assert [each.partition(": ")[0] for each in said(read(text))] == [
        "bundle.yaml:3:3",  # rights
        "bundle.yaml:5:15",  # storage
        "bundle.yaml:6:15",  # port
        "bundle.yaml:6:24",  # prot
        "bundle.yaml:7:5",  # image
        "bundle.yaml:7:17",  # img
        "bundle.yaml:11:5",  # store:bd
    ]


def test_text_that_reads_as_a_number_or_a_truth_value_stands_for_it(read):
    bundle = read(instead(IN_WEB, IN_WEB + "    options: {port: '0x50', debug: 'True', ratio: 0.5}\n"))
    assert said(bundle) == []
    assert bundle.applications["web"].options == {"port": 80, "debug": True, "ratio": 0.5}


def test_juju_info_is_provided_by_every_charm(read):
    (Path(read(GOOD).charms["web"].path) / "charmcraft.yaml").write_text(
        "name: web\nrequires: {node: {interface: juju-info}}\nresources: {image: {type: oci-image}}\n"
    )
    bundle = read(instead("web:db, store:db", "web, store"))
    assert said(bundle) == []
    assert bundle.relations == [("web:node", "store:juju-info")]


def test_a_relation_may_name_an_application_that_the_model_has(read):
    present = read(GOOD).charms
    text = "applications: {more: {charm: ./web, trust: true, resources: {image: x}}}\n"
    bundle = read(text + "relations: [[more:db, store:db]]\n", present={"store": present["store"]})
    assert said(bundle) == []
    assert set(bundle.applications) == {"more"}


def test_an_option_of_an_application_that_the_model_has_is_checked(read):
    present = read(GOOD).charms
    bundle = read(
        "applications: {web: {options: {port: x}}}\n", present=present, related=[("web:db", "store:db")]
    )
    assert said(bundle) == ['bundle.yaml:1:32: option "port" expected int, got "x"']


def test_relations_that_the_model_has_count_towards_the_limit(read):
    present = read(GOOD).charms
    bundle = read("relations: [[web:db, store:archive]]\n", present=present, related=[("web:db", "store:db")])
    (finding,) = said(bundle)
    assert finding.endswith("would exceed its maximum relation limit of 1 (quota limit exceeded)")


def test_a_relation_that_the_model_has_may_be_said_again(read):
    present = read(GOOD).charms
    bundle = read(GOOD, present=present, related=[("store:db", "web:db")])
    assert said(bundle) == []
