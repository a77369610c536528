"""Imported by the server that forks invocations; nothing else should import it."""

from tests.pipeline.invocation import warm_up

warm_up()
