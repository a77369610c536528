"""Reconcile: compare the source with the warehouse row by row, and say where they disagree."""
