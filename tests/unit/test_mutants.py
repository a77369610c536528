"""The tool behind `make mutants`: which defects it makes, and what it makes of their tests."""

import pytest

from tests.mutants.__main__ import sample
from tests.mutants.explained import explanations
from tests.mutants.modules import MODULES, TESTS
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.report import Result, problems, summary
from tests.mutants.tree import ROOT
from tests.mutants.trials import executing

SOURCE = '''"""A module: 1 + 1."""

LIMIT = 7
RIGHTS = ["read", "write"]


@cache(size=3)
def decide(rows: list[int], least: int = 2) -> bool:
    """Return whether 2 > 1."""
    logger.info("rows", extra={"rows": len(rows) + 1})
    if not rows:
        raise ValueError(f"{1 + 1} rows")
    check(rows, strict=True)
    found = [row for row in rows if row > least]
    return len(found) >= 1 and bool(found)
'''


def mutations(source: str) -> list[tuple[str, str]]:
    return [(each.function, each.mutation) for each in mutants_of("a.py", source)]


def test_each_decision_is_made_otherwise_once() -> None:
    """Limits at the top, texts, logs, annotations and docstrings are left as they are."""
    assert mutations(SOURCE) == [
        ("<module>", "['read', 'write'] -> ['write']"),
        ("<module>", "['read', 'write'] -> ['read']"),
        ("decide", "if not rows -> True"),
        ("decide", "if not rows -> False"),
        ("decide", "not rows -> rows"),
        ("decide", "raise ValueError(f'{1 + 1} rows') -> pass"),
        ("decide", "check(rows, strict=True) -> pass"),
        ("decide", "[row for row in rows if row > least] -> [row for row in rows]"),
        ("decide", "row > least -> row >= least"),
        ("decide", "row > least -> row <= least"),
        ("decide", "len(found) >= 1 and bool(found) -> not (len(found) >= 1 and bool(found))"),
        ("decide", "len(found) >= 1 and bool(found) -> len(found) >= 1 or bool(found)"),
        ("decide", "len(found) >= 1 and bool(found) -> bool(found)"),
        ("decide", "len(found) >= 1 and bool(found) -> len(found) >= 1"),
        ("decide", "len(found) >= 1 -> len(found) > 1"),
        ("decide", "len(found) >= 1 -> len(found) < 1"),
        ("decide", "1 -> 2"),
        ("decide", "1 -> 0"),
    ]


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        ("a = min(x, y)", ["max(x, y)"]),
        ("a = pc.greater(x, y)", ["pc.greater_equal(x, y)"]),
        ("a = pc.invert(x)", ["x"]),
        ("a = x.drop_null()", ["x"]),
        ("a = x + y * z", ["x - y * z", "y // z"]),
        ("a = 'x' + y", []),
        ("a = x if y else z", ["x", "z"]),
        ("a = x in ('b', 'c')", ["x not in ('b', 'c')", "('c',)", "('b',)"]),
        ("a = {'b'}", ["set()"]),
        ("a = {'b': x, 'c': y}", ["{'c': y}", "{'b': x}"]),
        ("a, b = x, y", []),
        ("a = Callable[[int], None]", []),
        ("a += x", ["a -= x"]),
        ("while x:\n        continue", ["False", "break"]),
        ("return x", ["return"]),
        ("return None", []),
        ("a = 0", ["1"]),
        ("a = x == y is True", ["x != y is True", "x == y is not True", "False"]),
    ],
)
def test_a_defect_is_one_small_change(statement: str, changed: list[str]) -> None:
    """Boundaries, negations, neighbours and parts left out, in expressions and statements."""
    found = mutations(f"def f():\n    {statement}\n")

    assert [mutation.partition(" -> ")[2] for _, mutation in found] == changed


def test_every_mutant_of_a_module_is_another_program() -> None:
    """Each can be compiled, differs from all others, and only where it says."""
    module = "functions/targets/standing.py"
    source = (ROOT / module).read_text()
    mutants = list(mutants_of(module, source))

    assert len({mutant.source for mutant in mutants} | {source}) == len(mutants) + 1
    assert len({mutant.identity for mutant in mutants}) == len(mutants)
    lines = source.splitlines()
    for mutant in mutants:
        compile(mutant.source, module, "exec")
        start, stop = mutant.lines.start - 1, mutant.lines.stop - 1
        changed = mutant.source.splitlines()
        assert changed[:start] == lines[:start]
        assert changed[len(changed) - len(lines) + stop :] == lines[stop:]


def test_the_modules_and_their_tests_are_there() -> None:
    """A module that moved, or a test that did, is named by its new name."""
    files = [*MODULES, *(test for tests in TESTS.values() for test in tests)]

    assert [name for name in dict.fromkeys(files) if not (ROOT / name).is_file()] == []


def test_every_explanation_is_of_a_mutant_that_there_is() -> None:
    """What explains a place that was changed since is removed with it."""
    explained = explanations()
    sources = {module: (ROOT / module).read_text() for module, _, _ in explained}
    found = {
        mutant.identity for name, source in sources.items() for mutant in mutants_of(name, source)
    }

    assert sorted(explained.keys() - found) == []
    assert sources.keys() <= set(MODULES)
    assert all(explained.values())


def mutant(number: int) -> Mutant:
    return Mutant("a.py", "f", f"{number} -> {number + 1}", range(number, number + 1), "")


def test_survivors_without_an_explanation_are_a_failure() -> None:
    """So is an explanation of a mutant that tests notice, and a share below nine of ten."""
    killed = {mutant(number): Result.KILLED for number in range(18)}
    late, first, second = mutant(18), mutant(19), mutant(20)
    results = {**killed, late: Result.TIMED_OUT, first: Result.LIVED}

    assert problems(results, {first.identity: "why"}) == []
    assert problems(results, {}) == [f"{first}: no test notices it, and nothing explains it"]
    assert problems(results, {first.identity: "why", late.identity: "why"}) == [
        f"{late}: tests notice it: remove its explanation"
    ]
    explained = {each.identity: "why" for each in (first, second)}
    assert problems({**killed, first: Result.LIVED, second: Result.LIVED}, explained) == []
    few = {each: results[each] for each in list(results)[10:]} | {second: Result.LIVED}
    assert problems(few, explained) == ["less than 90% are killed"]
    assert list(summary(results)) == [
        f"{name}: 19 of 20 killed (95%), 1 of them by time" for name in ("a.py", "all")
    ]


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    """So a survivor is found again, and a larger sample has it too; another seed has others."""
    one, again = (sample([], "40", "1") for _ in range(2))
    larger, other = sample([], "80", "1"), sample([], "40", "2")

    assert one == again
    assert len(one) == 40
    assert {each.identity for each in one} < {each.identity for each in larger}
    assert {each.identity for each in one} != {each.identity for each in other}
    assert {each.module for each in sample([], "all", "1")} == set(MODULES)


def test_the_parts_of_a_sample_are_together_the_sample() -> None:
    """What is run folder by folder is what a whole run has."""
    functions, deployer = sample(["functions"], "40", "1"), sample(["deployer"], "40", "1")

    assert functions + deployer == sample([], "40", "1")
    assert functions
    assert deployer


def test_a_mutant_has_the_tests_that_execute_it() -> None:
    """The cheapest first; all tests for what is executed on import, none for what none executes."""
    module = "deployer/receipt.py"
    first, second = TESTS[module][:2]
    at = {
        (module, 1): frozenset({""}),
        (module, 2): frozenset({f"{second}::a", f"{first}::c", f"{first}::b", first}),
    }

    def tests(*lines: int) -> list[str]:
        return executing(Mutant(module, "f", "", range(lines[0], lines[-1] + 1), ""), at)

    assert tests(1) == list(TESTS[module])
    assert tests(1, 2) == list(TESTS[module])
    assert tests(2, 3) == [first, f"{first}::b", f"{first}::c", f"{second}::a"]
    assert tests(3) == []
