"""Load: apply processed batches to the prepared warehouse, each in one transaction, in order."""
