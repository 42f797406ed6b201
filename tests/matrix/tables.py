"""All rows of the database as one value each table: what has changed since, and putting it back."""

from __future__ import annotations

from django.db import connection

from backend.core.db import prepared
from tests.conftest import KEPT

IGNORED = {*KEPT, "rate_counters", "procrastinate_workers"}
"""Reference data, and counts of what was tried, which a refusal may well change."""

COPY = "kept_rows"

TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL (%s) ORDER BY tablename
"""
COLUMNS = """
SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'
"""


class Tables:
    """A copy of all tables in a schema beside them; ``changed`` compares with it, ``restore`` goes back to it."""

    def __init__(self, *, ignored: tuple[str, ...] = ()) -> None:
        with connection.cursor() as cursor:
            cursor.execute(TABLES, [sorted({*IGNORED, *ignored})])
            self.names = [name for (name,) in cursor.fetchall()]
            # Starting helpers takes longer than reading these few rows.
            cursor.execute("SET max_parallel_workers_per_gather = 0")
            cursor.execute("SET ROLE karibu_unbound")
            cursor.execute("CREATE SCHEMA kept_rows")
            self.columns = {}
            for name in self.names:
                cursor.execute(COLUMNS, [name])
                self.columns[name] = cursor.fetchone()[0]
                cursor.execute(f'CREATE TABLE {COPY}."{name}" AS SELECT {self.columns[name]} FROM "{name}"')  # noqa: S608
            cursor.execute("RESET ROLE")
        self.digests = self._digests(self.names)
        self.moment = self._moment()

    def changed(self) -> list[str]:
        """The tables that are no longer what they were. Cheap while nobody has written anything."""
        if self._moment() == self.moment:
            return []
        found = self._digests(self.names)
        changed = [name for name in self.names if found[name] != self.digests[name]]
        if not changed:
            self.moment = self._moment()
        return changed

    def restore(self, changed: list[str]) -> None:
        """Put the rows of these tables back."""
        if changed:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SET LOCAL ROLE karibu_unbound")
                cursor.execute("SET LOCAL session_replication_role = replica")
                for name in changed:
                    columns = self.columns[name]
                    cursor.execute(f'DELETE FROM "{name}"')  # noqa: S608
                    cursor.execute(
                        f'INSERT INTO "{name}" ({columns}) OVERRIDING SYSTEM VALUE SELECT * FROM {COPY}."{name}"'  # noqa: S608
                    )
                cursor.execute("COMMIT")
            assert self._digests(changed) == {name: self.digests[name] for name in changed}
        self.moment = self._moment()

    def drop(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET ROLE karibu_unbound")
            cursor.execute("DROP SCHEMA kept_rows CASCADE")
            cursor.execute("RESET ROLE")
            cursor.execute("RESET max_parallel_workers_per_gather")

    def _moment(self) -> int:
        """Moves on with the first write of every transaction, whatever becomes of it."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
            return int(cursor.fetchone()[0])

    def _digests(self, names: list[str]) -> dict[str, str]:
        parts = [
            f"SELECT '{name}', coalesce(sum(hashtextextended(t::text, 0)), 0)::text "  # noqa: S608
            f'FROM (SELECT {self.columns[name]} FROM "{name}") t'
            for name in names
        ]
        # Planning so many tables takes longer than reading them, and all of them are read after every request.
        with prepared() as cursor:
            cursor.execute(" UNION ALL ".join(parts))
            return dict(cursor.fetchall())
