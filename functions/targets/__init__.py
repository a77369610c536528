"""The kinds of targets: one package each, with what only that kind needs."""
