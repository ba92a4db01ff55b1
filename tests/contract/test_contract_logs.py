"""Each record that a hook logs is a `juju-log` process on a real unit, and a line that an operator reads."""

from __future__ import annotations

from bench import Bench

from rehearsal.patience import until


def test_a_hook_with_much_to_do_logs_a_handful_of_records(bench: Bench) -> None:
    bench.relate()
    logged = bench.logged("install")
    assert len(logged) < 10, logged


def test_a_hook_in_trouble_says_once_what_is_not_ready(bench: Bench) -> None:
    logged = bench.logged("install")
    plain = [line for line in logged if not line.startswith("DEBUG")]
    assert len(plain) <= 1, plain
    assert len(plain) == bool(bench.required or not bench.needed)  # one that works alone waits for its types
    assert all(endpoint in plain[0] for endpoint in bench.required)


def test_a_hook_that_finds_the_same_trouble_logs_nothing_more(bench: Bench) -> None:
    bench.logged("install")

    def unchanged() -> list[list[str]]:
        before = bench.status
        logged = bench.logged()
        return [logged] if bench.status == before else []

    # A charm that works alone first waits for its types, each of which has a status of its own.
    (logged,) = until(unchanged)
    assert not [line for line in logged if not line.startswith("DEBUG")]
