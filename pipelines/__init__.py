"""The pipelines: a folder of declarations each."""
