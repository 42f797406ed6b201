"""Jobs of workers that died in the middle: done again by others.

The queue leaves them as they were, and a job that nobody ends keeps its lock: no sweep of its name would ever run again.
"""

from __future__ import annotations

import structlog
from django.db import connection

SILENT_S = 45
"""A worker that has not been heard of for so long is dead; it says every 10 seconds that it lives."""

MOST_TRIES = 30
"""A job that was begun so often and whose worker died again is taken to kill its workers. No job retries as often itself."""

log = structlog.get_logger(__name__)


def take_over(*, silent_s: int = SILENT_S) -> dict[str, int]:
    """Put the jobs of dead workers back into the queue, or end them where the next of their kind waits there anyway.

    Jobs may run twice without harm, so that a worker that was only slow loses nothing. One that was tried ``MOST_TRIES``
    times fails for good: it would take one worker after the other along. How many were ``retried``, how many ``ended``,
    and how many were ``given_up``.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH dead AS (
                SELECT job.id, job.queueing_lock, job.attempts
                FROM procrastinate_jobs job LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
                WHERE job.status = 'doing'
                  AND (worker.id IS NULL OR worker.last_heartbeat < clock_timestamp() - make_interval(secs => %s))
                FOR UPDATE OF job SKIP LOCKED
            ), judged AS (
                SELECT id, queueing_lock IS NOT NULL AND (
                    row_number() OVER (PARTITION BY queueing_lock ORDER BY id DESC) > 1
                    OR EXISTS (
                        SELECT FROM procrastinate_jobs other
                        WHERE other.queueing_lock = dead.queueing_lock AND other.status = 'todo'
                    )
                ) AS ends, attempts + 1 >= %s AS kills
                FROM dead
            ), moved AS (
                UPDATE procrastinate_jobs job
                SET status = (CASE WHEN ends THEN 'aborted' WHEN kills THEN 'failed' ELSE 'todo' END)
                        ::procrastinate_job_status,
                    attempts = attempts + (NOT ends)::int
                FROM judged WHERE job.id = judged.id
                RETURNING job.status
            )
            SELECT count(*) FILTER (WHERE status = 'todo'), count(*) FILTER (WHERE status = 'aborted'),
                count(*) FILTER (WHERE status = 'failed')
            FROM moved
            """,
            [silent_s, MOST_TRIES],
        )
        retried, ended, given_up = cursor.fetchone()
    if retried or ended:
        log.warning("jobs.taken_over", count=retried + ended)
    if given_up:
        log.error("jobs.given_up", count=given_up)
    return {"retried": retried, "ended": ended, "given_up": given_up}
