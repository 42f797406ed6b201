"""Transition tables: the allowed edges of a state machine as one dict, for the code and for the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import migrations

from backend.core.errors import WrongState


@dataclass(frozen=True)
class Transitions:
    """The edges of one machine: state → the states that may follow it. States are lower-case words."""

    edges: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, edges: Mapping[str, str]) -> Transitions:
        """Read ``{"draft": "published archived"}``."""
        return cls({state: frozenset(following.split()) for state, following in edges.items()})

    def allows(self, old: str, new: str) -> bool:
        return new in self.edges.get(old, frozenset())

    def require(self, old: str, new: str) -> None:
        """Raises: WrongState when there is no edge from ``old`` to ``new``."""
        if not self.allows(old, new):
            raise WrongState(extra={"state": old})

    def sources(self, new: str) -> list[str]:
        """The states from which ``new`` can be reached, sorted."""
        return sorted(state for state, following in self.edges.items() if new in following)


def guard_trigger(table: str, column: str, transitions: Transitions) -> migrations.RunSQL:
    """A migration step: the database refuses every change of ``column`` that is no edge.

    Raised as a check violation named ``<table>_<column>_edge``.
    """
    name = f"{table}_{column}_edge"
    pairs = ", ".join(
        f"('{old}', '{new}')"
        for old, following in sorted(transitions.edges.items())
        for new in sorted(following)
    )
    return migrations.RunSQL(
        sql=f"""
            CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF (OLD.{column}, NEW.{column}) NOT IN ({pairs}) THEN
                    RAISE EXCEPTION '{table}.{column} may not go from % to %', OLD.{column}, NEW.{column}
                        USING ERRCODE = 'check_violation', CONSTRAINT = '{name}', TABLE = '{table}';
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER {name} BEFORE UPDATE OF {column} ON {table}
                FOR EACH ROW WHEN (OLD.{column} IS DISTINCT FROM NEW.{column}) EXECUTE FUNCTION {name}();
        """,
        reverse_sql=f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}();",
    )


def append_only_trigger(table: str) -> migrations.RunSQL:
    """A migration step: rows of ``table`` are written once and never changed or deleted."""
    name = f"{table}_append_only"
    return migrations.RunSQL(
        sql=f"""
            CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION '{table} is append-only'
                    USING ERRCODE = 'check_violation', CONSTRAINT = '{name}', TABLE = '{table}';
            END $$;
            CREATE TRIGGER {name} BEFORE UPDATE OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION {name}();
        """,
        reverse_sql=f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}();",
    )


def write_once_rights(table: str, *, may_change: str = "id") -> migrations.RunSQL:
    """A migration step: the application's role may neither change, delete nor empty ``table``, its owner though it is.

    Only the columns in ``may_change`` (comma-separated) keep the right to be updated. At least one must: a foreign key
    is checked by locking rows with their owner's rights, which takes it. What may not change of these either is left
    to a trigger. The right to give itself the rights back stays with an owner; ``check_books`` looks for that. Where a
    superuser serves, no right binds.
    """
    name = f"{table}_not_emptied"
    return migrations.RunSQL(
        sql=f"""
            REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM PUBLIC, CURRENT_USER;
            GRANT UPDATE ({may_change}) ON {table} TO CURRENT_USER;
            CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION '{table} may not be emptied'
                    USING ERRCODE = 'check_violation', CONSTRAINT = '{name}', TABLE = '{table}';
            END $$;
            CREATE TRIGGER {name} BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {name}();
        """,
        reverse_sql=f"""
            DROP TRIGGER {name} ON {table};
            DROP FUNCTION {name}();
            REVOKE UPDATE ({may_change}) ON {table} FROM CURRENT_USER;
            GRANT UPDATE, DELETE, TRUNCATE ON {table} TO CURRENT_USER;
        """,
    )
