"""The replication slots of a deployment, which extract makes and drops in its sources.

A source keeps its write-ahead log for a slot, so one that is left behind fills the source's disk.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from deployer import records
from deployer.aws.account import Account
from deployer.aws.changes import error_code
from deployer.aws.lambda_functions import environment_of
from deployer.errors import AwsError, CredentialsError, explaining
from deployer.receipt import Entry
from deployer.resources.names import Names
from etl.sources import CAPTURE_ENDING, WAL, slot_name

SLOT = "slot"
EVENT = json.dumps({"release": True})


def slots_of(account: Account, names: Names) -> list[str]:
    """Return the names of the slots that extract may have made, by its settings now and before."""
    return list(_slots(account, names).values())


def drop_slots(account: Account, names: Names) -> Iterator[Entry]:
    """Have extract drop its slots; yield the outcome of each, with what to do if it stays.

    Raises:
        CredentialsError: AWS does not accept the credentials.
    """
    if not (slots := _slots(account, names)):
        return
    try:
        with explaining(f"function {names.function('extract')}"):
            answer = _ask(account, names)
    except CredentialsError:
        raise
    except AwsError as error:
        answer = {source: {"error": str(error)} for source in slots}
    for source, slot in slots.items():
        yield _outcome(slot, answer.get(source, {"error": "extract did not answer"}))


def _slots(account: Account, names: Names) -> dict[str, str]:
    """Return the names of the slots, by source."""
    sources = {
        name.removesuffix(CAPTURE_ENDING).lower()
        for variables in _environments(account, names)
        for name, value in variables.items()
        if name.endswith(CAPTURE_ENDING) and value == WAL
    }
    return {source: slot_name(names.bucket("ingestion"), source) for source in sorted(sources)}


def _environments(account: Account, names: Names) -> Iterator[Mapping[str, str]]:
    """Yield the variables of extract, and those of the deployments that are recorded.

    After a change back to scanning, a slot is there until extract runs the next time.
    """
    extract = names.function("extract")
    with explaining(f"function {extract}"):
        yield environment_of(account, extract)
    try:
        with explaining("record of the deployment"):
            record = records.newest(account, names)
            while record is not None:
                yield record.functions.get(extract, {}).get("environment", {})
                record = records.before(account, names, record)
    except CredentialsError:
        raise
    except AwsError:
        return  # the records say nothing then, and all else is removed all the same


def _ask(account: Account, names: Names) -> Mapping[str, Mapping[str, Any]]:
    """Return what became of the slot of each source."""
    invoking, extract = account.clients.invoking, names.function("extract")
    try:
        answer = account.patience.retry(
            lambda: invoking.invoke(FunctionName=extract, Payload=EVENT)
        )
    except ClientError as error:
        raise AwsError(f"extract could not be asked ({error_code(error)})") from error
    payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise AwsError(f"extract failed: {payload.get('errorMessage')}")
    slots = payload.get("slots") if isinstance(payload, dict) else None
    return slots if isinstance(slots, dict) else {}


def _outcome(slot: str, said: Mapping[str, Any]) -> Entry:
    if error := said.get("error"):
        todo = f"run in the source: SELECT pg_drop_replication_slot('{slot}')"
        return Entry(SLOT, slot, "stays", f"{error}: {todo}")
    return Entry(SLOT, slot, "removed" if said.get("dropped") else "already gone")
