"""What must be true of notices, live events and mails at any moment."""

from __future__ import annotations

from backend.core.checks import Check

CHECKS = [
    Check(
        name="notices_once",
        sql="""
            SELECT user_id, kind, object_key, count(*) AS told FROM notifications
            GROUP BY user_id, kind, object_key HAVING count(*) > 1
        """,
        meaning="Somebody was told the same thing twice.",
    ),
    Check(
        name="live_events_gapless",
        sql="""
            SELECT u.id AS user, u.event_seq, count(e.seq) AS events, min(e.seq) AS first, max(e.seq) AS last
            FROM users u JOIN live_events e ON e.user_id = u.id
            GROUP BY u.id, u.event_seq
            HAVING count(*) <> count(e.seq) OR max(e.seq) <> u.event_seq OR max(e.seq) - min(e.seq) + 1 <> count(e.seq)
        """,
        meaning="A client that resumes would miss an event, or an event was never numbered.",
    ),
    Check(
        name="mails_have_their_job",
        sql="""
            SELECT d.id AS delivery, d.state, d.attempts FROM deliveries d
            WHERE d.state IN ('queued', 'sending') AND NOT EXISTS (
                SELECT FROM procrastinate_jobs j
                WHERE j.task_name = CASE d.channel WHEN 'sms' THEN 'notifications.deliver_sms' ELSE 'notifications.deliver_email' END
                  AND j.status IN ('todo', 'doing')
                  AND (j.args ->> 'delivery_id')::bigint = d.id
            )
        """,
        meaning="A mail or a short message waits that no job will ever send.",
    ),
    Check(
        name="notices_reach_their_sockets",
        sql="""
            SELECT n.id AS notification, n.user_id FROM notifications n
            WHERE n.in_app AND n.created_at >= (SELECT min(created_at) FROM live_events e WHERE e.user_id = n.user_id)
              AND NOT EXISTS (
                SELECT FROM live_events e
                WHERE e.user_id = n.user_id AND e.type = 'notification' AND e.data ->> 'id' = n.id::text
            ) AND n.created_at > now() - interval '29 days'
        """,
        meaning="Somebody has a notice that no socket of theirs was ever told of.",
    ),
]
