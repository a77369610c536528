"""The notice that a batch is in the warehouse, or that its files were refused."""

from collections.abc import Iterator

from etl.models import Model
from etl.targets import Target
from functions.common.accounts import FileAccount
from functions.common.loaded import LoadedMarker
from functions.common.telemetry import logger
from functions.common.text import defanged, unlinked
from functions.load.loading import Step
from functions.targets import Made

FILES_SHOWN = 100


def notice(step: Step, target: Target, bucket: str) -> tuple[str, str]:
    """Return the subject and the text of a notice; `bucket` is the one with the exports.

    It says what became of each file or table, what the models found, and where the exports are.
    """
    files = step.manifest.files
    subject = _of_files(files) if files else f"Batch {step.marker.batch} is in the warehouse"
    if failed := step.applied.failed:
        models = "a model" if len(failed) == 1 else f"{len(failed)} models"
        subject += f", but {models} failed"
    lines = [
        *(_arrival(step, len(files)) if files else _snapshot(step.marker)),
        "",
        *(_files(files, bucket) if files else _rows(step.marker)),
        *_results(step, target),
        *_section("Exports:", [f"s3://{bucket}/{key}" for key in step.applied.exports]),
    ]
    return subject, "\n".join(lines)


def _of_files(files: list[FileAccount]) -> str:
    whole = [each for each in files if each.reason is not None]
    rows = sum(each.refused for each in files if each.reason is None)
    if len(whole) == len(files):
        return f"{_named(files)} refused, and nothing was loaded"
    if whole:
        return f"{_named(whole)} refused, the rest is in the warehouse"
    subject = f"{_named(files, 'is', 'are')} in the warehouse"
    if not rows:
        return subject
    return f"{subject}, without {rows:,} row{' that was' if rows == 1 else 's that were'} refused"


def _named(files: list[FileAccount], one: str = "was", more: str = "were") -> str:
    if len(files) == 1:
        return f"{unlinked(files[0].file.key)} {one}"
    return f"{len(files):,} files {more}"


def _snapshot(marker: LoadedMarker) -> list[str]:
    database, at = defanged(marker.source.database), marker.source.snapshot_at
    return [
        f"It is {database} of {at:%Y-%m-%d %H:%M:%S} UTC,",
        f"and was in the warehouse {_counted(round(marker.age_seconds), 'second')} later.",
    ]


def _arrival(step: Step, files: int) -> list[str]:
    marker = step.marker
    later = _counted(round(marker.age_seconds), "second")
    bucket, at = defanged(marker.source.database), marker.source.snapshot_at
    what = "One file was" if files == 1 else f"{files:,} files were"
    return [
        f"{what} read from {bucket} at {at:%Y-%m-%d %H:%M:%S} UTC.",
        f"Batch {marker.batch} was complete {later} later.",
    ]


def _rows(marker: LoadedMarker) -> list[str]:
    rows = [
        f"{table:<24}{loaded.inserted:>12,} inserted{loaded.updated:>12,} updated"
        + (f"{loaded.deleted:>12,} deleted" if loaded.deleted else "")
        for table, loaded in sorted(marker.rows.items())
        if loaded.inserted or loaded.updated or loaded.deleted
    ]
    return rows or ["The warehouse had all of it already."]


def _files(files: list[FileAccount], bucket: str) -> Iterator[str]:
    """Yield what became of each file, the refused ones first if not all are shown."""
    more = len(files) - FILES_SHOWN
    shown = sorted(files, key=lambda each: not each.refused)[:FILES_SHOWN] if more > 0 else files
    for each in shown:
        name = unlinked(each.file.key)
        if each.reason is not None:
            yield f"{name}: refused, nothing of it was loaded: {unlinked(each.reason)}"
        else:
            refused = f", {each.refused:,} refused" if each.refused else ""
            yield f"{name}: {_counted(each.rows, 'row')} read, {each.out:,} staged{refused}"
        if each.errors is not None:
            yield f"    The refused rows and why: s3://{bucket}/{unlinked(each.errors)}"
    if more > 0:
        yield f"… and {_counted(more, 'more file')}"


def _results(step: Step, target: Target) -> list[str]:
    """Return what came of the models, in words where there are any."""
    models = {model.id: model for model in target.models}
    found = [line for name, made in step.applied.made.items() for line in _said(models[name], made)]
    failed = [unlinked(f"{why}. Its table is as it was.") for why in step.applied.failed.values()]
    return [*_section("Results:", found), *_section("What failed:", failed)]


def _said(model: Model, made: Made) -> list[str]:
    if model.says is not None and made.shown is not None:
        try:
            return [unlinked(line) for line in model.says(made.shown).splitlines()]
        except Exception as error:  # the batch is loaded, and its notice can do without a sentence
            extra = {"model": model.name, "error": type(error).__name__}
            logger.warning("a model's words for the notice failed", extra=extra)
    return [f"{unlinked(model.name)}: {_counted(made.rows, 'row')}"]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, *lines] if lines else []
