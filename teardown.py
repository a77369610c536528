"""The command line that removes everything that deploy.py created, and proves it.

It lists what it will remove, asks, removes, looks again, and prints a receipt. It needs no more
than the project, the stage and credentials.
Exit status: 0 nothing is left, 1 something is left or the answer was no, 2 wrong usage or settings.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from deployer.aws import account
from deployer.configuration.declaration import read_secrets
from deployer.configuration.dotenv_file import load_dotenv
from deployer.configuration.settings import read_names
from deployer.errors import DeployError, SettingsError
from deployer.inventory import ResourceId
from deployer.resources.names import Names
from deployer.teardown import Teardown
from deployer.terminal import Terminal

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Remove the deployment and return the exit status."""
    options = _parser().parse_args(arguments)
    terminal = Terminal(json_only=options.json)
    try:
        load_dotenv(Path(".env"), os.environ, terminal.warn)
        return tear_down(options, terminal)
    except DeployError as error:
        terminal.error(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        terminal.note("interrupted: run again to remove the rest")
        return INTERRUPTED


def tear_down(options: argparse.Namespace, terminal: Terminal) -> int:
    """Remove everything that was deployed."""
    read_names(os.environ)  # before AWS is asked for anything
    aws = account.connect(os.environ, report=terminal.event)
    names = Names.read(os.environ, aws.id, aws.region)
    where = f" at {aws.endpoint}" if aws.endpoint else ""
    terminal.note(f"account {aws.id}, region {aws.region}, stage {names.stage}{where}")
    teardown = Teardown(
        aws, names, terminal.event, read_secrets(os.environ), keep_data=options.keep_data
    )
    with terminal.step("search the account"):
        resources = teardown.look()
    if resources and not options.yes and not _confirmed(resources, names, terminal):
        terminal.error("nothing was removed")
        return 1
    with terminal.step("remove, and look again"):
        receipt = teardown.remove()
    terminal.result(receipt.document(), receipt.text())
    return 0 if receipt.is_complete else 1


def _confirmed(resources: Sequence[ResourceId], names: Names, terminal: Terminal) -> bool:
    """Ask whether to remove these resources for good.

    Raises:
        SettingsError: there is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise SettingsError(["there is no terminal to ask at: use --yes to remove without asking"])
    terminal.note("This will be removed, with everything in it:")
    for resource in resources:
        terminal.note(f"  {resource.kind:<14}{resource.name}")
    terminal.note(f"This cannot be undone. Type the stage, {names.stage}, to remove all of it:")
    return sys.stdin.readline().strip() == names.stage


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="teardown.py", description="Remove everything that deploy.py created, and prove it."
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--keep-data", action="store_true", help="keep the buckets and their content"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout, progress on stderr"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
