"""What at least two functions need.

    The lake       storage, uploads, parquet, objects (names), carried (the form of rows), keys
    The logs       batchlog, logs, manifests, accounts (files), loaded (markers)
    Databases      database (addresses), postgres, pgconnection, copy, sqlstate, mysql, mysqlcodes
    Events, APIs   received, fields, jsontext, httpclient, httpconnection, gunzip
    A run          errors, settings, secrets, telemetry, notices, text, ahead

Nothing here depends on a function, a source or a target.
"""
