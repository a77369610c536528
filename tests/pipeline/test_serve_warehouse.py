"""The HTTP API of reports and its warehouse: fresh answers, one connection, and failures."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from functions.common.errors import DatabaseUnavailableError
from functions.serve import handler as serve
from functions.serve import warehouse as kept
from functions.targets.postgres.reader import PostgresReader
from functions.targets.reading import Query, Rows
from tests.asking import Api
from tests.pipeline.report_scene import (
    SCHEMA,
    api_on,
    require_problem,
    things,
)
from tests.pipeline.target_scene import Scene, rows_of
from tests.postgres_fixtures import Warehouse


def test_an_answer_that_one_has_is_not_sent_again(report_api: Api, report_scene: Scene) -> None:
    """304 while nothing changed, whatever else the header names; then the new answer."""
    first = report_api.get("/things")
    etag = first.headers["etag"]
    for header in (etag, f'W/"x", W/{etag}', "*"):
        again = report_api.get("/things", headers={"If-None-Match": header})
        assert (again.status, again.text, again.headers["etag"]) == (304, "", etag)
        assert again.headers["cache-control"] == first.headers["cache-control"]
    report_scene.batch(thing=rows_of(SCHEMA, (1, Decimal("1.5"), "changed")))
    report_scene.load()
    changed = report_api.get("/things", headers={"If-None-Match": etag})
    assert (changed.status, changed.json["rows"][0]["word"]) == (200, "changed")
    assert (changed.json["as_of"]["batch"], changed.headers["etag"] != etag) == (2, True)


def test_an_answer_is_kept_while_nothing_is_committed(
    report_api: Api, report_scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SELECT runs once a change; a change shows at once, with its batch."""
    queries: list[Query] = []
    rows = PostgresReader.rows

    def counted(reader: PostgresReader, query: Query) -> Rows:
        queries.append(query)
        return rows(reader, query)

    monkeypatch.setattr(PostgresReader, "rows", counted)
    for number in range(2, 5):
        assert len({report_api.get("/things").text for _ in range(10)}) == 1
        report_scene.batch(thing=rows_of(SCHEMA, (9, Decimal(number), "new")))
        report_scene.load()
        found = report_api.get("/things").json
        assert found["as_of"]["batch"] == number
        assert found["rows"][-1] == {"id": 9, "price": f"{number}.000", "word": "new"}
    assert len(queries) <= 2 * 3


def test_a_prepared_warehouse_is_as_of_its_newest_marker(
    report_api: Api, report_scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not record batches itself; the rows are of that batch or of a later one."""
    report_scene.query("DROP TABLE loaded_batches")
    prepared = api_on(report_scene, monkeypatch)
    assert prepared.get("/things").json["as_of"] == {
        "batch": None, "loaded_at": None, "batches": {}
    }  # fmt: skip
    prepared = api_on(report_scene, monkeypatch)
    prepared.bucket.objects.update(report_scene.bucket.objects)
    prepared.bucket._keys = sorted(prepared.bucket.objects)
    found = prepared.get("/things").json["as_of"]
    assert (found["batch"], found["batches"]) == (1, {"source": 1})
    assert datetime.fromisoformat(found["loaded_at"]).tzinfo == UTC


def test_health_says_whether_the_warehouse_can_be_read(
    report_api: Api, report_scene: Scene
) -> None:
    """With the newest batch of each source."""
    found = report_api.get("/health").json
    assert (found["status"], found["as_of"]["batches"]) == ("ok", {"source": 1})
    require_problem(report_api.get("/health", day="x"), 400, "Bad Request")


def test_a_warehouse_that_is_away_is_said_so(report_api: Api, report_scene: Scene) -> None:
    """503 says when to ask again, and nothing of where the warehouse is; then it goes on."""
    url = report_api.secrets.texts["warehouse"]
    where = json.loads(url)
    report_api.secrets.texts["warehouse"] = json.dumps({**where, "port": 1})
    found = report_api.get("/things")
    document = require_problem(found, 503, "Service Unavailable")
    assert found.headers["retry-after"] == "5"
    assert where["host"] not in json.dumps(document)
    assert "127.0.0.1:1" in report_api.logged.getvalue()
    report_api.secrets.texts["warehouse"] = json.dumps({**where, "password": "wrong"})
    assert report_api.get("/things").headers["retry-after"] == "60"
    assert "wrong" not in report_api.logged.getvalue().replace("wrong_token", "")
    report_api.secrets.texts["warehouse"] = url
    assert report_api.get("/things").status == 200


def test_a_connection_that_broke_is_replaced_at_once(report_api: Api, report_scene: Scene) -> None:
    """Nobody notices that the server ended it; there is never more than one."""
    for _ in range(3):
        assert report_api.get("/things").status == 200
        [[count]] = report_scene.query(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        assert count == 1


def test_a_connection_is_not_kept_for_ever(
    report_api: Api, report_scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was idle, or is old, makes way for another."""

    def backend() -> Any:
        assert report_api.get("/things").status == 200
        return report_scene.query(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    first = backend()
    assert backend() == first
    monkeypatch.setattr(kept, "IDLE_SECONDS", -1.0)
    assert backend() != first


def test_a_report_that_fails_is_said_and_logged(report_api: Api) -> None:
    """The log has what the database said, and the answer does not."""
    document = require_problem(report_api.get("/broken"), 500, "Internal Server Error")
    assert "nothing" not in json.dumps(document)
    assert 'column \\"nothing\\" does not exist [42703]' in report_api.logged.getvalue()
    assert report_api.get("/things").status == 200


def test_a_report_that_takes_too_long_is_ended(
    report_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server cancels it, and it is not tried twice."""
    monkeypatch.setattr(kept, "SECONDS", 3.0)
    assert report_api.get("/things").status == 200
    found = report_api.get("/slow")
    require_problem(found, 503, "Service Unavailable")
    assert report_api.logged.getvalue().count("statement timeout") == 1


def test_an_answer_that_is_too_large_is_not_sent(report_api: Api) -> None:
    """Lambda would cut it off."""
    require_problem(report_api.get("/large"), 500, "Internal Server Error")


def test_before_the_first_load_there_is_nothing_to_read(
    new_managed_warehouse: Callable[..., Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, until a batch is loaded: then the tables are found."""
    scene = Scene(new_managed_warehouse(), (things,))
    api = api_on(scene, monkeypatch)
    found = api.get("/things")
    require_problem(found, 503, "Service Unavailable")
    assert found.headers["retry-after"] == "60"
    scene.batch(thing=rows_of(SCHEMA, (1, Decimal(1), "a")))
    scene.load()
    assert api.get("/things").json["as_of"]["batch"] == 1


def test_a_statement_is_asked_once_on_a_connection_of_its_request(
    report_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one that was kept may have broken meanwhile: a new one is not tried twice."""
    asked: list[object] = []

    def refuse(reader: object) -> None:
        asked.append(reader)
        raise DatabaseUnavailableError("away")

    service = serve._service()
    for expected in (1, 1):
        asked.clear()
        with pytest.raises(DatabaseUnavailableError):
            service.warehouse.ask(refuse)
        assert len(asked) == expected
    assert report_api.get("/things").status == 200
    asked.clear()
    with pytest.raises(DatabaseUnavailableError):
        service.warehouse.ask(refuse)
    assert len(asked) == 2
