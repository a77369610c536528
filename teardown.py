"""The command line that removes everything which deploy.py made, and proves it.

It lists what it will remove, asks, removes, looks again, and prints a receipt. Project, stage and
credentials are all that it needs.
Exit status: 0 nothing is left, 1 something stays or nobody agreed, 2 wrong usage or settings.
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
        terminal.note("interrupted: removed things are gone, running again continues from there")
        return INTERRUPTED


def tear_down(options: argparse.Namespace, terminal: Terminal) -> int:
    """Remove everything that was deployed."""
    project, stage = read_names(os.environ)
    aws = account.connect(os.environ, report=terminal.event)
    names = Names(project, stage, aws.id, aws.region)
    where = f" at {aws.endpoint}" if aws.endpoint else ""
    terminal.note(f"account {aws.id}, region {aws.region}, stage {stage}{where}")
    teardown = Teardown(
        aws, names, terminal.event, read_secrets(os.environ), keep_data=options.keep_data
    )
    with terminal.step("account is searched"):
        things = teardown.look()
    if things and not options.yes and not _agreed(things, names, terminal):
        terminal.error("nothing was removed")
        return 1
    with terminal.step("removal, and a look at what is left"):
        receipt = teardown.remove()
    terminal.result(receipt.document(), receipt.text())
    return 0 if receipt.is_complete else 1


def _agreed(things: Sequence[ResourceId], names: Names, terminal: Terminal) -> bool:
    """Ask whether these things are to be removed, for good.

    Raises:
        SettingsError: there is nobody to answer.
    """
    if not sys.stdin.isatty():
        raise SettingsError(["nobody is at the terminal to agree: use --yes to remove unasked"])
    terminal.note("This will be removed, with all that is in it:")
    for thing in things:
        terminal.note(f"  {thing.kind:<14}{thing.name}")
    terminal.note(f"There is no way back. Type the stage, {names.stage}, to remove all of it:")
    return sys.stdin.readline().strip() == names.stage


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="teardown.py", description="Remove everything that deploy.py made, and prove it."
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--keep-data", action="store_true", help="leave the buckets and their content"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout, progress on stderr"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
