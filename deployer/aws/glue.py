"""The database of Iceberg tables in the Glue catalogue; its tables are made by a function."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found, remove
from deployer.errors import ConflictError
from etl import product

ABSENT = "EntityNotFoundException"
# Who may not look at Glue has made no database there; that of another role is found by its tags.
NOT_OURS = (ABSENT, "AccessDeniedException")


def ensure_database(account: Account, name: str, arn: str, tags: Mapping[str, str]) -> Change:
    """Create a database, or set its tags; those of others are kept.

    Raises ConflictError for a database that no deployment made: a teardown would remove its tables.
    """
    glue = account.clients.glue
    answer = found(lambda: glue.get_database(Name=name), ABSENT)
    actual: dict[str, Any] | None = None
    if answer is not None:
        actual = {"tags": _tags(account, arn)}
        if not _is_ours(actual["tags"]):
            raise ConflictError(
                f"database {name} of Glue is there and was not made by a deployment: "
                "choose another PROJECT or STAGE, or remove it yourself"
            )
    return converge(
        account,
        Resource(
            kind="database",
            name=name,
            wanted={"tags": {**(actual or {}).get("tags", {}), **tags}},
            actual=actual,
            create=lambda: glue.create_database(DatabaseInput={"Name": name}, Tags=dict(tags)),
            created_with=frozenset({"tags"}),
            updates=[
                Update(
                    frozenset({"tags"}),
                    lambda: glue.tag_resource(ResourceArn=arn, TagsToAdd=dict(tags)),
                )
            ],
        ),
    )


def remove_database(account: Account, name: str) -> bool:
    """Remove a database with its tables; return whether it existed.

    Glue removes the tables of a database some time after it, so they are removed before.
    """
    glue = account.clients.glue

    def empty_and_remove() -> None:
        for page in glue.get_paginator("get_tables").paginate(DatabaseName=name):
            for table in page["TableList"]:
                delete = partial(glue.delete_table, DatabaseName=name, Name=table["Name"])
                found(delete, ABSENT)
        glue.delete_database(Name=name)

    if found(lambda: glue.get_database(Name=name), *NOT_OURS) is None:
        return False
    arn = f"arn:{account.partition}:glue:{account.region}:{account.id}:database/{name}"
    tags = found(lambda: _tags(account, arn), ABSENT)
    if tags is None or not _is_ours(tags):
        return False  # somebody else's, of the same name
    return remove(account, lambda: glue.get_database(Name=name), empty_and_remove, ABSENT)


def _tags(account: Account, arn: str) -> dict[str, str]:
    return dict(account.clients.glue.get_tags(ResourceArn=arn).get("Tags", {}))


def _is_ours(tags: Mapping[str, str]) -> bool:
    return tags.get("managed-by") == product.NAME
