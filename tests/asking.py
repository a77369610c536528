"""Ask the function `serve` in this process, without AWS: its secrets and its bucket are fakes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from deployer.configuration.databases import parse_database_url
from etl.loading import folder
from etl.pipeline import Pipeline
from functions.common.secrets import Secrets
from functions.serve import handler as serve
from functions.serve.reports import Reports
from functions.serve.throttle import Throttle
from functions.serve.warehouse import Warehouse
from functions.targets import Place
from tests import postgres_fixtures
from tests.unit.fake_bucket import FakeBucket

TOKEN = "a-token-of-thirty-two-characters"
OLD_TOKEN = "the-one-before-it-for-a-roll-over"

NONE: Mapping[str, str] = {}


class FakeSecrets:
    """Secrets Manager: the address of the warehouse, and the tokens of those who may ask."""

    def __init__(self, url: str) -> None:
        self.texts = {
            "warehouse": json.dumps(parse_database_url(url).secret()),
            "tokens": json.dumps({"secrets": [TOKEN, OLD_TOKEN]}),
        }
        self.asked: list[str] = []

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803
        self.asked.append(SecretId)
        return {"SecretString": self.texts[SecretId]}


@dataclass
class Answered:
    """An answer, with its body as it is and as JSON."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Api:
    """The function, as API Gateway asks it; `logged` is all that it writes."""

    logged: StringIO
    secrets: FakeSecrets
    bucket: FakeBucket = field(default_factory=FakeBucket)

    def get(
        self,
        path: str,
        *,
        token: str | None = TOKEN,
        headers: Mapping[str, str] = NONE,
        method: str = "GET",
        query: str | None = None,
        **parameters: str,
    ) -> Answered:
        """Ask for a path; `query` is the query string as it is."""
        given = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return self.ask(
            {
                "version": "2.0",
                "rawPath": path,
                "rawQueryString": urlencode(parameters) if query is None else query,
                "headers": {**given, **headers},
                "requestContext": {"requestId": "r-1", "http": {"method": method, "path": path}},
                "isBase64Encoded": False,
            }
        )

    def renew(self) -> None:
        """Let the next request open a connection, which looks at the warehouse's tables again."""
        serve._service().warehouse.close()

    def ask(self, event: dict[str, Any]) -> Answered:
        response = serve.handler(event, context())
        assert response["isBase64Encoded"] is False
        return Answered(response["statusCode"], response["headers"], response["body"])


def context() -> LambdaContext:
    found = LambdaContext()
    found._function_name = "serve"
    found._memory_limit_in_mb = 512
    found._invoked_function_arn = "arn:aws:lambda:eu-west-2:123456789012:function:serve"
    found._aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    return found


def api_of(
    monkeypatch: pytest.MonkeyPatch,
    pipeline: Pipeline,
    warehouse: postgres_fixtures.Warehouse,
    *,
    options: Mapping[str, str] = NONE,
    rate: float = 1e6,
) -> Api:
    """Return the API of a pipeline with a warehouse; `rate` requests may come in all."""
    secrets: Any = FakeSecrets(warehouse.loader_url)
    logged = StringIO()
    api = Api(logged, secrets)
    settings = {
        "WAREHOUSE_SECRET_ID": "warehouse",
        "WAREHOUSE_SCHEMA": warehouse.schema,
        "REPORTS_SECRET_ID": "tokens",
    }
    monkeypatch.delenv("REPORTS_AUTH", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    where = folder("totesys")
    [target] = pipeline.targets
    service = serve.Service(
        pipeline,
        "shop",
        Secrets(secrets),
        Warehouse(Place(target, where, settings, secrets, options)),
        Reports(pipeline, where, options, api.bucket),
        Throttle(rate, lambda: 0.0),
    )
    monkeypatch.setattr(serve, "_service", lambda: service)
    monkeypatch.setattr(serve.logger.registered_handler, "stream", logged)
    return api
