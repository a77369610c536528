"""What reconcile returns: which tables disagree, and the event that repairs them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from etl import (
    EventFeed,
    EventList,
    Events,
    Integer,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    StampedSignature,
    Table,
    Text,
    latest,
)
from etl.loading import folder, load
from functions.reconcile import handler as reconcile
from functions.reconcile.comparison import Comparison
from functions.reconcile.handler import Found, Sides
from tests.unit.fake_bucket import FakeBucket

GOOD, BAD, ERROR = Comparison(source=1), Comparison(extra=1), Comparison(error="unreadable")
ONE, TWO = (Table(name, key="id", columns={"id": Integer()}) for name in ("one", "two"))
EVENTS = Table("events", key="id", columns={"id": Text()})
SOURCES = (
    Postgres("first", (ONE,)),
    Postgres("second", (TWO,), optional=True),
    Events("third", StampedSignature(), (EventFeed(EVENTS, ("x.*",), {"id": "id"}),)),
)
PIPELINE = Pipeline(
    sources=SOURCES,
    targets=[PostgresWarehouse("warehouse", tuple(map(latest, (ONE, TWO, EVENTS))))],
)


@pytest.fixture(autouse=True)
def notices(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    given: list[tuple[str, str]] = []
    monkeypatch.setattr(
        reconcile, "give_notice", lambda kind, subject, _: given.append((kind, subject))
    )
    return given


def found(batch: int, **tables: Comparison) -> Found:
    return Found(batch, tables, {"one": "one", "one too": "one"}, {})


@pytest.mark.parametrize(
    ("tables", "read"),
    [
        ({"one": GOOD}, None),
        ({"one": BAD}, ["one"]),
        ({"one": BAD, "one too": BAD}, ["one"]),
        ({"one": ERROR, "one too": BAD}, ["one"]),
        ({"one": ERROR, "other": BAD}, None),
    ],
)
def test_a_repair_reads_the_tables_that_disagree(
    tables: dict[str, Comparison], read: list[str] | None
) -> None:
    """Each once; none that could not be compared, and none that nobody can read again."""
    result = Found(3, tables, {"one": "one", "one too": "one"}, {"one": [1]})

    assert result.repair == ({"read": read, "absent": {"one": [1]}} if read else {})
    assert result.apart == {name: each for name, each in tables.items() if each is not GOOD}


def test_the_result_of_one_source_has_its_batch_and_repair(notices: list[Any]) -> None:
    """A repair of the only source need not name it."""
    report = reconcile._report({"shop": found(3, one=BAD)})

    repair = {"read": ["one"], "absent": {}}
    assert (report["agrees"], report["batch"], report["repair"]) == (False, 3, repair)
    assert report["sources"] == {"shop": {"batch": 3, "repair": repair}}
    assert report["tables"]["one"]["extra"] == 1
    assert notices == [("daily", "Source and warehouse disagree")]


def test_the_result_of_several_sources_names_them(notices: list[Any]) -> None:
    """There is no batch of all; a target without a batch has none; one agrees."""
    report = reconcile._report(
        {"a": found(0, other=GOOD), "b": found(4, one=BAD), "c": found(5, third=GOOD)}
    )

    repair = {"source": "b", "read": ["one"], "absent": {}}
    assert (report["batch"], report["repair"]) == (None, repair)
    assert report["sources"] == {
        "a": {"batch": None, "repair": {}},
        "b": {"batch": 4, "repair": repair},
        "c": {"batch": 5, "repair": {}},
    }
    assert report["tables"].keys() == {"other", "one", "third"}

    report = reconcile._report({"a": found(1, one=GOOD), "b": found(1, third=GOOD)})
    assert (report["agrees"], report["repair"]) == (True, {})
    assert notices[1:] == [("daily", "Source and warehouse agree")]


def test_a_source_that_is_not_set_up_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """An optional one without its settings has never been read; events need none."""
    configured = SimpleNamespace(is_configured=lambda _: False)
    monkeypatch.setattr(reconcile, "reader_of", lambda _: configured)
    nothing: Any = None
    sides = Sides(PIPELINE, nothing, nothing, nothing, nothing)

    assert [source.name for source, _ in sides.fed()] == ["first", "third"]
    configured.is_configured = lambda _: True
    assert [source.name for source, _ in sides.fed()] == ["first", "second", "third"]


class Context:
    function_name = memory_limit_in_mb = aws_request_id = invoked_function_arn = "test"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def test_a_source_that_fails_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are compared and asked; then the first error is raised."""
    compared, asked = [], []
    bucket = FakeBucket()
    sides = SimpleNamespace(
        fed=lambda: [(source, None) for source in SOURCES],
        pipeline=PIPELINE,
        processed=bucket,
        signer=None,
    )
    monkeypatch.setattr(reconcile, "_sides", lambda: sides)
    monkeypatch.setattr(reconcile, "_heads", lambda *_: {"loaded": None})

    def compare(_: Any, source: Any, __: Any, seconds: float) -> Found:
        compared.append((source.name, seconds))
        if source.name in failing:
            raise OSError(f"{source.name} cannot be read")
        return found(1, **{source.name: GOOD})

    def fetch(_: Any, source: Any) -> dict[str, int]:
        asked.append(source.name)
        if "list" in failing:
            raise OSError("the list cannot be read")
        return {source.name: 2}

    monkeypatch.setattr(reconcile, "_compare_all", compare)
    monkeypatch.setattr(reconcile, "_fetch", fetch)
    context: Any = Context()

    failing: set[str] = set()
    times = iter([1.0, 3.12345])
    monkeypatch.setattr(reconcile, "time", SimpleNamespace(monotonic=lambda: next(times, 0.0)))
    report = reconcile.handler({}, context)
    assert (report["agrees"], report["fetched"]) == (True, {"third": 2})
    assert report["seconds"] == 2.123
    assert compared == [("first", 60), ("second", 60), ("third", 60)]

    failing = {"first", "list"}
    with pytest.raises(OSError, match="first cannot be read"):
        reconcile.handler({}, context)
    failing = {"list"}
    with pytest.raises(OSError, match="the list cannot be read"):
        reconcile.handler({}, context)
    assert (len(compared), asked) == (9, ["third"] * 3)
    [first, *_] = [json.loads(body) for body in bucket.objects.values()]
    assert first["sources"]["second"]["heads"] == {"loaded": None}
    assert any(
        "first: it could not be compared" in json.loads(body)["not_shown"]
        for body in bucket.objects.values()
    )


def test_the_sides_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline, and each bucket by its name."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    monkeypatch.setenv("INGESTION_BUCKET", "lake")
    monkeypatch.setenv("PROCESSED_BUCKET", "stars")

    sides = reconcile._sides.__wrapped__()

    assert sides.pipeline is load("totesys")
    assert sides.folder == folder("totesys")
    assert (sides.ingestion.name, sides.processed.name) == ("lake", "stars")
    assert sides.secrets.meta.service_model.service_name == "secretsmanager"


def test_without_a_list_or_its_key_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is no condition of anything else."""
    [*_, events] = SOURCES
    nothing: Any = None
    monkeypatch.setenv(events.key_secret_setting, "secret")

    assert reconcile._fetch(nothing, events) == {}


def test_missed_events_are_queued_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as collect takes it."""
    events = replace(SOURCES[2], missed=EventList("https://api.example.com/v1/events"))
    sent: list[dict[str, str]] = []
    queue = SimpleNamespace(send_message=lambda **message: sent.append(message))
    missed = [SimpleNamespace(message=lambda name=name: name) for name in ("one", "two")]
    monkeypatch.setattr(reconcile, "boto3", SimpleNamespace(client=lambda *_, **__: queue))
    monkeypatch.setattr(reconcile, "key_of", lambda *_: "key_1")
    monkeypatch.setattr(reconcile, "missed_events", lambda *_: missed)
    monkeypatch.setenv(events.key_secret_setting, "secret")
    monkeypatch.setenv("EVENTS_QUEUE_URL", "queue")
    nothing: Any = None
    sides = Sides(PIPELINE, nothing, nothing, FakeBucket(), FakeBucket())

    assert reconcile._fetch(sides, events) == {"third": 2}
    assert sent == [{"QueueUrl": "queue", "MessageBody": name} for name in ("one", "two")]


class There:
    """The target while it is compared; it has all tables but `lacking`."""

    batch, latest = 4, 5
    lacking = "two"

    def has(self, mapping: Any) -> bool:
        return bool(mapping.target.name != self.lacking)


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Sides:
    """A pipeline whose target is held at batch 4, and whose tables all agree."""

    @contextmanager
    def held(*_: Any) -> Iterator[Any]:
        yield There()

    kind = SimpleNamespace(comparer=held, current=held)
    monkeypatch.setattr(reconcile, "comparing", lambda _: kind)
    monkeypatch.setattr(reconcile, "comparable", lambda _: kind)
    monkeypatch.setattr(reconcile, "compare_files", lambda *_: {"events": BAD})
    as_of = SimpleNamespace(manifest=None, progress=lambda _: None)
    monkeypatch.setattr(reconcile, "AsOf", lambda _, *moments: as_of if moments else None)

    def compare(run: Any, mapping: Any) -> Comparison:
        run.extra[mapping.main.id] = [7]
        return BAD

    monkeypatch.setattr(reconcile, "compare_table", compare)
    nothing: Any = None
    return Sides(PIPELINE, nothing, nothing, FakeBucket(), FakeBucket())


def test_a_table_that_is_being_read_neither_agrees_nor_raises_an_alarm() -> None:
    """Nothing is repaired of it: the rows are on their way."""
    reading = Comparison(error="2 of about 3 rows are read")

    found = Found(4, {"one": reading}, {"one": "one"}, {}, reading=frozenset({"one"}))

    assert (found.agrees, found.apart, found.repair) == (False, {}, {})


def test_tables_of_a_database_can_be_read_again(sides: Sides) -> None:
    """With the keys that nothing explains; a table that the target lacks is not compared."""
    target = PIPELINE.targets[0]

    found = reconcile._compare_all(sides, SOURCES[0], target, 60)
    assert found == Found(4, {"one": BAD}, {"one": "one"}, {"one": [7]})
    assert reconcile._compare_all(sides, SOURCES[1], target, 60).tables == {}


def test_events_cannot_be_read_again(sides: Sides) -> None:
    """Nobody could be asked for them; files could."""
    target = PIPELINE.targets[0]

    found = reconcile._compare_all(sides, SOURCES[2], target, 60)

    assert (found, found.repair) == (Found(4, {"events": BAD}, {}, {}), {})
