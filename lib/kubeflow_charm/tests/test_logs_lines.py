"""Lines of logs: their times, their length, and where reading goes on."""

from __future__ import annotations

import pytest

from kubeflow_charm.watch.logs.lines import CUT, LIMIT, Cursor, Fresh, Line, parse, shown
from kubeflow_charm.watch.logs.pauses import Pauses

SECOND = 10**9


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"1970-01-01T00:00:01.000000002Z a b\n", Line(SECOND + 2, b"a b")),
        (b"1970-01-01T02:00:01.5+02:00  a\n", Line(SECOND + SECOND // 2, b" a")),
        (b"1970-01-01T00:00:01Z a", Line(SECOND, b"a")),
        (b"1970-01-01T00:00:01Z a\r\n", Line(SECOND, b"a\r")),
        (b"1970-01-01T00:00:01Z \n", Line(SECOND, b"")),
        (b"1970-01-01T00:00:01Z \xff\0\n", Line(SECOND, b"\xff\0")),
        (b"1970-13-01T00:00:01Z a\n", None),
        (b"1970-01-01T00:00:01Z\n", None),
        (b"unable to retrieve container logs for containerd://1\n", None),
        (b"\n", None),
    ],
)
def test_the_time_before_a_line_is_read_to_the_nanosecond(raw, expected):
    assert parse(raw) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a", "a"),
        (b"x" * LIMIT, "x" * LIMIT),
        (b"x" * (LIMIT + 1), "x" * (LIMIT - len(CUT)) + CUT),
        ("é".encode() * LIMIT, "é" * ((LIMIT - len(CUT)) // 2) + CUT),
        (b"\xff" * LIMIT, "�" * ((LIMIT - len(CUT)) // 3) + CUT),  # each becomes three bytes
        (b"a\xffb\0\x1b[0m", "a�b\0\x1b[0m"),
    ],
    ids=["short", "just fits", "one too many", "cut within a letter", "no text", "odd bytes"],
)
def test_a_line_is_text_that_fits_loki(text, expected):
    assert shown(text) == expected
    assert len(shown(text).encode()) <= LIMIT


def again(times: list[int], since: Cursor) -> list[int]:
    """Return which of these lines are new to a reader that stopped at a place."""
    fresh = Fresh(since)
    return [place for place, time in enumerate(times) if fresh.is_new(time)]


TIMES = [10, 20, 20, 20, 30]


@pytest.mark.parametrize("read", range(len(TIMES) + 1))
def test_wherever_reading_stops_it_goes_on_with_the_next_line(read):
    cursor = Cursor(0)
    for time in TIMES[:read]:
        cursor = cursor.after(time, 0)
    assert again(TIMES, cursor) == list(range(read, len(TIMES)))
    # The API server leaves out what is older than a whole second.
    older = [place for place, time in enumerate(TIMES) if time < cursor.time]
    assert again(TIMES[len(older) :], cursor) == list(range(read - len(older), len(TIMES) - len(older)))


def test_a_clock_that_goes_back_makes_no_line_old():
    assert again([30, 10, 20], Cursor(20, 1)) == [0, 1, 2]


def test_the_api_server_is_asked_in_whole_seconds():
    assert Cursor(1_764_510_000 * SECOND + 999_999_999).since == "2025-11-30T13:40:00Z"


def test_pauses_grow_to_a_minute_and_are_short_again_after_a_success():
    pauses = Pauses()
    assert [pauses.next() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    pauses.begin_anew()
    assert pauses.next() == 0.5
