"""A pipeline: sources, targets, and the order and joins that follow from references."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from etl.errors import DeclarationError
from etl.events import Events
from etl.figures import Figure
from etl.files import Files
from etl.mapping import Mapping, resolved
from etl.models import Model, View
from etl.reports import Report, require_reports
from etl.rest import Rest
from etl.settings import Setting
from etl.sources import Delivered, Postgres, Source, require_feeds
from etl.tables import Table, table_id
from etl.targets import Calendar, Target, TargetTable

_NAME = re.compile(r"[a-z][a-z0-9_]*")
# Other prefixes of a bucket.
RESERVED = frozenset(
    {
        "batches",
        "errors",
        "exports",
        "files",
        "keys",
        "lake",
        "lists",
        "loaded",
        "page",
        "proofs",
        "quarantine",
        "refused",
        "runs",
        "swept",
        "tombstones",
    }
)


@dataclass(frozen=True)
class Wait:
    """Rows wait for a parent: a row to which they refer and that the target does not have yet."""

    columns: tuple[str, ...]
    parent: Table


class Pipeline:
    """The declaration in a folder under `pipelines/`, from which everything else follows.

    A reference to a table that is also a parameter is a join: every batch has both sides. Any other
    reference to a table that has a target table is a parent to wait for.
    """

    def __init__(
        self,
        *,
        sources: Sequence[Source],
        targets: Sequence[Target],
        settings: Sequence[Setting] = (),
        figures: Sequence[Figure] = (),
        reports: Sequence[Report] = (),
        notify: str = "failures",
    ) -> None:
        """Raise DeclarationError for the first mistake in it.

        `settings` are the pipeline's own, `notify` is what NOTIFY is unless it is set. `figures`
        are on its page, in this order; `reports` are what its HTTP API answers.
        """
        self.sources = tuple(sources)
        self.targets = tuple(targets)
        times = [*(each.at_most for each in self.files), *(each.at_most for each in self.apis)]
        self.settings = tuple(dict.fromkeys([*settings, *filter(None, times)]))
        self.figures = tuple(figures)
        self.reports = tuple(reports)
        self.notify = notify
        _require_parts(self)
        _require_figures(self)
        require_reports(self.reports, len(self.targets))
        _require_names(self)
        self._mappings = {source.name: _ordered(self, source) for source in self.sources}
        for source in self.sources:
            _require_one_target(self, source)
        for api in self.apis:
            api.require_whole(self.replaced(api.name))

    @property
    def parts(self) -> tuple[Source | Target, ...]:
        """Its sources and targets: each has its own name and address."""
        return (*self.sources, *self.targets)

    @property
    def files(self) -> tuple[Files, ...]:
        """Its sources that are files."""
        return tuple(each for each in self.sources if isinstance(each, Files))

    @property
    def events(self) -> tuple[Events, ...]:
        """Its sources that are events, which are posted and not extracted."""
        return tuple(each for each in self.sources if isinstance(each, Events))

    @property
    def apis(self) -> tuple[Rest, ...]:
        """Its sources that are REST APIs."""
        return tuple(each for each in self.sources if isinstance(each, Rest))

    @property
    def databases(self) -> tuple[Postgres | Target, ...]:
        """Its sources and targets that are databases, whose addresses are secrets."""
        return tuple(each for each in self.parts if not isinstance(each, Delivered))

    def figures_of(self, target: Target) -> tuple[Figure, ...]:
        """Return the figures that are asked of a target."""
        names = {target.name} if len(self.targets) > 1 else {target.name, None}
        return tuple(figure for figure in self.figures if figure.target in names)

    def source(self, name: str) -> Source:
        """Return the source of a name."""
        return next(source for source in self.sources if source.name == name)

    def target(self, name: str) -> Target:
        """Return the target of a name."""
        return next(target for target in self.targets if target.name == name)

    def target_of(self, source: str) -> Target | None:
        """Return the target that a source feeds; None if it feeds none."""
        return next((each for each in self.targets if self.mappings(source, each.name)), None)

    def mappings(self, source: str, target: str | None = None) -> tuple[Mapping, ...]:
        """Return the mappings of a source to one target, or to all, parents first."""
        return tuple(
            mapping
            for mapping in self._mappings[source]
            if target is None or mapping.target in self.target(target).tables
        )

    def waits(self, mapping: Mapping) -> tuple[Wait, ...]:
        """Return the parents that rows of a mapping wait for.

        Rows of the same table, or of one that refers back, are no such parents: if a target
        requires them, load puts the row aside until they are there.
        """
        mappings = self._mappings[self.source_of(mapping).name]
        before = {each.main for each in mappings[: mappings.index(mapping)]} - {mapping.main}
        joined = {join.columns for join in mapping.joins if join.child == mapping.parameter}
        return tuple(
            Wait(reference.columns, reference.table)
            for reference in mapping.main.all_references()
            if reference.table in before and reference.columns not in joined
        )

    def waited_for(self, source: str) -> frozenset[Table]:
        """Return the tables of a source that rows of others wait for."""
        return frozenset(
            wait.parent for mapping in self._mappings[source] for wait in self.waits(mapping)
        )

    def replaced(self, source: str) -> frozenset[str]:
        """Return the ids of a source's tables whose target tables are all `replace`.

        Of the files of such a table only the newest counts.
        """
        ways: dict[str, set[str]] = {}
        for mapping in self._mappings[source]:
            ways.setdefault(mapping.main.id, set()).add(mapping.target.way)
        return frozenset(table for table, of_table in ways.items() if of_table == {"replace"})

    def source_of(self, mapping: Mapping) -> Source:
        """Return the source whose tables a mapping is made of."""
        return next(source for source in self.sources if mapping.main in source.tables)

    def calendar_of(self, mapping: Mapping) -> Calendar | None:
        """Return the calendar that must contain the dates of a mapping's rows, if there is one."""
        target = next(target for target in self.targets if mapping.target in target.tables)
        return target.calendar if mapping.target.way == "history" else None


def _require_parts(pipeline: Pipeline) -> None:
    """Raise DeclarationError for tables of a source or target that are none."""
    for source in pipeline.sources:
        require_feeds(source)
        for table in source.tables:
            if not isinstance(table, Table):
                raise DeclarationError(f"source {source.name}: {_named(table)} is no Table(…)")
            if not table.keys and not isinstance(source, Files | Rest):
                raise DeclarationError(
                    f"{table}: it has no key: name the columns that identify a row"
                )
            _require_keys_as_they_are(source, table)
    for target in pipeline.targets:
        for made in target.tables:
            if not isinstance(made, TargetTable):
                raise DeclarationError(
                    f"target {target.name}: {_named(made)} is no target table: write latest(table) "
                    "for one as it is, or @latest(key=…) before the def of a function"
                )
        if target.calendar is not None and not isinstance(target.calendar, Calendar):
            raise DeclarationError(f"target {target.name}: write its calendar as Calendar(name)")
        _require_models(target)


def _require_keys_as_they_are(source: Source, table: Table) -> None:
    """Raise DeclarationError for a key that is normalized, except in a source of files."""
    for name in () if isinstance(source, Files) else table.keys:
        if getattr(table.columns[name], "normalize", None):
            raise DeclarationError(
                f"{table}: column {name} of its key is normalized, and only rows of files may have "
                "another key in the target: leave its normalize out"
            )


def _require_models(target: Target) -> None:
    """Raise DeclarationError for a model whose inputs the target does not have before it."""
    there: list[object] = list(target.tables)
    for model in target.models:
        if not isinstance(model, Model):
            raise DeclarationError(f"target {target.name}: {_named(model)} is no Model(…)")
        for needed in model.inputs:
            if needed not in there:
                raise DeclarationError(
                    f"{model} is made of {needed}, which is not before it in {target.name}"
                )
        there.append(model)
    _require_shown(target, there)


def _require_shown(target: Target, there: list[object]) -> None:
    """Raise DeclarationError for views that are none, and for an export of an unknown table."""
    for view in target.views:
        if not isinstance(view, View):
            raise DeclarationError(f"target {target.name}: {_named(view)} is no View(…)")
    for export in target.exports:
        if export not in there:
            raise DeclarationError(
                f"target {target.name} exports {export}, which it does not have: add it there"
            )
    for each in target.row_exports:
        if each.table not in target.tables:
            raise DeclarationError(
                f"target {target.name} exports rows of {each.table}, which it does not have: add "
                "it there"
            )


def _require_figures(pipeline: Pipeline) -> None:
    """Raise DeclarationError for figures that are none, and for one of no target."""
    for figure in pipeline.figures:
        if not isinstance(figure, Figure):
            raise DeclarationError(f"figures: {_named(figure)} is no Figure(…)")
        if not any(figure in pipeline.figures_of(target) for target in pipeline.targets):
            names = ", ".join(target.name for target in pipeline.targets)
            raise DeclarationError(f"{figure}: write target=, the name of its target: {names}")
    _require_distinct("figures", [figure.title for figure in pipeline.figures])


def _named(part: object) -> str:
    return str(getattr(part, "__name__", part))


def _require_names(pipeline: Pipeline) -> None:
    """Raise DeclarationError for names that clash, or that cannot be a prefix in a bucket."""
    for part in pipeline.parts:
        if not _NAME.fullmatch(part.name) or part.name in RESERVED:
            raise DeclarationError(
                f"{part.name!r} cannot be the name of a source or a target: use lower-case "
                f"letters, digits and _, and none of {', '.join(sorted(RESERVED))}"
            )
    _require_distinct("sources and targets", [part.name for part in pipeline.parts])
    _require_distinct("reports", [report.path for report in pipeline.reports])
    _require_distinct("paths of events", [source.url_path for source in pipeline.events])
    for source in pipeline.sources:
        _require_distinct(f"tables of {source.name}", [table.id for table in source.tables])
        _require_distinct(
            f"tables of {source.name}, as functions call them",
            [table.parameter for table in source.tables],
        )
        _require_declared(source)
    names = [
        name
        for target in pipeline.targets
        for name in (
            *(table.id for table in target.tables),
            *(model.id for model in target.models),
            *(table_id("public", view.name) for view in target.views),
            *([target.calendar.name] if target.calendar else []),
        )
    ]
    _require_distinct("target tables", names)
    if clash := RESERVED & set(names):
        raise DeclarationError(f"{min(clash)} cannot be the name of a target table: take another")


def _require_distinct(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"two {what} are called {name}: rename one of them")


def _require_declared(source: Source) -> None:
    for table in source.tables:
        for reference in table.all_references():
            if reference.table not in source.tables:
                raise DeclarationError(
                    f"{table} refers to {reference.table}, which is not among the tables of "
                    f"{source.name}: add it there"
                )


def _require_one_target(pipeline: Pipeline, source: Source) -> None:
    """Raise DeclarationError for a source whose batches would go to several targets."""
    fed = [each.name for each in pipeline.targets if pipeline.mappings(source.name, each.name)]
    if len(fed) > 1:
        raise DeclarationError(
            f"source {source.name} feeds the targets {' and '.join(fed)}, and may feed one: "
            "declare a pipeline for each of them"
        )


def _ordered(pipeline: Pipeline, source: Source) -> tuple[Mapping, ...]:
    """Return the mappings of a source, parents first unless references are circular."""
    declared = [
        resolved(table, pipeline.sources) for target in pipeline.targets for table in target.tables
    ]
    left = [mapping for mapping in declared if mapping.main in source.tables]
    ordered: list[Mapping] = []
    while left:
        pending = {mapping.main for mapping in left}
        free = [mapping for mapping in left if not _refers_to(mapping.main, pending)]
        # The first of a circle goes first, for all of its target tables.
        for mapping in free or [each for each in left if each.main is left[0].main]:
            ordered.append(mapping)
            left.remove(mapping)
    return tuple(ordered)


def _refers_to(table: Table, tables: set[Table]) -> bool:
    return any(reference.table in tables - {table} for reference in table.all_references())
