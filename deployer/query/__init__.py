"""SQL over the lake, in DuckDB: target tables as the warehouse has them, or had them before.

    command    the options of `deploy.py query`
    query      one question, from the logs to the answer
    lake       the logs and objects of a deployment, as of a moment
    logs       the manifests and markers of a source, as far as they matter here
    moments    which batches the warehouse had at a moment
    tables     the objects of a table at a moment, and rows that the warehouse never accepted
    cache      objects on this machine, each checked when it arrives
    catalog    the names that a statement may use
    columns    the types of columns, from the SQL that creates the tables
    database   the tables and views that a statement names, in a database that is locked down
    rows       the rows of one table, from its objects
    reducing   which of them count, by the way in which rows combine
    answers    rows as a table, CSV, JSON or Parquet
    engine     DuckDB, installed on first use

Nothing here writes to the account, and nothing connects to the warehouse.
"""
