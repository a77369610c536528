"""Notice that the definition of a table has changed, so that refused rows may fit now."""

import hashlib

from functions.common.pgconnection import PostgresConnection
from functions.targets.postgres.tables import PostgresLayout

_DEFINITIONS = """
    SELECT attrelid, attname::text, format_type(atttypid, atttypmod), attnotnull::text
    FROM pg_attribute WHERE attrelid = ANY(:oids) AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT conrelid, conname::text, pg_get_constraintdef(oid), convalidated::text
    FROM pg_constraint WHERE conrelid = ANY(:oids) OR contypid IN
        (SELECT atttypid FROM pg_attribute WHERE attrelid = ANY(:oids))
    UNION ALL SELECT indrelid, pg_get_indexdef(indexrelid), '', ''
    FROM pg_index WHERE indrelid = ANY(:oids) AND indisunique
    UNION ALL SELECT tgrelid, pg_get_triggerdef(t.oid), prosrc, tgenabled::text
    FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid
    WHERE tgrelid = ANY(:oids) AND NOT tgisinternal
    ORDER BY 1, 2, 3, 4"""


def definitions_of(connection: PostgresConnection, layout: PostgresLayout) -> str:
    """Return a digest of types, constraints, unique indexes and triggers of the tables."""
    oids = [table.oid for table in layout.identity.tables.values()]
    rows = connection.run(_DEFINITIONS, oids=oids)
    return hashlib.sha256(repr(rows).encode()).hexdigest()
