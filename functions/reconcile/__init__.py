"""Reconcile: compare sources with targets row by row, and report where they disagree."""
