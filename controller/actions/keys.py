"""Whether the keys at hand are those that sealed what the database holds."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.errors import Unavailable
from controller.sealing import Broken, Seal
from controller.store import sql

_CONTEXT, _SAMPLE = "cloud", "chutian"


def check(conn: Connection, seal: Seal) -> None:
    """Leave a sample at the first start; at every later one, open it.

    Raises Unavailable where it doesn't open: a controller with other keys would seal what the others can't open.
    """
    sample = sql.scalar(conn, "SELECT sealed_sample FROM cloud FOR UPDATE")
    if sample is None:
        sql.run(conn, "UPDATE cloud SET sealed_sample = :sample", sample=seal.close(_SAMPLE, _CONTEXT))
        return
    try:
        seal.open(sample, _CONTEXT)
    except Broken as error:
        raise Unavailable("seal_keys_others", detail=str(error)) from error
