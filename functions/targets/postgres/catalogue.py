"""The tables in the warehouse's catalogue, and this role's rights."""

from pg8000.native import identifier

from functions.common.errors import WarehouseSetupError
from functions.common.pgconnection import PostgresConnection
from functions.targets.layout import Found

# A type without a btree operator class of pg_catalog may have no equality, or one that is found in
# its own schema only: such values are compared by their text.
_TABLES = """
    SELECT c.relname::text, c.oid, pg_relation_filenode(c.oid),
        array_agg(a.attname::text ORDER BY a.attnum),
        array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum),
        array_remove(array_agg(CASE WHEN a.attidentity <> '' OR
            pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%' THEN a.attname::text END), NULL),
        array_remove(array_agg(CASE WHEN a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
            THEN a.attname::text END), NULL),
        array_remove(array_agg(CASE WHEN NOT EXISTS
            (SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
             WHERE o.opcintype = a.atttypid AND o.opcdefault AND m.amname = 'btree'
             AND o.opcnamespace = 'pg_catalog'::regnamespace) THEN a.attname::text END), NULL),
        ARRAY(SELECT r FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r
            WHERE NOT has_table_privilege(c.oid, r)),
        (SELECT coalesce(json_agg(ARRAY(
                SELECT k.attname::text
                FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS n (at, place)
                JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = n.at
                WHERE place <= i.indnkeyatts ORDER BY place)), '[]')
            FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
            WHERE i.indrelid = c.oid AND i.indisvalid AND m.amname = 'btree'
            AND i.indpred IS NULL AND i.indexprs IS NULL)
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'p')
    GROUP BY c.relname, c.oid"""


def tables_of(connection: PostgresConnection, schema: str) -> dict[str, Found]:
    """Return all tables of a schema by name."""
    return {
        name: Found(
            schema,
            name,
            oid,
            file,
            dict(zip(columns, types, strict=True)),
            numbered,
            required,
            frozenset(opaque),
            frozenset(denied),
            frozenset(map(tuple, indexes)),
        )
        for name, oid, file, columns, types, numbered, required, opaque, denied, indexes in (
            connection.run(_TABLES, schema=schema)
        )
    }


def check_may_create(connection: PostgresConnection, schema: str, what: str) -> None:
    """Raise WarehouseSetupError if this role may not create `what`, which a schema lacks."""
    [[role, database, in_schema, in_database]] = connection.run(
        "SELECT current_user::text, current_database()::text,"
        " (SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE')"
        " FROM pg_namespace WHERE nspname = :schema),"
        " has_database_privilege(current_database(), 'CREATE')",
        schema=schema,
    )
    if in_schema or (in_schema is None and in_database):
        return
    grant = f"USAGE, CREATE ON SCHEMA {identifier(schema)}"
    if in_schema is None:
        what, grant = f"schema {schema}", f"CREATE ON DATABASE {identifier(database)}"
    raise WarehouseSetupError(
        f"{what} is not in the warehouse, and this role may not create it: GRANT {grant} TO "
        f"{identifier(role)}, or set WAREHOUSE_MANAGED=false and ask for the tables to be prepared"
    )
