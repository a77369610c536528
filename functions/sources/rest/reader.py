"""Reader of APIs, for extract."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial

import boto3

from etl import Pipeline, Rest
from etl.providers import fault_of_url
from functions.common.batchlog import BatchLog
from functions.common.errors import SettingsError
from functions.common.httpclient import Api
from functions.common.httpconnection import probe
from functions.common.manifests import IngestionManifest
from functions.common.secrets import key_of
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG
from functions.sources import Read
from functions.sources.rest.capture import Capture
from functions.sources.rest.pace import Pace


def is_configured(source: Rest) -> bool:
    """Return whether this function was given the URL of a source."""
    return bool(os.environ.get(source.setting))


@cache
def _pace(source: str, url: str) -> Pace:
    return Pace()


def _key(source: Rest) -> Mapping[str, str]:
    """Return the header with the key, if there is one; it is read again when an API is asked."""
    if source.key is None:
        return {}
    secrets = boto3.client("secretsmanager", config=CLIENT_CONFIG)
    key = key_of(secrets, required(os.environ, source.key_secret_setting))
    return {source.key.header: f"{source.key.prefix}{key}"}


def api_of(source: Rest) -> Api:
    """Return the API of a source; raise SettingsError unless the environment says where it is."""
    url = required(os.environ, source.setting)
    if fault := fault_of_url(url):
        raise SettingsError(f"{source.setting} {fault}: correct it, and run deploy.py again")
    key_setting = source.key_setting if source.key else source.setting
    return Api(url, partial(_key, source), setting=source.setting, key_setting=key_setting)


def look(source: Rest) -> str:
    """Return that the host can be reached; no request is sent, as it may count against a limit."""
    api = api_of(source)
    try:
        encryption = probe(api.url)
    except OSError as error:
        raise api.unavailable(f"cannot be reached ({type(error).__name__})") from error
    return f"{api.host} can be reached, {encryption}"


@contextmanager
def opened(
    source: Rest,
    pipeline: Pipeline,
    log: BatchLog[IngestionManifest],
    seconds: float,
    *,
    now: bool = False,
    scheduled: bool = False,
) -> Iterator[Read]:
    """Yield a function that captures a batch; the client limits the time of each document."""
    api = api_of(source)
    capture = Capture(
        source,
        pipeline,
        api,
        log,
        now=lambda: datetime.now(UTC),
        pace=_pace(source.name, api.url),
        at_most=source.at_most.value(os.environ) if source.at_most else "",
        lifted=now,
    )
    yield capture.run
