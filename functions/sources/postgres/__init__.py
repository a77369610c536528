"""A PostgreSQL database that may only be read: exactly the changes since the last batch.

Where to look, by question:

    How is a batch made?              reader, capture, declared, alone (one run at a time)
    Which moment does it show?        snapshot, history (does it follow the last one?)
    Which rows have changed?          changes (the xmin horizon), plan (how each table is read)
    Which rows come along?            joins, references, rows (copies all of them), parents
    Which rows were deleted?          tablekeys (either form of keys), keysets (integers, in runs),
                                      hashedkeys (all others, in parts), keyhash, keysql, uniqueness
    What can the values be?           columns, sqltypes, large (too large), unfit (not for Arrow)
    How has a table changed?          registry
    What does reconcile compare?      current
"""
