"""Files for other terminals: the sandbox's settings, and programs to look inside.

Passwords are in files beside them, which their owner alone may read, and never in a command line.
"""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from deployer.configuration.settings import Settings
from local.endpoints import agent_of
from local.mysql import SUPERUSER as MYSQL_SUPERUSER
from local.mysql import MysqlServer
from local.mysql.installation import library_path
from local.postgres import SUPERUSER, PostgresServer

SECRET, PROGRAM = 0o600, 0o700
Files = Mapping[str, tuple[str, int]]
"""Text and mode of files, by their names."""


def exports(addresses: Mapping[str, str], settings: Settings) -> Files:
    """Return the settings as a shell reads them; `addresses` are those of AWS and the databases."""
    values = {
        **addresses,
        **settings.own,
        "MAX_REJECTS": settings.max_rejects,
        "NOTIFY": settings.notify,
        "WAREHOUSE_SCHEMA": settings.warehouse_schema,
        "WAREHOUSE_MANAGED": str(settings.warehouse_managed).lower(),
        "PROJECT": settings.project,
        "STAGE": settings.stage,
        "EXTRACT_SCHEDULE": settings.extract_schedule,
        "LOAD_SCHEDULE": settings.load_schedule,
        "LAKE": settings.lake,
        "LAKE_SCHEDULE": settings.lake_schedule,
    }
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    return {"env": ("".join(lines), SECRET)}


def curl(settings: Settings, token: str) -> Files:
    """Return curl's options for a report: both tokens, which no command line then shows."""
    [bearer, *_] = settings.reports.tokens
    options = (
        f'user-agent = "{agent_of(token)}"\n'
        f'header = "Authorization: Bearer {bearer}"\n'
        "silent\nshow-error\n"
    )
    return {"curl": (options, SECRET)}


def psql(server: PostgresServer, folder: Path, database: str) -> Files:
    """Return a script that opens psql as the superuser, and its password."""
    entry = f"{server.host}:{server.port}:*:{SUPERUSER}:{server.password(SUPERUSER)}\n"
    passwords = shlex.quote(str(folder / "pgpass"))
    program = shlex.quote(str(server.psql or "psql"))
    script = (
        "#!/bin/sh\n"
        "# psql [DATABASE] [OPTION...]\n"
        f"case ${{1--}} in -*) database={database} ;; *) database=$1; shift ;; esac\n"
        # Our server asks by SCRAM, which does not reveal the password to another server.
        f"PGPASSFILE={passwords} PGREQUIREAUTH=scram-sha-256 exec {program} "
        f'-h {server.host} -p {server.port} -U {SUPERUSER} -d "$database" "$@"\n'
    )
    return {"pgpass": (entry, SECRET), "psql": (script, PROGRAM)}


def mysql(server: MysqlServer, folder: Path, database: str) -> Files:
    """Return a script that opens MySQL's client as the superuser, and its options.

    Without a client beside the server it uses the one on the PATH.
    """
    installation = server.installation
    options = (
        "[client]\n"
        f"host={server.host}\nport={server.port}\nprotocol=tcp\n"
        f"user={MYSQL_SUPERUSER}\npassword={server.password(MYSQL_SUPERUSER)}\n"
        "default-character-set=utf8mb4\n"
    )
    variables = (
        f"{name}={shlex.quote(each)} " for name, each in library_path(installation).items()
    )
    script = (
        "#!/bin/sh\n"
        "# mysql [OPTION...] [DATABASE]\n"
        f"[ $# -gt 0 ] || set -- {database}\n"
        f"{''.join(variables)}exec {shlex.quote(str(installation.client or 'mysql'))} "
        f"--defaults-file={shlex.quote(str(folder / 'my.cnf'))} "
        '"$@"\n'
    )
    return {"my.cnf": (options, SECRET), "mysql": (script, PROGRAM)}


def drop(bucket: str, folder: Path) -> Files:
    """Return a script that puts files into a bucket of the sandbox, under their own names.

    A first argument that ends in a slash is the folder of the bucket.
    """
    program = (
        "import boto3, os, sys\n"
        "files = sys.argv[1:]\n"
        "folder = files.pop(0) if files and files[0].endswith('/') else ''\n"
        "for path in files:\n"
        f"    boto3.client('s3').upload_file(path, {bucket!r}, folder + os.path.basename(path))\n"
    )
    script = (
        "#!/bin/sh\n"
        "# drop [FOLDER/] FILE...\n"
        f". {shlex.quote(str(folder / 'env'))}\n"
        f'exec {shlex.quote(sys.executable)} -c {shlex.quote(program)} "$@"\n'
    )
    return {"drop": (script, PROGRAM)}
