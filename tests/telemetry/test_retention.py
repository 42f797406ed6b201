"""Old figures and lines go by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection

from backend.core import platform
from backend.telemetry import retention, writing
from backend.telemetry.models import AccessLine, ErrorLine, RequestFigure
from backend.telemetry.recorder import Failed, Recorder
from tests.telemetry.test_recording import answered

NOW = datetime(2027, 3, 10, 13, 0, tzinfo=UTC)


def parts() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relid::text, relpersistence FROM pg_partition_tree('access_lines')"
            " JOIN pg_class ON pg_class.oid = relid WHERE level = 1 ORDER BY 1"
        )
        found = cursor.fetchall()
    assert {kind for _name, kind in found} <= {"u"}
    return [name for name, _kind in found]


def test_lines_go_in_parts(listening: Recorder) -> None:
    # Tables are emptied between tests; the parts that another test made are still there.
    retention.purge_lines(now=NOW + timedelta(days=1))
    assert parts() == []
    writing.write(
        writing.Notes(
            [answered(at=(NOW - timedelta(hours=hours)).timestamp()) for hours in (0, 11, 13, 25, 60)]
        )
    )
    platform.put("access_log_hours", 12)

    dropped = retention.purge_lines(now=NOW)

    # 12 hours ago it was 01:00: the part from 00:00 on is still needed.
    assert (dropped, parts()) == (2, ["access_lines_2027031000", "access_lines_2027031012"])
    assert AccessLine.objects.count() == 3
    assert retention.purge_lines(now=NOW) == 0
    writing.write(writing.Notes([answered(at=(NOW - timedelta(hours=25)).timestamp())]))
    assert AccessLine.objects.count() == 4


def test_errors_go_after_their_days(listening: Recorder) -> None:
    writing.write(
        writing.Notes(
            failed=[
                Failed((NOW - timedelta(days=days)).timestamp(), f"r-{days}", "api", "x", "x", "X", "", None)
                for days in (1, 6)
            ]
        )
    )
    platform.put("error_log_days", 5)

    assert retention.purge_errors(now=NOW) == 1
    assert list(ErrorLine.objects.values_list("request_id", flat=True)) == ["r-1"]


def test_minutes_go_before_hours_and_totals_never(listening: Recorder) -> None:
    ages = [timedelta(hours=1), timedelta(hours=26), timedelta(days=40)]
    writing.write(writing.Notes([answered(at=(NOW - age).timestamp()) for age in ages]))

    retention.purge_figures(now=NOW)

    assert [
        RequestFigure.objects.filter(span=span, method="").count()
        for span in (RequestFigure.MINUTE, RequestFigure.HOUR)
    ] == [1, 2]
    assert RequestFigure.objects.get(span=RequestFigure.EVER).requests == 3
