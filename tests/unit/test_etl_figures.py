"""What is said of figures that a page cannot show."""

from pathlib import Path
from typing import Any

import pytest

from etl import (
    DeclarationError,
    Figure,
    Integer,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    Table,
    latest,
)

team = Table("team", key="team_id", columns={"team_id": Integer()})
club = Table("club", key="club_id", columns={"club_id": Integer()})
SOURCES = [Postgres("source", (team, club))]
ONE = [PostgresWarehouse("warehouse", (latest(team), latest(club)))]


def pipeline(*figures: Any) -> Pipeline:
    return Pipeline(sources=SOURCES, targets=ONE, figures=figures)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"title": " "}, "a figure has no title: say what it shows"),
        (
            {"kind": "pie"},
            "figure 'Teams': there is no kind 'pie': take one of lines, bars, table, number",
        ),
        ({"series": "x"}, "figure 'Teams': only lines have a series"),
    ],
)
def test_a_figure_that_cannot_be_shown_is_one_clear_line(
    options: dict[str, Any], said: str
) -> None:
    """A mistake in a figure is found where it is declared."""
    with pytest.raises(DeclarationError) as error:
        Figure(**{"title": "Teams", "sql": "SELECT 1 AS teams", **options})

    assert str(error.value) == said


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (["Teams"], "figures: Teams is no Figure(…)"),
        (
            [Figure("Teams", "SELECT 1", target="lake")],
            "figure 'Teams': write target=, the name of its target: warehouse",
        ),
        (
            [Figure("Teams", "SELECT 1"), Figure("Teams", "SELECT 2")],
            "two figures are called Teams: rename one of them",
        ),
    ],
)
def test_figures_belong_to_a_target_and_have_titles_of_their_own(
    figures: list[Any], said: str
) -> None:
    """A pipeline says which of its figures it cannot show."""
    with pytest.raises(DeclarationError) as error:
        pipeline(*figures)

    assert str(error.value) == said


def test_a_figure_is_asked_of_the_only_target_or_the_one_that_it_names() -> None:
    """Where there are two targets a figure names one of them."""
    figure, other = Figure("Teams", "SELECT 1"), Figure("Clubs", "SELECT 1", target="archive")
    warehouse, archive = (
        PostgresWarehouse("warehouse", (latest(team),)),
        PostgresWarehouse("archive", (latest(club),)),
    )
    sources = [Postgres("source", (team,)), Postgres("clubs", (club,))]

    assert pipeline(figure).figures_of(ONE[0]) == (figure,)
    both = Pipeline(sources=sources, targets=[warehouse, archive], figures=[other])
    assert both.figures_of(archive) == (other,)
    assert both.figures_of(warehouse) == ()
    with pytest.raises(DeclarationError, match=r"write target=.*warehouse, archive"):
        Pipeline(sources=sources, targets=[warehouse, archive], figures=[figure])


def test_a_figure_has_its_select_or_a_file_of_the_pipeline(tmp_path: Path) -> None:
    """The SELECT is in the declaration or beside it, and is one statement without values."""
    (tmp_path / "teams.sql").write_text("-- all of them\nSELECT count(*) AS teams FROM team;\n")

    assert Figure("Teams", "teams.sql").statement(tmp_path).pieces == (
        "-- all of them\nSELECT count(*) AS teams FROM team\n",
    )
    for sql, said in (
        ("none.sql", "there is no file none.sql: write it"),
        ("SELECT 1; SELECT 2", "it has more than one statement: write one SELECT"),
        ("SELECT :day AS day", ":day stands for nothing: it has no values"),
    ):
        with pytest.raises(DeclarationError) as error:
            Figure("Teams", sql).statement(tmp_path)
        assert str(error.value) == f"figure 'Teams': {said}"
