"""What the sandbox shows of a warehouse's use: answers to the questions of a sample."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from deployer.configuration.databases import DatabaseAddress
from deployer.terminal import printable, table
from etl.targets import Target
from local.sample import Question
from local.warehouse import look

SHOWN = 10  # rows of an answer


@dataclass(frozen=True)
class Answer:
    """The first rows of an answer, as texts by column, None for NULL."""

    question: str
    rows: tuple[dict[str, str | None], ...]


def ask(
    address: DatabaseAddress, target: Target, schema: str, questions: Sequence[Question]
) -> Iterator[Answer]:
    """Yield the answer to each question; raise DatabaseProblem for one that has none."""
    if not questions:
        return
    with look(address, target.kind) as warehouse:
        for title, columns, query in questions:
            rows = warehouse.answer(schema, query)[:SHOWN]
            texts = ([None if value is None else str(value) for value in row] for row in rows)
            named = (dict(zip(columns, values, strict=True)) for values in texts)
            yield Answer(title, tuple(named))


def show_questions(answers: Sequence[Answer]) -> Iterator[Table | Text | str]:
    """Yield each answer for a terminal."""
    for answer in answers:
        yield Text(printable(answer.question), "bold")
        if answer.rows:
            shown = table(*answer.rows[0])
            for row in answer.rows:
                shown.add_row(*("-" if value is None else value for value in row.values()))
            yield shown
        yield ""
