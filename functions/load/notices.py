"""Notices that a batch has been loaded, or that its files were refused."""

from collections.abc import Callable, Iterator, Sequence

from etl.models import Model
from etl.targets import Target
from functions.common.accounts import FileAccount
from functions.common.loaded import LoadedMarker
from functions.common.notices import Notice, by_file, counted, in_words, step
from functions.common.telemetry import logger
from functions.common.text import defanged, unlinked
from functions.load.loading import Step
from functions.targets import Made

FILES_SHOWN = 100


def notice(loaded: Step, target: Target, bucket: str) -> Notice:
    """Return the notice of a batch; `bucket` has the exports.

    It reports the outcome of each file or table, the results of the models, and the exports.
    """
    marker, files = loaded.marker, loaded.manifest.files
    if files:
        subject = _of_files(files)
        lines = [*_arrival(marker, len(files)), "", *_files(files, bucket, _staged)]
    else:
        subject = f"Batch {marker.batch} is in the warehouse"
        lines = [*_snapshot(marker), "", *_rows(marker)]
    return _notice(loaded, subject, lines, target, bucket)


def file_notices(loaded: Step, target: Target, bucket: str) -> Iterator[Notice]:
    """Yield a notice for each file of a batch: how many rows were read and accepted."""
    for files in by_file(loaded.manifest.files):
        lines = [*_arrival(loaded.marker, len(files)), "", *_files(files, bucket, in_words)]
        yield _notice(loaded, _of_files(files), lines, target, bucket)


def step_notices(loaded: Step, target: Target, bucket: str) -> Iterator[Notice]:
    """Yield the notices of the fourth and fifth step of each file: it is loaded, and done with."""
    for files, (_, text) in zip(
        by_file(loaded.manifest.files), file_notices(loaded, target, bucket), strict=True
    ):
        is_loaded = any(each.reason is None for each in files)
        what = "loaded" if is_loaded else "loaded nothing of"
        batch = f"Batch {loaded.marker.batch}, of {counted(len(loaded.manifest.files), 'file')}:"
        yield step(4, what, files, [batch, *_rows(loaded.marker)])
        yield step(5, "done with", files, text.splitlines())


def _notice(loaded: Step, subject: str, lines: list[str], target: Target, bucket: str) -> Notice:
    """Return a notice with these lines and the results of the batch."""
    if failed := loaded.applied.failed:
        models = "a model" if len(failed) == 1 else f"{len(failed)} models"
        subject += f", but {models} failed"
    exports = [f"s3://{bucket}/{key}" for key in loaded.applied.exports]
    all_lines = [*lines, *_results(loaded, target), *_section("Exports:", exports)]
    return subject, "\n".join(all_lines)


def _of_files(files: Sequence[FileAccount]) -> str:
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


def _named(files: Sequence[FileAccount], one: str = "was", more: str = "were") -> str:
    if len(files) == 1:
        return f"{unlinked(files[0].file.key)} {one}"
    return f"{len(files):,} files {more}"


def _snapshot(marker: LoadedMarker) -> list[str]:
    database, at = defanged(marker.source.database), marker.source.snapshot_at
    return [
        f"It is {database} of {at:%Y-%m-%d %H:%M:%S} UTC,",
        f"and was in the warehouse {counted(round(marker.age_seconds), 'second')} later.",
    ]


def _arrival(marker: LoadedMarker, files: int) -> list[str]:
    later = counted(round(marker.age_seconds), "second")
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
        + (f"{loaded.refused:>12,} refused" if loaded.refused else "")
        for table, loaded in sorted(marker.rows.items())
        if loaded.inserted or loaded.updated or loaded.deleted or loaded.refused
    ]
    return rows or ["The warehouse had all of it already."]


def _files(
    files: Sequence[FileAccount], bucket: str, say: Callable[[FileAccount], str]
) -> Iterator[str]:
    """Yield the outcome of each file, refused ones first if not all are shown."""
    more = len(files) - FILES_SHOWN
    shown = sorted(files, key=lambda each: not each.refused)[:FILES_SHOWN] if more > 0 else files
    for each in shown:
        name = unlinked(each.file.key)
        if each.reason is not None:
            yield f"{name}: refused, nothing of it was loaded: {unlinked(each.reason)}"
        else:
            yield f"{name}: {say(each)}"
        if each.errors is not None:
            yield f"    The refused rows and why: s3://{bucket}/{unlinked(each.errors)}"
    if more > 0:
        yield f"… and {counted(more, 'more file')}"


def _staged(account: FileAccount) -> str:
    refused = f", {account.refused:,} refused" if account.refused else ""
    return f"{counted(account.rows, 'row')} read, {account.out:,} staged{refused}"


def _results(loaded: Step, target: Target) -> list[str]:
    """Return the results of the models, in their own words where they have any."""
    models = {model.id: model for model in target.models}
    found = [
        line for name, made in loaded.applied.made.items() for line in _said(models[name], made)
    ]
    failed = [unlinked(f"{why}. Its table is as it was.") for why in loaded.applied.failed.values()]
    return [*_section("Results:", found), *_section("What failed:", failed)]


def _said(model: Model, made: Made) -> list[str]:
    if model.says is not None and made.shown is not None:
        try:
            return [unlinked(line) for line in model.says(made.shown).splitlines()]
        except (
            Exception
        ) as error:  # the batch is loaded, and its notice is sent without the sentence
            extra = {"model": model.name, "error": type(error).__name__}
            logger.warning("a model's text for the notice failed", extra=extra)
    return [f"{unlinked(model.name)}: {counted(made.rows, 'row')}"]


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, *lines] if lines else []
