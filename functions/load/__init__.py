"""Load: apply processed batches to the warehouse in order, each in one transaction."""
