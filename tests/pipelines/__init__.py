"""Pipelines of the tests; a test adds this folder to those in which pipelines are looked for."""
