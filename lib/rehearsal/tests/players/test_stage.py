"""Whether a rehearsal has players."""

from __future__ import annotations

import threading
from typing import Any

from rehearsal.players.players import Players
from rehearsal.stage import Stage


def test_a_rehearsal_has_players_as_long_as_it_is_up():
    before = set(threading.enumerate())
    with Stage() as stage:
        assert isinstance(stage.players, Players)
        assert stage.players.playing() == []
        assert "players" in {each.name for each in threading.enumerate()}
    left = {each.name for each in set(threading.enumerate()) - before}
    assert not any(name.startswith(("players", "follow ")) for name in left)


def test_a_cluster_of_the_users_own_runs_real_pods(cluster: Any):
    with Stage(kubeconfig=cluster.admin_kubeconfig) as stage:
        assert stage.players is None
