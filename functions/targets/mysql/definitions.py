"""Notice that the definition of a table has changed, so that refused rows may fit now."""

import hashlib

from functions.common.mysql import MysqlConnection, literal
from functions.targets.mysql.tables import MysqlLayout

# What decides, by the catalogue's table. Of triggers an account sees those of tables for which it
# has the right TRIGGER.
_COLUMNS = {
    "COLUMNS": """TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT,
        COLLATION_NAME, EXTRA""",
    "STATISTICS": """TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART,
        NON_UNIQUE""",
    "KEY_COLUMN_USAGE": """TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME,
        REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME""",
    "TABLE_CONSTRAINTS": "*",
    "CHECK_CONSTRAINTS": "*",
    "TRIGGERS": """EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME, EVENT_MANIPULATION,
        ACTION_TIMING, ACTION_ORDER, ACTION_STATEMENT""",
}
_BY_SCHEMA = {"CHECK_CONSTRAINTS": "CONSTRAINT_SCHEMA", "TRIGGERS": "EVENT_OBJECT_SCHEMA"}


def definitions_of(connection: MysqlConnection, layout: MysqlLayout) -> str:
    """Return a digest of types, constraints, unique keys and triggers of the tables."""
    tables = list(layout.all.values())
    named = ", ".join(f"({literal(each.schema)}, {literal(each.actual)})" for each in tables)
    schemas = ", ".join({literal(each.schema): None for each in tables})
    found = []
    for name, columns in _COLUMNS.items():
        where = f"(TABLE_SCHEMA, TABLE_NAME) IN ({named})"
        if name in _BY_SCHEMA:
            where = f"{_BY_SCHEMA[name]} IN ({schemas})"
        rows = connection.run(f"SELECT {columns} FROM information_schema.{name} WHERE {where}")
        found.append(sorted(map(repr, rows)))
    return hashlib.sha256(repr(found).encode()).hexdigest()
