"""A MySQL or MariaDB warehouse: batches are applied in order and whole, idempotently.

Where to look, by question:

    What does load call?              loader (opens), session (what tables have), transaction
    Who may load?                     lock
    Can it be loaded?                 ready
    What is there?                    catalogue, tables (how SQL names and compares them)
    What is created?                  create (tables), views
    How do rows come in?              literals (INSERT), stage (a temporary table), apply, snapshot
    What if a row is refused?         careful (halves)
    What follows from a batch?        calendar, deletions
    What does reconcile compare?      comparer, disagreements
"""
