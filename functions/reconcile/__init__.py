"""Reconcile: compare sources with targets row by row, and say where they disagree."""
