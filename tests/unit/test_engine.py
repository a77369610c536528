"""What may know what: the engine no pipeline, the functions no deployer, a layer none above it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OF_A_PIPELINE = re.compile("sales_order|counterparty|totesys", re.IGNORECASE)
DEFAULT = 'DEFAULT_PIPELINE = "totesys"'
# The packages, each with the others that it may import.
PACKAGES: dict[str, set[str]] = {
    "etl": set(),
    "functions": {"etl", "pipelines"},
    "pipelines": {"etl", "local"},  # their sample data
    "deployer": {"etl"},
    "local": {"etl", "deployer", "functions", "pipelines"},
}
# A pipeline's author tries a declaration by what transform does.
TRIAL = ("etl/testing.py", "functions.transform")


@pytest.mark.parametrize("folder", ["etl", "functions", "deployer", "local"])
def test_the_engine_names_no_table_of_a_pipeline(folder: str) -> None:
    """The engine holds nothing of the shop that was its first source."""
    files = [
        path
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in files
        for line in path.read_text().splitlines()
        if OF_A_PIPELINE.search(line) and line != DEFAULT
    ]

    assert files
    assert found == []


# Each package may import those below it, by the layers of the deployer from bottom to top.
LAYERS = (
    ("errors",),
    ("configuration",),
    ("resources", "packaging"),
    ("aws",),
    (
        "steps",
        "terminal",
        "endpoints",
        "triggers",
        "monitoring",
        "networking",
        "encryption",
        "existing_roles",
        "records",
    ),
    ("operations", "query", "why", "inventory", "receipt", "arguments", "leftovers"),
    ("deployer", "teardown", "rollback"),
)
# What a service module may know of what is declared and packed: its form, and how ARNs begin.
KNOWN_TO_SERVICES = {"Alarm", "Layer", "Package", "Policy", "partition_of"} | {
    "HTTPS",
    "Endpoint",
    "Group",
    "Subnet",
    "Surroundings",
}


def imports(path: Path) -> list[tuple[str, str]]:
    """Return the modules of ours that a module imports anywhere, each with the imported name."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found += [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return [each for each in found if each[0].partition(".")[0] in PACKAGES]


@pytest.mark.parametrize(("folder", "others"), PACKAGES.items())
def test_a_package_imports_only_those_it_may(folder: str, others: set[str]) -> None:
    """Functions run without the deployer, and the deployer knows nothing of what they do."""
    files = sorted((ROOT / folder).rglob("*.py"))
    found = {
        (str(path.relative_to(ROOT)), module)
        for path in files
        for module, _ in imports(path)
        if module.partition(".")[0] not in {folder, *others}
    }

    assert files
    assert found - {TRIAL} == set()


def layer_of(part: str) -> int:
    """Return the layer of a module or folder of the deployer."""
    [number] = [number for number, parts in enumerate(LAYERS) if part in parts]
    return number


def part_of(module: str, name: str) -> str:
    """Return the folder or module of the deployer that `from module import name` imports."""
    return [*module.split("."), name][1]


def test_the_deployer_imports_downwards() -> None:
    """Who reads a module of the deployer need not know those that use it."""
    paths = [path for path in (ROOT / "deployer").rglob("*.py") if path.name != "__init__.py"]
    found = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in paths
        for part in [path.relative_to(ROOT / "deployer").parts[0].removesuffix(".py")]
        for module, name in imports(path)
        if module.startswith("deployer")
        if layer_of(part_of(module, name)) > layer_of(part)
    ]

    assert paths
    assert found == []


def test_service_modules_know_data_types_alone() -> None:
    """A module of an AWS service works for any resources, whoever decides them."""
    names = {
        name
        for path in (ROOT / "deployer" / "aws").glob("*.py")
        for module, name in imports(path)
        if module.startswith(("deployer.resources", "deployer.packaging"))
    }

    assert names == KNOWN_TO_SERVICES
