"""What the charts and tables say, against requests whose figures are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backend.telemetry import histogram, reading, writing
from backend.telemetry.recorder import Failed, Recorder
from tests.telemetry.test_recording import answered

NOW = datetime(2027, 3, 1, 12, 5, tzinfo=UTC)


def ago(**length: float) -> float:
    return (NOW - timedelta(**length)).timestamp()


def test_quantile_lies_within_the_span_of_the_answer() -> None:
    counts = [0] * histogram.SPANS
    for ms in [4.0] * 90 + [40.0] * 9 + [400.0]:
        counts[histogram.span_of(ms)] += 1

    found = [histogram.quantile(counts, share) for share in (0.5, 0.95, 0.999)]

    assert [3 < (found[0] or 0) <= 5, 30 < (found[1] or 0) <= 50, 300 < (found[2] or 0) <= 500] == [True] * 3
    assert histogram.quantile([0] * histogram.SPANS, 0.5) is None
    assert histogram.quantile([0] * (histogram.SPANS - 1) + [7], 0.5) == 10_000


def test_steps_hold_every_request_of_their_time(listening: Recorder) -> None:
    notes = [
        *(answered(at=ago(minutes=1)) for _ in range(6)),
        answered(at=ago(minutes=1), status=500, door="admin"),
        answered(at=ago(minutes=61), ms=90.0),
        answered(at=ago(hours=4)),
    ]
    writing.write(writing.Notes(notes))

    steps = reading.steps_of(reading.PERIODS["3h"], NOW)

    assert (len(steps), steps[-1].at, steps[-1].requests) == (90, datetime(2027, 3, 1, 12, 4, tzinfo=UTC), 7)
    assert dict(steps[-1].by_class) == {2: 6, 5: 1}
    assert steps[-1].a_minute == 7
    assert [(step.at, step.requests) for step in steps[:-1] if step.requests] == [
        (datetime(2027, 3, 1, 11, 4, tzinfo=UTC), 1)
    ]
    assert 3 < (steps[-1].within(0.5) or 0) <= 5


def test_routes_are_summed_over_the_period(listening: Recorder) -> None:
    notes = [
        answered(at=ago(minutes=5)),
        answered(at=ago(minutes=70), ms=300.0, sql_ms=250.0, status=503),
        answered(at=ago(minutes=5), method="POST", route="/api/bookings/", ms=20.0),
        answered(at=ago(days=3)),
    ]
    writing.write(writing.Notes(notes))

    found = {route.method: route for route in reading.routes_of(reading.PERIODS["3h"], NOW)}

    assert (found["GET"].requests, found["GET"].failed, found["GET"].ms, found["GET"].slowest_ms) == (
        2,
        1,
        304.0,
        300.0,
    )
    assert (found["POST"].route, found["POST"].requests, sorted(found)) == (
        "/api/bookings/",
        1,
        ["GET", "POST"],
    )
    month = reading.routes_of(reading.PERIODS["30d"], NOW)
    assert sorted((route.method, route.requests) for route in month) == [("GET", 3), ("POST", 1)]


def test_samples_show_the_worst_of_each_step(listening: Recorder) -> None:
    for minutes, value in ((3, 9.0), (2, 4.0)):
        reading.put_samples({"job_lag_s": value}, now=NOW - timedelta(minutes=minutes))
    reading.put_samples({"job_lag_s": 1.0}, now=NOW - timedelta(minutes=2))

    found = reading.samples_of("job_lag_s", reading.PERIODS["24h"], NOW)

    assert found == {datetime(2027, 3, 1, 12, 0, tzinfo=UTC): 9.0}


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        (reading.Sought(request_id="r-2"), ["r-2"]),
        (reading.Sought(user_id=7), ["r-3", "r-2"]),
        (reading.Sought(status=5), ["r-3"]),
        (reading.Sought(status=404), ["r-4"]),
        (reading.Sought(route="/api/properties/", user_id=7), ["r-3", "r-2"]),
        (reading.Sought(user_id=7, hours=1), ["r-3"]),
    ],
)
def test_lines_are_found_by_what_is_known(
    listening: Recorder, sought: reading.Sought, found: list[str]
) -> None:
    writing.write(
        writing.Notes(
            [
                answered(at=ago(minutes=9), request_id="r-1"),
                answered(at=ago(hours=2), request_id="r-2", user_id=7),
                answered(at=ago(minutes=5), request_id="r-3", user_id=7, status=503),
                answered(at=ago(minutes=7), request_id="r-4", status=404, route=""),
            ]
        )
    )

    assert [line.request_id for line in reading.lines_of(sought, NOW)] == found


def test_errors_are_counted_by_kind_and_found_by_request(listening: Recorder) -> None:
    failed = Failed(ago(minutes=2), "r-1", "api", "api.problems", "request.failed", "KeyError", "Trace", None)
    writing.write(
        writing.Notes(
            failed=[
                failed,
                failed._replace(request_id="r-2", at=ago(minutes=1)),
                failed._replace(at=ago(days=2)),
            ]
        )
    )

    (kind,) = reading.errors_by_kind(reading.PERIODS["3h"], NOW)

    assert (kind["kind"], kind["count"], kind["request_id"]) == ("KeyError", 2, "r-2")
    assert [line.trace for line in reading.errors_of(reading.Sought(request_id="r-2"), NOW)] == ["Trace"]
    assert reading.errors_of(reading.Sought(route="/x"), NOW) == []
