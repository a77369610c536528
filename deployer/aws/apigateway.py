"""HTTP APIs: one route for all requests, which one function answers.

AWS chooses the id of an API, and allows several of one name: ours is the oldest. An API that is
created again has another URL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found, one_each, remove
from etl import product

ABSENT = "NotFoundException"
ROUTE = STAGE = "$default"
# Nothing that the caller chooses, such as the path: API Gateway does not escape it.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
ACCESS_LOG = (
    '{"time":"$context.requestTimeEpoch","id":"$context.requestId","method":"$context.httpMethod",'
    '"status":"$context.status","bytes":"$context.responseLength",'
    '"ms":"$context.responseLatency","function_ms":"$context.integrationLatency",'
    '"function_status":"$context.integrationStatus","error":"$context.error.responseType",'
    '"ip":"$context.identity.sourceIp"}'
)


@dataclass(frozen=True)
class Api:
    """An HTTP API as wanted: the function that answers, and where its requests are logged.

    Above `rate` requests a second, or `burst` at once, API Gateway answers 429.
    """

    name: str
    description: str
    function_arn: str
    log_group_arn: str
    tags: Mapping[str, str]
    rate: int
    burst: int
    authorization: Literal["NONE", "AWS_IAM"] = "NONE"

    @property
    def integration(self) -> dict[str, Any]:
        """The parameters of its integration, which invokes the function."""
        return {
            "IntegrationType": "AWS_PROXY",
            "IntegrationUri": self.function_arn,
            "PayloadFormatVersion": "2.0",
        }

    @property
    def stage(self) -> dict[str, Any]:
        """The parameters of its only stage."""
        return {
            "AutoDeploy": True,
            "DefaultRouteSettings": {
                "ThrottlingRateLimit": float(self.rate),
                "ThrottlingBurstLimit": self.burst,
            },
            "AccessLogSettings": {"DestinationArn": self.log_group_arn, "Format": ACCESS_LOG},
        }


def ensure_api(account: Account, api: Api) -> Change:
    """Create or update an API with its integration, route and stage; tags of others are kept."""
    client = account.clients.apigateway
    there = _find(account, api.name)
    actual = _read(account, there, api) if there else None

    def ident() -> str:
        return str((there or _find(account, api.name) or {})["ApiId"])

    def put_route() -> None:
        _put_route(account, ident(), api)

    def put_stage() -> None:
        change = client.update_stage if _stage(account, ident()) else client.create_stage
        change(ApiId=ident(), StageName=STAGE, **api.stage)

    return converge(
        account,
        Resource(
            kind="api",
            name=api.name,
            wanted={
                "Description": api.description,
                "CorsConfiguration": None,
                "tags": {**(actual or {}).get("tags", {}), **api.tags},
                "integration": api.integration,
                "routes": {ROUTE: api.authorization},
                **api.stage,
            },
            actual=actual,
            create=lambda: client.create_api(
                Name=api.name, ProtocolType="HTTP", Description=api.description, Tags=api.tags
            ),
            created_with=frozenset({"Description", "CorsConfiguration", "tags"}),
            updates=[
                *one_each(
                    {
                        "Description": lambda: client.update_api(
                            ApiId=ident(), Description=api.description
                        ),
                        "CorsConfiguration": lambda: client.delete_cors_configuration(
                            ApiId=ident()
                        ),
                        "tags": lambda: client.tag_resource(
                            ResourceArn=_arn(account, ident()), Tags=api.tags
                        ),
                    }
                ),
                Update(frozenset({"integration", "routes"}), put_route),
                Update(frozenset(api.stage), put_stage),
            ],
        ),
    )


def remove_api(account: Account, name: str) -> bool:
    """Remove all APIs of a name; return whether there was one."""

    def delete_all() -> None:
        while there := _find(account, name):
            account.clients.apigateway.delete_api(ApiId=there["ApiId"])

    return remove(account, lambda: _find(account, name), delete_all, ABSENT)


def id_of(account: Account, name: str) -> str | None:
    """Return the id of the API with a name, None if there is none."""
    there = _find(account, name)
    return there["ApiId"] if there else None


def name_of(account: Account, api_id: str) -> str | None:
    """Return the name of the API with an id, None if there is none."""
    answer = found(lambda: account.clients.apigateway.get_api(ApiId=api_id), ABSENT)
    return str(answer["Name"]) if answer else None


def url_of(account: Account, name: str) -> str | None:
    """Return the URL of an API, without a path; None if there is none."""
    there = _find(account, name)
    if there is None:
        return None
    if account.endpoint is None:
        return str(there["ApiEndpoint"])
    # An API's id in front of an emulator's host name does not resolve.
    return f"{account.endpoint}/_aws/execute-api/{there['ApiId']}/{STAGE}"


def _find(account: Account, name: str) -> dict[str, Any] | None:
    """Return the API of a name that a deployment made: others may have the same."""
    pages = account.clients.apigateway.get_paginator("get_apis").paginate()
    ours = [
        api
        for page in pages
        for api in page["Items"]
        if api["Name"] == name and api.get("Tags", {}).get("managed-by") == product.NAME
    ]
    return min(ours, key=lambda api: (api["CreatedDate"], api["ApiId"]), default=None)


def _read(account: Account, there: Mapping[str, Any], api: Api) -> dict[str, Any]:
    ident = there["ApiId"]
    target, routes = _route(account, ident)
    stage = _stage(account, ident) or {}
    settings = stage.get("DefaultRouteSettings", {})
    return {
        "Description": there.get("Description"),
        "CorsConfiguration": there.get("CorsConfiguration"),
        "tags": there.get("Tags", {}),
        "integration": target and {name: target.get(name) for name in api.integration},
        "routes": routes,
        "AutoDeploy": stage.get("AutoDeploy"),
        "DefaultRouteSettings": {
            name: settings.get(name) for name in api.stage["DefaultRouteSettings"]
        },
        "AccessLogSettings": stage.get("AccessLogSettings"),
    }


def _route(account: Account, api_id: str) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Return the integration of our route, and the authorization of each route."""
    client = account.clients.apigateway
    routes = _all(account, "get_routes", api_id)
    ours = [route for route in routes if route["RouteKey"] == ROUTE]
    target = str(ours[0].get("Target", "")).removeprefix("integrations/") if ours else ""
    integration = (
        found(lambda: client.get_integration(ApiId=api_id, IntegrationId=target), ABSENT)
        if target
        else None
    )
    return integration, {
        route["RouteKey"]: route.get("AuthorizationType") or "NONE" for route in routes
    }


def _put_route(account: Account, api_id: str, api: Api) -> None:
    """Make our route the only one; idempotent."""
    client = account.clients.apigateway
    integrations = _all(account, "get_integrations", api_id)
    matching = [each for each in integrations if api.integration.items() <= each.items()]
    integration = (
        matching[0] if matching else client.create_integration(ApiId=api_id, **api.integration)
    )
    target = f"integrations/{integration['IntegrationId']}"
    routes = {route["RouteKey"]: route["RouteId"] for route in _all(account, "get_routes", api_id)}
    if ROUTE in routes:
        client.update_route(
            ApiId=api_id, RouteId=routes[ROUTE], Target=target, AuthorizationType=api.authorization
        )
    else:
        client.create_route(
            ApiId=api_id, RouteKey=ROUTE, Target=target, AuthorizationType=api.authorization
        )
    for key, route in routes.items():
        if key != ROUTE:
            client.delete_route(ApiId=api_id, RouteId=route)
    for other in integrations:
        if other["IntegrationId"] != integration["IntegrationId"]:
            client.delete_integration(ApiId=api_id, IntegrationId=other["IntegrationId"])


def _all(account: Account, listing: str, api_id: str) -> list[dict[str, Any]]:
    pages = account.clients.apigateway.get_paginator(listing).paginate(ApiId=api_id)
    return [item for page in pages for item in page["Items"]]


def _stage(account: Account, api_id: str) -> dict[str, Any] | None:
    client = account.clients.apigateway
    return found(lambda: client.get_stage(ApiId=api_id, StageName=STAGE), ABSENT)


def _arn(account: Account, api_id: str) -> str:
    return f"arn:{account.partition}:apigateway:{account.region}::/apis/{api_id}"
