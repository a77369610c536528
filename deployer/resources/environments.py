"""The environment variables of the functions. They name secrets, and never contain them."""

import json
from collections.abc import Mapping

from deployer.configuration.apis import TOKEN, TOKENS_SECRET
from deployer.configuration.settings import Settings
from deployer.resources import specs
from deployer.resources.names import FunctionUse, Names
from etl.sources import WAL


def function_environment(use: FunctionUse, names: Names, settings: Settings) -> Mapping[str, str]:
    """Return the environment variables of a function."""
    common = {
        "PROJECT": settings.project,
        "STAGE": settings.stage,
        "PIPELINE": settings.pipeline,
        "POWERTOOLS_SERVICE_NAME": use,
        "POWERTOOLS_METRICS_NAMESPACE": names.prefix,
    }
    own = {
        "extract": {
            "INGESTION_BUCKET": names.bucket("ingestion"),
            **{source.capture_setting: WAL for source in settings.logged},
        },
        "transform": {
            "INGESTION_BUCKET": names.bucket("ingestion"),
            "PROCESSED_BUCKET": names.bucket("processed"),
            "MAX_REJECTS": settings.max_rejects,
        },
        "load": {
            "PROCESSED_BUCKET": names.bucket("processed"),
            "WAREHOUSE_SCHEMA": settings.warehouse_schema,
            "WAREHOUSE_MANAGED": str(settings.warehouse_managed).lower(),
        },
        "reconcile": {
            "INGESTION_BUCKET": names.bucket("ingestion"),
            "PROCESSED_BUCKET": names.bucket("processed"),
            "WAREHOUSE_SCHEMA": settings.warehouse_schema,
            "WAREHOUSE_MANAGED": str(settings.warehouse_managed).lower(),
        },
        "page": {
            "INGESTION_BUCKET": names.bucket("ingestion"),
            "PROCESSED_BUCKET": names.bucket("processed"),
            "WAREHOUSE_SCHEMA": settings.warehouse_schema,
        },
        "lake": {
            "PROCESSED_BUCKET": names.bucket("processed"),
            "LAKE_DATABASE": names.lake_database,
        },
        "receive": {
            "EVENTS_QUEUE_URL": names.events_queue_url,
        },
        "collect": {
            "INGESTION_BUCKET": names.bucket("ingestion"),
        },
        "serve": {
            "PROCESSED_BUCKET": names.bucket("processed"),
            "WAREHOUSE_SCHEMA": settings.warehouse_schema,
            "REPORTS_AUTH": settings.reports.auth,
            "REPORTS_RATE": settings.reports.rate,
        },
    }
    return {
        **settings.own,
        **common,
        **own[use],
        **(_files(names, settings) if use in specs.READS_SOURCES else {}),
        **(_apis(names, settings) if use in specs.READS_SOURCES else {}),
        **(_prefixes(settings) if use == "transform" else {}),
        **_secrets(use, names, settings),
        **(_of_reports(names, settings) if use == "serve" else {}),
        **(_missed(names, settings) if use == "reconcile" else {}),
        **(_proofs(settings) if use == "reconcile" else {}),
        **_notices(use, names, settings),
    }


def _files(names: Names, settings: Settings) -> dict[str, str]:
    """Return the variables of the files that a function reads."""
    found: dict[str, str] = {}
    if settings.takes_files:
        found["DROP_BUCKET"] = names.bucket("drop")
    if any(source.at_most for source in settings.declared.files):
        found["PROCESSED_BUCKET"] = names.bucket("processed")
    for source in settings.declared.files:
        if bucket := settings.buckets.get(source.name):
            found[source.bucket_setting] = bucket.name
            found[source.prefix_setting] = bucket.prefix
            found[source.region_setting] = bucket.region
    return {name: value for name, value in found.items() if value}


def _prefixes(settings: Settings) -> dict[str, str]:
    """Return the variables of prefixes, which keys of refused rows omit."""
    return {
        source.prefix_setting: bucket.prefix
        for source in settings.declared.files
        if (bucket := settings.buckets.get(source.name)) and bucket.prefix
    }


def _apis(names: Names, settings: Settings) -> dict[str, str]:
    """Return the variables of the APIs that a function reads, and of their keys."""
    apis = [source for source in settings.declared.apis if source.name in settings.urls]
    urls = {source.setting: settings.urls[source.name] for source in apis}
    keyed = [source for source in apis if source.key]
    return urls | {each.key_secret_setting: names.secret(each.key_secret) for each in keyed}


def _missed(names: Names, settings: Settings) -> dict[str, str]:
    """Return the variables by which reconcile fetches events that were never received."""
    keys = {
        source.key_secret_setting: names.secret(source.key_secret)
        for source in settings.declared.events
        if source.name in settings.keys
    }
    return {**keys, "EVENTS_QUEUE_URL": names.events_queue_url} if keys else {}


def _proofs(settings: Settings) -> dict[str, str]:
    """Return the variable of the key that signs proofs."""
    key = settings.organisation.proof_key
    return {"PROOF_KEY": key} if key else {}


def _secrets(use: FunctionUse, names: Names, settings: Settings) -> dict[str, str]:
    """Return the variables of a function's secrets: to log in, or to verify signatures."""
    parts = specs.secrets_of(use, settings.declared)
    ids = {each.secret_setting: secret_id(each.name, names, settings) for each in parts}
    addresses = {
        each.address_setting: json.dumps(secret.address)
        for each in specs.databases(use, settings.declared)
        if (secret := settings.existing.get(each.name)) and secret.address
    }
    return {name: value for name, value in ids.items() if value} | addresses


def secret_id(name: str, names: Names, settings: Settings) -> str | None:
    """Return the id of a secret: its name, or the ARN of one of others; None if there is none."""
    if existing := settings.existing.get(name):
        return existing.arn
    return names.secret(name) if name in settings.secrets else None


def _of_reports(names: Names, settings: Settings) -> dict[str, str]:
    """Return the variables of serve's secrets: its account in the target, and callers' tokens."""
    [target] = settings.declared.targets
    reports = settings.reports
    tokens = {"REPORTS_SECRET_ID": names.secret(TOKENS_SECRET)} if reports.auth == TOKEN else {}
    reader = reports.reader_secret
    existing = settings.existing.get(reader)
    address = {target.address_setting: json.dumps(existing.address)} if existing else {}
    secret = secret_id(reader, names, settings) or names.secret(reader)
    return {target.secret_setting: secret, **address, **tokens}


def _notices(use: FunctionUse, names: Names, settings: Settings) -> dict[str, str]:
    """Return the variables of a function that sends notices."""
    if use not in specs.NOTICE_WRITERS[settings.notify]:
        return {}
    return {"NOTIFY": settings.notify, "NOTICE_TOPIC_ARN": names.topic_arn}
