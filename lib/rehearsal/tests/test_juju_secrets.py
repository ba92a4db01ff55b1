"""Secrets: owner, grant before read, revisions, labels, events (Juju's references "Secret" and "Hook")."""

from __future__ import annotations

import datetime
import re

import pytest
from juju_model import Juju

from rehearsal.juju.model import secrets
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Secret, Settings, now

# The owner makes a secret at its install, tells its users of it, and does what its number says.
OWNER = """
def mine(): return self.model.get_secret(label="mine")
r = self.model.get_relation("web")
size = self.config["size"]
if name == "leader-elected":
  self.app.add_secret({"key": "first"}, label="mine", description="a key")
if name == "config-changed" and size == 4: mine().grant(r); r.data[self.app]["id"] = mine().get_info().id
if name == "config-changed" and size == 5:
  mine().set_content({"key": "second"})
  mine().get_content(refresh=True)
if name == "config-changed" and size == 6: mine().revoke(r)
if name == "config-changed" and size == 7: mine().remove_all_revisions()
if name == "config-changed" and size == 8: mine().set_content({"key": "first"})
if name == "config-changed" and size == 9: mine().set_content({"key": "third"})
if name == "secret-remove": tell([name, event.secret.label, event.revision]); event.remove_revision()
"""
# The user reads it in every action, as its parameters say.
USER = """
def read(**how):
  id = self.model.get_relation("db").data[self.model.get_relation("db").app].get("id")
  try: secret = self.model.get_secret(id=id, label="theirs")
  except (ops.SecretNotFoundError, ops.ModelError) as error: return type(error).__name__
  if how.get("peek"): return secret.peek_content()["key"]
  return secret.get_content(refresh=how.get("refresh", False))["key"]
if name == "say":
  words = event.params["words"]
  tell(read(**{words: True}))
if name == "secret-changed": tell([name, event.secret.label])
"""


def deploy(juju: Juju) -> Secret:
    """Deploy `b`, which owns a secret, and `a`, which is related; return the secret."""
    juju.deploy("b", config={"script": OWNER})
    juju.deploy("a", config={"script": USER})
    juju.integrate("a:db", "b:web")
    juju.settle()
    (secret,) = juju.model.secrets.values()
    return secret


def step(juju: Juju, size: int) -> None:
    """Have the owner do something."""
    juju.config("b", size=size)
    juju.settle()


def read(juju: Juju, how: str = "", unit: str = "a/0") -> object:
    """Have a unit of the user's read, and return what it got."""
    juju.run(unit, "say", words=how)
    juju.settle()
    return next(said for said in reversed(juju.told(unit)) if not isinstance(said, list))


def test_a_secret_belongs_to_who_made_it(juju: Juju) -> None:
    secret = deploy(juju)
    assert re.fullmatch("[0-9a-v]{20}", secret.id)
    assert (secret.owner, secret.label, secret.description) == ("b", "mine", "a key")
    assert secret.revisions == {1: {"key": "first"}}


def test_nobody_reads_what_was_not_granted(juju: Juju) -> None:
    secret = deploy(juju)
    (relation,) = (r for r in juju.model.relations.values() if not r.is_peer)
    # The identifier alone is not enough.
    relation.application_data["b"] = Settings({"id": secret.uri}, 1)
    juju.settle()
    assert read(juju) == "SecretNotFoundError"
    step(juju, 4)
    assert secret.grants == {"a": relation.id}
    assert read(juju) == "first"
    step(juju, 6)
    assert secret.grants == {}
    assert read(juju) == "SecretNotFoundError"


def test_a_grant_ends_with_the_relation_that_scoped_it(juju: Juju) -> None:
    secret = deploy(juju)
    step(juju, 4)
    with juju.engine.lock:
        juju.engine.remove_relation(juju.model.relations[secret.grants["a"] or 0])
    juju.settle()
    assert secret.grants == {}


def test_a_reader_goes_on_with_its_revision_until_it_refreshes(juju: Juju) -> None:
    secret = deploy(juju)
    step(juju, 4)
    assert read(juju) == "first"
    step(juju, 5)
    assert secret.revisions == {1: {"key": "first"}, 2: {"key": "second"}}
    assert [read(juju, how) for how in ("", "peek", "", "refresh", "")] == [
        "first",
        "second",
        "first",
        "second",
        "second",
    ]
    assert secret.consumers["a/0"] == 2


def test_the_same_content_again_is_no_revision(juju: Juju) -> None:
    secret = deploy(juju)
    step(juju, 8)
    assert secret.latest == 1


def test_readers_are_told_of_a_new_revision_once_and_by_their_own_label(juju: Juju) -> None:
    deploy(juju)
    step(juju, 4)
    juju.scale("a", 2)
    juju.settle()
    read(juju)
    step(juju, 5)
    assert [said for said in juju.told("a/0") if isinstance(said, list)] == [["secret-changed", "theirs"]]
    # Who has never read it is not told.
    assert "secret-changed" not in juju.ran("a/1")
    assert "secret-changed" not in juju.ran("b/0")


def test_the_owner_is_told_of_a_revision_that_nobody_needs_any_more(juju: Juju) -> None:
    secret = deploy(juju)
    step(juju, 4)
    assert read(juju) == "first"
    step(juju, 5)
    assert "secret-remove" not in juju.ran("b/0")
    assert read(juju, "refresh") == "second"
    assert juju.told("b/0") == [["secret-remove", "mine", 1]]
    assert list(secret.revisions) == [2]


def test_a_revision_that_nobody_has_read_is_obsolete_at_once(juju: Juju) -> None:
    secret = deploy(juju)
    assert secret.consumers == {}
    step(juju, 5)
    assert juju.told("b/0") == [["secret-remove", "mine", 1]]


def test_an_owner_that_has_read_it_goes_on_with_its_revision_too(juju: Juju) -> None:
    """Since Juju 3.3.1 owners refresh like everybody else."""
    secret = deploy(juju)
    step(juju, 4)
    step(juju, 9)
    assert secret.consumers == {"b/0": 1}
    assert "secret-remove" not in juju.ran("b/0")


def test_a_removed_secret_is_gone(juju: Juju) -> None:
    deploy(juju)
    step(juju, 7)
    assert juju.model.secrets == {}


def test_secrets_go_with_their_owner(juju: Juju) -> None:
    unit = "if name == 'install': self.unit.add_secret({'key': 'of the unit'}, label='own')"
    juju.deploy(
        "c",
        scale=2,
        config={"script": unit + "\nif name == 'leader-elected': self.app.add_secret({'key': 'x'})"},
    )
    juju.settle()
    assert sorted(secret.owner for secret in juju.model.secrets.values()) == ["c", "c/0", "c/1"]
    juju.scale("c", 1)
    juju.settle()
    assert sorted(secret.owner for secret in juju.model.secrets.values()) == ["c", "c/0"]
    juju.remove("c")
    juju.settle()
    assert juju.model.secrets == {}


def test_a_failed_hook_leaves_no_secret_behind(juju: Juju) -> None:
    juju.deploy(
        "c", config={"script": "if name == 'start': self.app.add_secret({'key': 'x'}); raise RuntimeError"}
    )
    juju.fail_now("c/0")
    assert juju.model.secrets == {}


def test_standby_units_read_their_applications_secrets_and_cannot_change_them(juju: Juju) -> None:
    script = (
        "if name == 'leader-elected': self.app.add_secret({'key': 'x'}, label='mine')\n"
        "if name == 'say':\n"
        "  s = self.model.get_secret(label='mine'); tell(s.get_content())\n"
        "  s.set_content({'key': 'y'})"
    )
    juju.deploy("c", scale=2, config={"script": script})
    juju.settle()
    assert juju.run("c/1", "say").status == "failed"
    assert juju.told("c/1") == [{"key": "x"}]
    assert [secret.latest for secret in juju.model.secrets.values()] == [1]
    assert juju.run("c/0", "say").status == "completed"
    juju.settle()
    assert [secret.latest for secret in juju.model.secrets.values()] == [2]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("hourly", "2026-01-31 13:00"),
        ("daily", "2026-02-01 12:00"),
        ("weekly", "2026-02-07 12:00"),
        ("monthly", "2026-02-28 12:00"),
        ("quarterly", "2026-04-30 12:00"),
        ("yearly", "2027-01-31 12:00"),
        ("never", None),
        ("", None),
    ],
)
def test_rotation_policies(policy: str, expected: str | None) -> None:
    after = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    found = secrets.next_rotation(policy, after)
    assert (found and found.strftime("%Y-%m-%d %H:%M")) == expected


ROTATING = """
if name == "leader-elected":
  self.app.add_secret({"key": "1"}, label="mine", rotate=ops.SecretRotate.HOURLY)
if name == "secret-rotate":
  tell([name, event.secret.label])
  if self.config["size"] == 4: event.secret.set_content({"key": "2"})
"""


@pytest.mark.parametrize(("size", "again"), [(3, 5), (4, 60)], ids=["not rotated", "rotated"])
def test_a_secret_that_became_stale_is_rotated_or_told_of_again(juju: Juju, size: int, again: int) -> None:
    juju.deploy("c", config={"script": ROTATING, "size": size})
    juju.settle()
    (secret,) = juju.model.secrets.values()
    assert secret.rotates is not None
    assert "secret-rotate" not in juju.ran("c/0")
    with juju.engine.lock:
        secret.rotates = now() - datetime.timedelta(seconds=1)
        juju.engine.poke()
    juju.settle()
    assert juju.told("c/0") == [["secret-rotate", "mine"]]
    minutes = (secret.rotates - now()).total_seconds() / 60
    assert again - 1 < minutes <= again


EXPIRING = """
import datetime
if name == "leader-elected":
  self.app.add_secret({"key": "1"}, label="mine", expire=datetime.timedelta(hours=1))
if name == "secret-expired":
  tell([name, event.secret.label, event.revision])
  if self.config["size"] == 4: event.remove_revision()
"""


@pytest.mark.parametrize(("size", "left"), [(3, [1, 2]), (4, [2])], ids=["kept", "removed"])
def test_a_revision_that_expires_is_told_of_until_it_is_removed(
    juju: Juju, size: int, left: list[int]
) -> None:
    juju.deploy("c", config={"script": EXPIRING, "size": size})
    juju.settle()
    (secret,) = juju.model.secrets.values()
    assert 59 < (secret.expirations[1] - now()).total_seconds() / 60 <= 60
    with juju.engine.lock:
        secret.consumers["x/0"] = 1  # somebody still reads it, so it is not obsolete
        secrets.revise(secret, {"key": "2"})
        secret.expirations[1] = now() - datetime.timedelta(seconds=1)
        juju.engine.poke()
    juju.settle()
    assert juju.told("c/0") == [["secret-expired", "mine", 1]]
    assert sorted(secret.revisions) == left
    if 1 in left:
        assert 4 < (secret.expirations[1] - now()).total_seconds() / 60 <= 5
    else:
        assert secret.expirations == {}


def test_a_users_secret_is_read_by_grant_and_told_of(juju: Juju) -> None:
    script = (
        "if name == 'say':\n"
        "  try: tell(self.model.get_secret(id=event.params['words']).get_content())\n"
        "  except ops.ModelError as error: tell([type(error).__name__, str(error)])\n"
        "if name == 'secret-changed': tell(event.secret.get_content(refresh=True))"
    )
    juju.deploy("c", config={"script": script})
    juju.settle()
    with juju.engine.lock:
        secret = secrets.add_user_secret(juju.model, "token", {"key": "1"})
        with pytest.raises(JujuError, match='secret with name "token" already exists'):
            secrets.add_user_secret(juju.model, "token", {"key": "2"})
        assert secrets.find(juju.model, "token") is secret
    juju.run("c/0", "say", words=secret.uri)
    juju.run("c/0", "say", words=f"secret:{secrets.new_id()}")
    assert juju.told("c/0")[0] == ["ModelError", "ERROR permission denied"]
    assert juju.told("c/0")[1][0] == "SecretNotFoundError"
    secret.grants["c"] = None
    juju.run("c/0", "say", words=secret.uri)
    with juju.engine.lock:
        secrets.revise(secret, {"key": "2"})
        juju.engine.poke()
    juju.settle()
    assert juju.told("c/0")[2:] == [{"key": "1"}, {"key": "2"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{'key': 'x' * 750_001}", 'base64 encoded secret content for key "key" too large: 1000004 bytes'),
        ("{'one': 'x' * 450_000, 'two': 'x' * 450_000}", "base64 encoded secret content too large: 1200000"),
    ],
)
def test_a_secret_of_more_than_a_million_bytes_is_refused(juju: Juju, content: str, said: str) -> None:
    script = f"""
if name == 'leader-elected':
  self.app.add_secret({{'key': 'x' * 750_000}}, label='fits')
  try: self.app.add_secret({content}, label='large')
  except ops.ModelError as error: tell(str(error))
"""
    juju.deploy("c", config={"script": script})
    juju.settle()
    assert [text for text in juju.told("c/0") if said in text]
    assert [secret.label for secret in juju.model.secrets.values()] == ["fits"]
