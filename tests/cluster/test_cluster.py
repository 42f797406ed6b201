"""The benchmark of the cluster: what it counts as dropped, and since when it counts a cluster as mended."""

from __future__ import annotations

from bench.cluster.load import IN_A_ROW, Count, mended_after
from bench.cluster.trial import Row
from bench.faults.journal import Heard


def heard(at: float, status: int, *, says_when: bool = False) -> Heard:
    """An answer that was given at ``at``."""
    wrong = f"{status} " if status >= 500 and status != 503 else ""
    return Heard(at - 0.1, 0.1, "search", status, "" if status else "ReadError", wrong, says_when)


def test_a_request_is_dropped_without_an_answer_or_a_time_to_come_again() -> None:
    answers = [heard(1, 200), heard(2, 0), heard(3, 502), heard(4, 503), heard(5, 503, says_when=True)]

    count = Count.of([*answers, heard(6, 404)])

    assert count.answers == 6
    assert count.dropped == {"search: ReadError": 1, "search: 502": 1, "search: 503": 1}
    assert count.declared == 1
    assert count.wrong == {}


def test_a_500_is_never_said() -> None:
    assert Count.of([heard(1, 500)]).wrong == {"search: 500 ": 1}


def test_mended_is_when_the_last_bad_answer_was_followed_by_enough_good_ones() -> None:
    good = [heard(20 + number / 10, 200) for number in range(IN_A_ROW)]

    assert mended_after([heard(11, 200), heard(13, 0), *good], 10) == 3
    assert mended_after([heard(11, 200), *good], 10) == 0
    assert mended_after([*good, heard(30, 502)], 10) is None


def test_in_a_restart_nobody_may_notice_anything() -> None:
    count = Count.of([heard(1, 0), heard(2, 503, says_when=True)])
    killed = Row("kill", count=count, mended_s=1.0, away=[4.0])
    restarted = Row("restart", is_rolling=True, count=count, mended_s=1.0, away=[4.0])

    assert killed.missed() == []
    assert restarted.missed() == ["a socket was away for 4.0 s", "dropped: 1 × search: ReadError", "1 × 503"]


def test_what_is_lost_counts_unless_it_was_said_before() -> None:
    row, said = Row("crash", mended_s=0.0), Row("lose", may_lose=True, mended_s=0.0)
    for each in (row, said):
        each.verdict.lost.append("message 7")

    assert row.missed() == ["lost: message 7"]
    assert said.missed() == []
