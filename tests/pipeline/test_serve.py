"""The HTTP API of reports: what is answered to whom, and what is refused."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.serve import handler as serve
from functions.serve.openapi import description
from tests.asking import OLD_TOKEN, TOKEN, Api
from tests.pipeline.report_scene import (
    REPORTS,
    api_on,
    require_problem,
)
from tests.pipeline.target_scene import Scene


def test_a_report_is_answered_with_exact_values(report_api: Api, report_scene: Scene) -> None:
    """Decimals are texts with all digits; the answer says of which batch it is."""
    found = report_api.get("/things")
    assert (found.status, found.headers["content-type"]) == (200, "application/json")
    [[loaded]] = report_scene.query("SELECT loaded_at FROM loaded_batches")
    stamp = loaded.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert found.json == {
        "as_of": {"batch": 1, "loaded_at": stamp, "batches": {"source": 1}},
        "parameters": {},
        "rows": [
            {"id": 1, "price": "1.500", "word": "a"},
            {"id": 2, "price": "-0.001", "word": "b %"},
            {"id": 3, "price": "0.000", "word": "c é <"},
        ],
        "complete": True,
    }


def test_parameters_are_values_and_have_defaults(
    report_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer says which values it is for, and whether there are more rows."""
    monkeypatch.setattr(serve, "now", lambda: datetime(2024, 7, 1, 23, 30, tzinfo=UTC))
    found = report_api.get("/things/some", word="").json
    assert found["parameters"] == {"least": "0", "word": "", "day": "2024-07-02"}
    assert ([row["id"] for row in found["rows"]], found["complete"]) == ([1, 2], False)
    assert [row["id"] for row in report_api.get("/things/some", word="c é").json["rows"]] == [3]
    assert report_api.get("/things/some", word="' OR true --").json["rows"] == []
    assert [
        row["id"] for row in report_api.get("/things/some", word="", least="03").json["rows"]
    ] == [3]


def test_what_is_wrong_with_parameters_is_said_without_their_values(report_api: Api) -> None:
    """Unknown, missing, malformed and repeated ones, all at once."""
    found = report_api.get(
        "/things/some", query="least=secret1&dy=secret2&day=x&day=y&%0Aa=secret3"
    )
    document = require_problem(found, 400, "Bad Request")
    assert document["errors"] == [
        {"parameter": "dy", "reason": "is unknown"},
        {"parameter": "(one that is unknown)", "reason": "is unknown"},
        {"parameter": "least", "reason": "is no whole number"},
        {"parameter": "word", "reason": "is missing"},
        {"parameter": "day", "reason": "is given more than once"},
    ]
    assert "secret" not in found.text + report_api.logged.getvalue()


@pytest.mark.parametrize("query", ["%ff=1", "word", "a=%ff", "&", "a=1&" * 51 + "b=1", "a" * 9000])
def test_a_query_that_cannot_be_read_is_refused(query: str, report_api: Api) -> None:
    """Not UTF-8, not pairs, too many, too long."""
    require_problem(report_api.get("/things", query=query), 400, "Bad Request")


@pytest.mark.parametrize("path", ["/things", "/health", "/openapi.json", "/absent"])
@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, 'Bearer realm="reports"'),
        ({"authorization": ""}, 'Bearer realm="reports"'),
        ({"authorization": "Bearer "}, 'Bearer realm="reports"'),
        ({"authorization": f"Basic {TOKEN}"}, 'Bearer realm="reports"'),
        ({"authorization": "Bearer wrong"}, 'Bearer realm="reports", error="invalid_token"'),
        ({"authorization": f"Bearer {TOKEN}x"}, 'Bearer realm="reports", error="invalid_token"'),
        ({"authorization": "Bearer \ud800"}, 'Bearer realm="reports", error="invalid_token"'),
    ],
)
def test_nobody_is_answered_without_a_token(
    path: str, headers: dict[str, str], challenge: str, report_api: Api
) -> None:
    """Whatever the path: who is not known does not find out which reports there are."""
    found = report_api.get(path, token=None, headers=headers)
    require_problem(found, 401, "Unauthorized")
    assert found.headers["www-authenticate"] == challenge


def test_an_old_token_is_good_during_a_roll_over(report_api: Api) -> None:
    """Either of two; the scheme's name may be in any case."""
    assert report_api.get("/health", token=OLD_TOKEN).status == 200
    assert (
        report_api.get("/health", token=None, headers={"Authorization": f"bEARER  {TOKEN}"}).status
        == 200
    )


def test_nobody_is_answered_where_no_token_is_set(
    report_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function without its setting is closed, and so is one whose secret is empty."""
    report_api.secrets.texts["tokens"] = json.dumps({"secrets": [""]})
    require_problem(report_api.get("/things", token=""), 401, "Unauthorized")
    require_problem(report_api.get("/things"), 500, "Internal Server Error")
    monkeypatch.delenv("REPORTS_SECRET_ID")
    require_problem(report_api.get("/things"), 500, "Internal Server Error")


def test_with_iam_only_whom_aws_has_authorized_is_answered(
    report_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where somebody took the authorization off the route; a token does not help."""
    monkeypatch.setenv("REPORTS_AUTH", "iam")
    found = report_api.get("/things")
    require_problem(found, 401, "Unauthorized")
    assert found.headers["www-authenticate"] == "AWS4-HMAC-SHA256"
    event = {
        "rawPath": "/things",
        "requestContext": {
            "http": {"method": "GET"},
            "authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:role/finance"}},
        },
    }
    assert report_api.ask(event).status == 200


def test_other_paths_and_methods_are_refused(report_api: Api) -> None:
    """With what is allowed."""
    for path in ("/", "/things/", "/things/other", "/THINGS", "//things"):
        require_problem(report_api.get(path), 404, "Not Found")
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
        found = report_api.get("/things", method=method)
        require_problem(found, 405, "Method Not Allowed")
        assert found.headers["allow"] == "GET"


def test_too_many_requests_are_refused(
    report_scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as many as a second's may come at once."""
    api = api_on(report_scene, monkeypatch, rate=2)
    assert [api.get("/things").status for _ in range(4)] == [200] * 4
    found = api.get("/things")
    require_problem(found, 429, "Too Many Requests")
    assert found.headers["retry-after"] == "1"


def test_nothing_of_a_request_is_logged(report_api: Api) -> None:
    """Neither headers nor values of parameters, whatever becomes of the request."""
    for query in ("word=VALUE1&least=VALUE2", "word=VALUE3", "VALUE4=VALUE5", "VALUE6%ff"):
        for path in ("/things/some", "/VALUE7", "/broken"):
            for token in (TOKEN, "VALUE8"):
                report_api.get(path, token=token, query=query, headers={"x-other": "VALUE9"})
    logged = report_api.logged.getvalue()
    assert "answered" in logged
    assert "VALUE" not in logged
    assert TOKEN not in logged


def test_the_description_says_what_there_is(
    report_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAPI 3.1: paths, parameters, types; who may ask."""
    found = report_api.get("/openapi.json").json
    assert found["openapi"] == "3.1.0"
    assert set(found["paths"]) == {each.path for each in REPORTS} | {"/health", "/openapi.json"}
    [least, word, day] = found["paths"]["/things/some"]["get"]["parameters"]
    assert (least["schema"], least["required"]) == ({"type": "integer", "format": "int32"}, False)
    assert word["required"] is True
    assert day["description"] == "By default today in Europe/London."
    answer = found["paths"]["/things"]["get"]["responses"]["200"]["content"]["application/json"]
    row = answer["schema"]["properties"]["rows"]["items"]["properties"]
    assert (row["price"]["type"], row["price"]["format"]) == ("string", "decimal")
    assert found["components"]["securitySchemes"]["caller"]["scheme"] == "bearer"
    monkeypatch.setenv("REPORTS_AUTH", "iam")
    document = description(serve._service().pipeline, "shop", by_iam=True)
    assert "awsSigv4" in json.dumps(document)


odd = st.text(max_size=40)


@given(
    path=st.one_of(st.sampled_from([each.path for each in REPORTS[:2]]), odd.map("/".__add__)),
    query=st.one_of(odd, st.lists(st.tuples(odd, odd)).map(
        lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))),
    method=st.sampled_from(["GET", "POST", "get", "\n"]),
    headers=st.dictionaries(st.sampled_from(["authorization", "if-none-match", "x"]), odd),
)  # fmt: skip
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_request_is_answered(
    path: str, query: str, method: str, headers: dict[str, str], report_api: Api
) -> None:
    """With a report, or with a problem that is the caller's, never with a failure of ours."""
    found = report_api.get(path, query=query, method=method, headers=headers)
    assert found.status in (200, 304, 400, 401, 404, 405)
    assert all("\n" not in value for value in found.headers.values())
    assert not found.text or found.json
