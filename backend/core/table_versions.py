"""Versions of tables of reference data, for who keeps what was read from them.

Triggers move a table's version in the very transaction that changes it, whoever changes it and how: by the ORM, by a
statement, by COPY, by hand. So whoever has read a version before reading the table, and finds the same version later, knows
that nothing has been committed in between. The version is the number of the transaction, which a server never gives again;
with it stands when the server started, since one that takes over, or comes out of a backup, may give it again.
"""

from __future__ import annotations

from backend.core.db import prepared

_READ = """
    SELECT concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), string_agg(name || ' ' || version, ',' ORDER BY name))
    FROM table_versions WHERE name = ANY(%s::text[])
"""


def of(*tables: str) -> str:
    """The versions of ``tables`` at this moment, in one statement. A table that was never changed has none."""
    with prepared() as cursor:
        cursor.execute(_READ, [list(tables)])
        (versions,) = cursor.fetchone()
    return str(versions)


def following(table: str) -> tuple[str, str]:
    """For migrations: SQL that lets a version follow ``table``, and SQL that ends it."""
    begin = f"""
        CREATE TRIGGER {table}_version AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION table_version_moves();
    """
    return begin, f"DROP TRIGGER {table}_version ON {table};"
