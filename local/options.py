"""The options of `deploy.py local`: the databases, the ports, and where its files are kept."""

import argparse
from collections.abc import Mapping

from deployer.configuration.declaration import read_pipeline
from deployer.terminal import Terminal
from local.addresses import read_address
from local.preflight import only_parts, own_folder
from local.sandbox import Options


def chosen(
    options: argparse.Namespace, environment: Mapping[str, str], terminal: Terminal
) -> Options:
    """Return what was asked for; raise SettingsError for what the pipeline cannot be run with."""
    name, declared = read_pipeline(environment)
    source, target = only_parts(name, declared)
    return Options(
        directory=options.dir or own_folder(name, terminal.warn),
        source_url=read_address(
            "--source-url", options.source_url, source.setting, environment, terminal
        )
        if source
        else options.source_url,
        warehouse_url=read_address(
            "--warehouse-url",
            options.warehouse_url,
            target.setting,
            environment,
            terminal,
            kind=target.kind,
        ),
        port=options.port,
        postgres_port=options.postgres_port,
        scale=options.scale,
        managed=options.managed,
    )
