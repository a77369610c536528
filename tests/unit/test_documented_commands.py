"""The commands, the alarms and the settings on the pages are those that there are."""

import argparse
import re
import shlex
from collections.abc import Iterator

import pytest

import deploy
import teardown
from deployer.arguments import parser
from deployer.resources import specs
from deployer.resources.alarm_specs import alarms, possible_alarms
from deployer.resources.names import Names
from etl import loading
from tests.documentation import PAGES, ROOT, blocks, commands, table
from tests.unit.conftest import COSTS

OPERATIONS = ROOT / "docs" / "operations.md"
NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
PARSERS = {
    "deploy.py": parser("", deploy.deploy, deploy.COMMANDS),
    "teardown.py": teardown._parser(),
}
# Words of a line that stand for a value.
VALUES = {"N": "1", "<batch>": "1"}


def typed() -> Iterator[tuple[str, list[str]]]:
    """Yield each command line on a page, in a block or in the text, and its words."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        inline = [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", text)]
        shown = [line for block in blocks() if block.page == page for line in commands(block.text)]
        for line in [*inline, *shown]:
            found = re.match(r"(?:\w+=\S+ )*(?:[\w./]*python )?((?:deploy|teardown)\.py\b.*)", line)
            if found:
                yield f"{page.name}: {line}", shlex.split(found[1])


TYPED = dict(typed())


def options_of(each: argparse.ArgumentParser) -> set[str]:
    """Return the options of a command, but for those of every command."""
    found = {name for action in each._actions for name in action.option_strings}
    return {name for name in found if name.startswith("--")} - {"--help", "--json"}


def declared_commands() -> dict[str, set[str]]:
    """Return the commands that there are, and their options."""
    [added] = [
        action
        for action in PARSERS["deploy.py"]._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    return {
        "deploy.py": set(),
        **{f"deploy.py {name}": options_of(each) for name, each in added.choices.items()},
        "teardown.py": options_of(PARSERS["teardown.py"]),
    }


@pytest.mark.parametrize("line", TYPED)
def test_every_command_on_a_page_can_be_typed(line: str) -> None:
    """A reader who types it gets no word about its usage; a name alone is that of a command."""
    words = [VALUES.get(word, word) for word in TYPED[line]]

    if " ".join(words) not in declared_commands():
        PARSERS[words[0]].parse_args(words[1:])


def test_every_make_target_on_a_page_is_there() -> None:
    """`make demo PIPELINE=retail` and the others are targets of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:`|\$ )make ([a-z-]+)", page.read_text())
    }

    assert named <= targets
    assert named >= {"demo", "test", "quick", "check", "soak", "bench"}


def test_operations_lists_every_command_with_its_options() -> None:
    """An operator finds each command, and all that it takes, in one table."""
    listed = {
        re.sub(r" [A-Z/]+$", "", name.strip("`")): set(re.findall(r"`(--[a-z-]+)", does))
        for name, does in table(OPERATIONS, "## Commands")
    }

    assert listed == declared_commands()


def test_operations_explains_every_alarm() -> None:
    """Whoever gets a mail finds the alarm of its subject, what it means and what to do."""
    rows = table(OPERATIONS, "## Alarms")
    explained = [alarm for names, *_ in rows for alarm in re.findall(r"`([a-z-]+)`", names)]

    assert sorted(explained) == sorted({alarm.use for alarm in possible_alarms(NAMES)})


def test_what_a_deployment_creates_and_costs_is_what_readme_says() -> None:
    """The numbers that a reader decides by are those of the default settings."""
    page = " ".join((ROOT / "README.md").read_text().split())
    dearest = max(COSTS.items, key=lambda item: item.usd)

    assert (len(specs.FUNCTIONS), len(alarms(NAMES))) == (5, 15)
    assert "It creates five Lambda functions, three buckets, two secrets" in page
    assert "an e-mail topic with fifteen alarms" in page
    assert (
        f"about {COSTS.total:.0f} USD a month at list prices, {dearest.usd:.2f} of it for" in page
    )
    assert dearest.what == "CloudWatch metrics"


@pytest.mark.parametrize("pipeline", loading.known())
def test_each_pipeline_has_a_page(pipeline: str) -> None:
    """The page of a pipeline links to its declaration, and README to the page."""
    page = ROOT / "docs" / f"{pipeline}.md"

    assert f"(../pipelines/{pipeline}/pipeline.py)" in page.read_text()
    assert f"(docs/{pipeline}.md)" in (ROOT / "README.md").read_text()


def test_the_changelog_is_kept_by_version() -> None:
    """Each version says what was added, changed and fixed, in that order and nothing else."""
    page = (ROOT / "CHANGELOG.md").read_text()
    versions = re.split(r"^## ", page, flags=re.MULTILINE)[1:]

    assert versions
    for version in versions:
        assert re.match(r"\[(Unreleased|\d+\.\d+\.\d+)\]", version)
        kinds = re.findall(r"^### (.*)", version, re.MULTILINE)
        assert kinds == [each for each in ("Added", "Changed", "Fixed") if each in kinds] != []
