"""The settings of a session of PostgreSQL: values read the same whatever those of its role are."""

SESSION = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "TimeZone": "UTC",
    # A database may switch it off; a backslash in a name would then end the name's literal.
    "standard_conforming_strings": "on",
    # No function of somebody who may create one is called instead of PostgreSQL's own.
    # https://wiki.postgresql.org/wiki/A_Guide_to_CVE-2018-1058
    "search_path": "pg_catalog",
    # Else types and defaults read from the catalogue look different: "text" instead of text.
    "quote_all_identifiers": "off",
    # The text of a value is the same, and the whole value, whatever the role's own settings are.
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmloption": "content",
}
"""Parameters that a connection needs for values to be read right and names to be quoted safely."""
