"""What a charm's files may say, and which charm a reference means."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from rehearsal.juju.model import charms
from rehearsal.juju.model.charms import CharmError, OptionSpec
from rehearsal.juju.model.errors import JujuError

WHOLE = """
name: web
assumes: [juju >= 3.4, k8s-api]
requires:
  db: {interface: sql, limit: 1}
  cache: kv
provides:
  site: {interface: http, optional: true}
peers:
  peers: {interface: web_peers}
config:
  options:
    port: {type: int, default: 80, description: Where it listens.}
    title: {}
actions:
  list-images:
resources:
  image: {type: oci-image, upstream-source: nginx}
  page: {type: file, filename: page.html}
containers:
  web: {resource: image}
storage:
  pages: {type: filesystem}
"""


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(textwrap.dedent(text).lstrip("\n"))
    return folder


def test_everything_in_charmcraft_yaml(tmp_path: Path):
    charm = charms.load(write(tmp_path / "web", charmcraft=WHOLE))
    assert (charm.name, charm.path, charm.stand_in) == ("web", tmp_path / "web", False)
    assert charm.endpoints["db"] == charms.EndpointSpec("db", "requires", "sql", 1, optional=False)
    assert charm.endpoints["cache"].interface == "kv"
    assert charm.endpoints["site"].optional
    assert charm.endpoints["peers"].role == "peers"
    assert charm.options["port"] == OptionSpec("port", "int", 80, "Where it listens.")
    assert charm.options["title"].type == "string"
    assert charm.defaults() == {"port": 80}
    assert charm.actions == {"list-images": {}}
    assert charm.resources["image"] == charms.ResourceSpec("image", "oci-image", "", "nginx")
    assert charm.resources["page"].filename == "page.html"
    assert charm.containers == ["web"]
    assert list(charm.storage) == ["pages"]
    assert charm.needs_trust


def test_files_beside_charmcraft_yaml_are_merged_in(tmp_path: Path):
    write(
        tmp_path,
        charmcraft="type: charm\nparts: {}\n",
        metadata="name: web\nrequires: {db: {interface: sql}}\n",
        config="options: {port: {type: int}}\n",
        actions="restart: {description: Again.}\n",
    )
    charm = charms.load(tmp_path)
    assert (charm.name, list(charm.endpoints), list(charm.options)) == ("web", ["db"], ["port"])
    assert charm.actions == {"restart": {"description": "Again."}}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"charmcraft": "name: web\nsummary: a\n", "metadata": "summary: b\n"},
            "metadata.yaml:1:1: summary is already said in charmcraft.yaml",
        ),
        (
            {"charmcraft": "name: web\nconfig: {}\n", "config": "options: {}\n"},
            "config.yaml:1:1: config is already said in charmcraft.yaml",
        ),
        (
            {"charmcraft": "name: web\n", "config": "options:\n  port: {type: integer}\n"},
            'config.yaml:2:10: invalid config: option "port" has unknown type "integer": '
            "expected one of string, int, float, boolean, secret",
        ),
        (
            {"charmcraft": "name: web\n", "actions": "Restart: {}\n"},
            "actions.yaml:1:1: bad action name Restart",
        ),
    ],
    ids=["metadata twice", "config twice", "place in config.yaml", "place in actions.yaml"],
)
def test_files_that_do_not_go_together(tmp_path: Path, files: dict[str, str], expected: str):
    with pytest.raises(CharmError) as refusal:
        charms.load(write(tmp_path, **files))
    assert str(refusal.value) == f"{tmp_path}/{expected}"


BAD = {
    "no YAML": ("a: [\n", "2:1: not YAML: did not find expected node content, while parsing a flow node"),
    "a list": ("[web]", "1:1: expected a mapping"),
    "a key twice": ("name: web\nname: web", '2:1: key "name" already set in this mapping'),
    "no name": ("summary: a", "1:1: name: expected the charm's name"),
    "a bad name": ("name: Web_1", '1:1: name: "Web_1" is no name of a charm'),
    "endpoints in a list": ("name: web\nrequires: [db]", "2:1: requires: expected a mapping"),
    "an endpoint of nothing": ("name: web\nrequires: {db: }", "2:12: requires.db: expected a mapping"),
    "no interface": (
        "name: web\nrequires: {db: {limit: 1}}",
        "2:12: requires.db.interface: expected the interface's name",
    ),
    "a limit in words": (
        "name: web\nrequires: {db: {interface: sql, limit: many}}",
        "2:33: requires.db.limit: expected a whole number above 0, got 'many'",
    ),
    "a limit of true": (
        "name: web\nrequires: {db: {interface: sql, limit: true}}",
        "2:33: requires.db.limit: expected a whole number above 0, got True",
    ),
    "optional in words": (
        "name: web\nrequires: {db: {interface: sql, optional: 'no'}}",
        "2:33: requires.db.optional: expected true or false, got 'no'",
    ),
    "an unknown scope": (
        "name: web\nrequires: {db: {interface: sql, scope: model}}",
        "2:33: requires.db.scope: expected global or container, got 'model'",
    ),
    "a reserved endpoint": (
        "name: web\nprovides: {juju-site: {interface: http}}",
        '2:12: charm "web" using a reserved relation name: "juju-site"',
    ),
    "a reserved interface": (
        "name: web\nprovides: {site: {interface: juju-http}}",
        '2:19: charm "web" relation "site" using a reserved interface: "juju-http"',
    ),
    "an endpoint in two roles": (
        "name: web\nprovides: {db: {interface: sql}}\nrequires: {db: {interface: sql}}",
        '3:12: charm "web" using a duplicated relation name: "db"',
    ),
    "an endpoint's bad name": (
        "name: web\nprovides: {Site: {interface: http}}",
        '2:12: provides.Site: "Site" is no name of an endpoint',
    ),
    "a default of another type": (
        "name: web\nconfig: {options: {port: {type: int, default: eighty}}}",
        '2:38: invalid config default: option "port" expected int, got "eighty"',
    ),
    "an option of nothing": (
        "name: web\nconfig: {options: {port: 80}}",
        "2:20: options.port: expected a mapping",
    ),
    "an unknown resource type": (
        "name: web\nresources: {image: {type: oci-imag}}",
        '2:21: resources.image: unsupported resource type "oci-imag": expected oci-image or file',
    ),
    "a resource without a type": (
        "name: web\nresources: {image: {}}",
        "2:13: resources.image: resource missing type: expected oci-image or file",
    ),
    "a file without a name": (
        "name: web\nresources: {page: {type: file}}",
        "2:13: resources.page: resource missing filename",
    ),
    "a container of no resource": (
        "name: web\ncontainers: {web: {resource: image}}",
        '2:20: referenced resource "image" not found',
    ),
    "a container of a file": (
        "name: web\ncontainers: {web: {resource: page}}\nresources: {page: {type: file, filename: x}}",
        '2:20: referenced resource "page" is not a oci-image',
    ),
    "a mount of no storage": (
        "name: web\ncontainers: {web: {mounts: [{storage: pages, location: /srv}]}}",
        '2:29: container "web": storage "pages" not valid',
    ),
    "a user that Juju keeps": (
        "name: web\ncontainers: {web: {uid: 1000}}",
        '2:20: container "web" has invalid uid 1000: uid cannot be in reserved range 1000-9999',
    ),
    "a parameter of no type": (
        "name: web\nactions: {probe: {params: {deep: {type: stringy}}}}",
        "2:19: invalid params schema for action schema probe: properties.deep.type: "
        "'stringy' is not valid under any of the given schemas",
    ),
    "assumptions in no list": ("name: web\nassumes: k8s-api", "2:1: assumes: expected a list"),
    "an assumption that means nothing": (
        "name: web\nassumes: [juju > 3]",
        '2:1: assumes: malformed feature expression "juju > 3"',
    ),
    "assumptions in an unknown group": (
        "name: web\nassumes: [{none-of: [juju]}]",
        "2:1: assumes: expected any-of or all-of with a list",
    ),
    "storage of no number": (
        "name: web\nstorage: {pages: {type: filesystem, multiple: {range: few}}}",
        "2:48: storage.pages.multiple.range: supported formats are: m (a fixed number), m-n (an explicit "
        'range), and m- (a minimum number), got "few"',
    ),
    "storage of no size": (
        "name: web\nstorage: {pages: {type: filesystem, minimum-size: big}}",
        "2:37: storage.pages.minimum-size: expected a non-negative float with optional M/G/T/P/E/Z/Y suffix, "
        'got "big"',
    ),
    "storage without a type": (
        "name: web\nstorage: {pages: {}}",
        '2:11: charm "web" storage "pages": type must be specified: filesystem or block',
    ),
    "an action's bad name": ("name: web\nactions: {list_images: }", "2:11: bad action name list_images"),
    "a reserved action": (
        "name: web\nactions: {juju-run: {}}",
        '2:11: cannot use action name juju-run: the "juju-" prefix is reserved',
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD)
def test_what_is_no_charm(tmp_path: Path, text: str, expected: str):
    with pytest.raises(CharmError) as refusal:
        charms.load(write(tmp_path, charmcraft=text))
    assert str(refusal.value) == f"{tmp_path}/charmcraft.yaml:{expected}"


def test_keys_of_an_endpoint_that_juju_does_not_know_are_let_be(tmp_path: Path):
    text = "name: web\nrequires: {db: {interface: sql, __schema_source: https://example.com, versions: [v1]}}"
    assert charms.load(write(tmp_path, charmcraft=text)).endpoints["db"].interface == "sql"


@pytest.mark.parametrize(
    ("assumes", "trusted"),
    [
        ("[]", False),
        ("[k8s-api]", True),
        ("[{any-of: [k8s-api >= 1.25, juju]}]", True),
        ("[juju >= 3]", False),
    ],
)
def test_a_charm_that_assumes_the_kubernetes_api_needs_trust(tmp_path: Path, assumes: str, trusted: bool):
    charm = charms.load(write(tmp_path, charmcraft=f"name: web\nassumes: {assumes}"))
    assert charm.needs_trust is trusted


def test_requirers_may_ask_for_what_juju_provides(tmp_path: Path):
    charm = charms.load(write(tmp_path, charmcraft="name: web\nrequires: {node: {interface: juju-info}}"))
    assert charm.endpoints["node"].interface == "juju-info"


OPTION_VALUES = [
    ("string", "80", "80", "80"),
    ("int", 80, "80", 80),
    ("int", "0x50", "80", 80),
    ("float", 0.5, "0.5", 0.5),
    ("boolean", True, "true", True),
    ("boolean", "False", "F", False),
    ("secret", "secret:abc", "secret:abc", "secret:abc"),
]


@pytest.mark.parametrize(("type_", "value", "text", "expected"), OPTION_VALUES)
def test_an_option_takes_what_juju_takes(type_: str, value: object, text: str, expected: object):
    option = OptionSpec("x", type_, None, "")
    assert option.accepts(value)
    assert (option.coerce(value), option.parse(text)) == (expected, expected)


@pytest.mark.parametrize(
    ("type_", "value", "shown"),
    [
        ("string", 80, "80"),
        ("string", True, "true"),
        ("int", 1.0, "1.0"),
        ("int", True, "true"),
        ("int", "1e3", '"1e3"'),
        ("int", " 1", '" 1"'),
        ("float", 1, "1"),
        ("float", "0.5", '"0.5"'),
        ("boolean", 1, "1"),
        ("boolean", "yes", '"yes"'),
        ("secret", "abc", '"abc"'),
        ("string", ["a"], '["a"]'),
    ],
)
def test_an_option_refuses_what_juju_refuses(type_: str, value: object, shown: str):
    option = OptionSpec("x", type_, None, "")
    assert not option.accepts(value)
    with pytest.raises(JujuError) as refusal:
        option.coerce(value)
    assert str(refusal.value) == f'option "x" expected {type_}, got {shown}'


def test_text_that_is_no_float():
    with pytest.raises(JujuError, match='option "x" expected float, got "half"'):
        OptionSpec("x", "float", None, "").parse("half")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write(tmp_path / "charms").joinpath("web").mkdir()
    write(tmp_path / "charms" / "web", charmcraft="name: web")
    return tmp_path


@pytest.mark.parametrize(
    "reference", ["./charms/web", "./charms/web/web_ubuntu@24.04-amd64.charm", "{base}/charms/web"]
)
def test_a_path_means_the_source_folder(base: Path, reference: str):
    charm, origin = charms.find(reference.format(base=base), base)
    assert (charm.name, charm.path, origin) == ("web", base / "charms" / "web", "local")


@pytest.mark.parametrize("reference", ["istio-pilot", "ch:istio-pilot"])
def test_a_name_means_a_stand_in(base: Path, reference: str):
    charm, origin = charms.find(reference, base)
    assert (charm.name, charm.stand_in, origin) == ("istio-pilot", True, "charmhub")


def test_a_folder_can_run_in_the_place_of_a_charmhub_charm(base: Path):
    charm, origin = charms.find("istio-pilot", base, {"istio-pilot": base / "charms" / "web"})
    assert (charm.name, charm.stand_in, origin) == ("web", False, "charmhub")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("./charms/none", 'no charm was found at "./charms/none"'),
        ("./charms", 'no charm was found at "{base}/charms"'),
        (
            "./charms/web/site_amd64.charm",
            'no charm was found at "./charms/web/site_amd64.charm": the charm in {base}/charms/web is "web"',
        ),
        (
            "none",
            'cannot resolve charm or bundle "none": charm or bundle not found: '
            "no stand-in plays it here; --charm none=DIR runs its source",
        ),
    ],
)
def test_a_reference_that_means_nothing(base: Path, reference: str, expected: str):
    with pytest.raises(JujuError) as refusal:
        charms.find(reference, base)
    assert str(refusal.value) == expected.format(base=base)


def test_every_stand_in_is_a_charm_that_juju_would_take():
    folders = [path.parent for path in charms.STAND_INS.glob("*/charmcraft.yaml")]
    assert {charms.load(folder).name for folder in folders} == {folder.name for folder in folders}
