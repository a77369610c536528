"""The kinds of sources: one package each, with what only that kind needs."""
