"""A PostgreSQL warehouse: batches are applied in order, one transaction each, idempotently.

Where to look, by question:

    What does load call?              loader (opens), session (what tables have), transaction
    Who may load?                     lock
    Can it be loaded?                 ready
    What is there?                    catalogue, tables (how SQL names them), declared, counts
    What is created?                  create (tables), views, current (the SQL of current states)
    How do rows come in?              stage (a temporary table), binary (COPY), apply, fill (several
                                      states of a key), newest (which rows are new), snapshot
    What if a row is refused?         careful (one at a time)
    What follows from a batch?        models, exports, calendar, deletions
    What does reconcile compare?      comparer, disagreements
    What do reports and pages read?   reader
"""
