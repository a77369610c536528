"""One extract at a time per log, because overlapping runs would read the source twice.

Which of several runs owns a batch does not depend on this lock: the batch log decides that.
"""

from functions.common.pgconnection import PostgresConnection

_KEYS = "hashtext('extract'), hashtext(:log)"
# Any role can take any advisory lock, so only sessions of our own role count.
_HELD_BY_OURSELVES = """SELECT EXISTS (
    SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND a.usename = session_user
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (l.classid, l.objid) = (SELECT (first::bigint & 4294967295)::oid,
                                           (second::bigint & 4294967295)::oid
                                    FROM (SELECT {}) AS k (first, second)))"""


def is_alone(connection: PostgresConnection, log: str) -> bool:
    """Take the lock of a log until the transaction ends, if it is free.

    Returns False if another session of our role has it. It works for any role, on replicas and in
    read-only transactions, and ends with the transaction, also behind a pooler.
    """
    [[taken]] = connection.run(f"SELECT pg_try_advisory_xact_lock({_KEYS})", log=log)
    if taken:
        return True
    [[busy]] = connection.run(_HELD_BY_OURSELVES.format(_KEYS), log=log)
    return not busy
