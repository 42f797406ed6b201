"""What must be true of cases, decisions, appeals and strikes at any moment."""

from __future__ import annotations

from backend.core.checks import Check
from backend.moderation.reasons import REASONS

_POINTS = ", ".join(f"('{code}', {reason.points})" for code, reason in REASONS.items())

CHECKS = [
    Check(
        name="cases_are_decided_once",
        sql="""
            SELECT c.id AS case, c.status, count(d.id) AS decisions FROM moderation_cases c
            LEFT JOIN moderation_decisions d ON d.case_id = c.id AND d.action NOT IN ('changes', 'flag')
            GROUP BY c.id
            HAVING count(d.id) <> 1 AND c.status IN ('decided', 'appealed')
                OR count(d.id) <> 0 AND c.status IN ('open', 'waiting_for_host')
        """,
        meaning="A case is called decided and nobody decided it, or it waits although somebody has.",
    ),
    Check(
        name="decided_cases_leave_nothing_open",
        sql="""
            SELECT c.id AS case, c.status FROM moderation_cases c
            WHERE c.status IN ('decided', 'appealed', 'closed') AND c.decided_at IS NOT NULL AND (
                EXISTS (SELECT FROM reports r WHERE r.case_id = c.id AND r.status = 'open')
                OR EXISTS (SELECT FROM moderation_flags f WHERE f.case_id = c.id AND f.status = 'open')
            )
        """,
        meaning="Somebody's report hangs on a case that is over: nobody will answer it.",
    ),
    Check(
        name="appeals_are_decided_by_others",
        sql="""
            SELECT a.id AS appeal, a.status, a.decided_by_id AS decided_by FROM moderation_appeals a
            JOIN moderation_decisions d ON d.id = a.decision_id JOIN moderation_cases c ON c.id = d.case_id
            WHERE a.decided_by_id = d.decided_by_id
                OR (a.status = 'open') IS DISTINCT FROM (c.status = 'appealed')
                OR (a.status = 'reversed') IS DISTINCT FROM (d.reversed_at IS NOT NULL)
        """,
        meaning="Somebody has judged their own decision, or an appeal and its case disagree about where they are.",
    ),
    Check(
        name="strikes_are_what_was_decided",
        sql=f"""
            SELECT s.id AS strike, s.points, d.action, d.reason_code FROM moderation_strikes s
            JOIN moderation_decisions d ON d.id = s.decision_id
            LEFT JOIN (VALUES {_POINTS}) AS worth (code, points) ON worth.code = s.reason_code
            WHERE s.person_id <> d.person_id OR s.reason_code <> d.reason_code
                OR d.action NOT IN ('reject', 'suspend', 'suspend_person', 'hide')
                OR (s.removed_at IS NULL) IS DISTINCT FROM (d.reversed_at IS NULL)
                OR worth.points IS NULL
        """,  # noqa: S608 - constants of the program
        meaning="Points count against somebody for what was not decided, or was taken back.",
    ),
]
