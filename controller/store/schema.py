"""Which schema the database has and which one this code knows; the way from one to the other (Alembic)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from controller.errors import Unavailable
from controller.store import sql

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x63687574  # one migration at a time, whichever controllers start together


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def known() -> str:
    """The newest revision this code has."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None  # noqa: S101 - there is always a first revision
    return head


def current(conn: Connection) -> str | None:
    """The database's revision, None where it is empty."""
    return MigrationContext.configure(conn).get_current_revision()


def check(conn: Connection) -> None:
    """Refuse a schema this code doesn't know.

    Raises Unavailable, saying what to run.
    """
    have, want = current(conn), known()
    if have == want:
        return
    _not_newer(have)
    raise Unavailable("schema_old", have=have or "-", want=want)


def _not_newer(have: str | None) -> None:
    if have is not None and have not in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}:
        raise Unavailable("schema_unknown", have=have, want=known())


def migrate(conn: Connection, revision: str = "head") -> tuple[str | None, str]:
    """Bring the schema up to date, or to a revision, inside `conn`'s transaction; the revision before, and the newest.

    Raises Unavailable for a schema newer than this code.
    """
    sql.run(conn, "SELECT pg_advisory_xact_lock(:lock)", lock=_LOCK)
    before = current(conn)
    _not_newer(before)
    config = _config()
    config.attributes["connection"] = conn
    command.upgrade(config, revision)
    return before, known()
