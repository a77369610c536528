"""Layers: published once for each content, and removed when no longer used.

AWS numbers the versions of a layer and lists no hash of their content, so the description has the
digest of what the layer contains. Others may write descriptions, and objects of the code bucket: a
version is attached to a function only if AWS's hash of its code is that of the zip that was built
here. A version that a function has already may be a zip of another machine, whose zlib compresses
the same contents to other bytes: it is kept. Who can attach one could change the function's code.
"""

import base64
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found, remove
from deployer.aws.s3 import upload
from deployer.errors import ConflictError
from deployer.packaging.packages import Layer

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import (
        LayerVersionContentInputTypeDef,
        LayerVersionsListItemTypeDef,
    )


ABSENT = "ResourceNotFoundException"
# Without it functions start slower, so a version with bytecode also serves as one without.
WITH_BYTECODE = ", with bytecode"


def ensure_layer(
    account: Account,
    name: str,
    layer: Layer,
    platform: str,
    bucket: str,
    *,
    in_use: Callable[[], Collection[str]],
) -> tuple[Change, str]:
    """Publish a layer through `bucket`, unless a version with this content exists.

    `platform` is what it is built for, such as "python3.13 arm64"; `in_use` returns the ARNs of the
    versions that the functions of the deployment have.

    Returns the change and the ARN of that version, a placeholder while it is only planned.

    Raises:
        ConflictError: AWS published other code than was uploaded.
    """
    sources = f"{platform} sha256:{layer.contents}"
    content = sources + WITH_BYTECODE if layer.compiled else sources
    good = {content, sources + WITH_BYTECODE}
    versions = _versions(account, name)
    described = [version for version in versions if version.get("Description") in good]
    matching = _usable(account, name, described, layer.sha256, in_use)

    def publish() -> None:
        key = f"layers/{layer.name}-{base64.b64decode(layer.sha256).hex()}.zip"
        version = upload(account, bucket, key, layer.path, layer.sha256)
        stored: LayerVersionContentInputTypeDef = {
            "S3Bucket": bucket,
            "S3Key": key,
            "S3ObjectVersion": version,
        }
        matching.append(_publish(account, name, content, stored, layer.sha256))

    latest = versions[0].get("Description", "") if versions else None
    if latest in good:
        latest = f"{latest}, but with other code"
    change = converge(
        account,
        Resource(
            kind="layer",
            name=name,
            wanted={"content": content},
            actual={"content": content if matching else latest} if versions else None,
            create=publish,
            created_with=frozenset({"content"}),
            updates=[Update(frozenset({"content"}), publish)],
        ),
    )
    return change, matching[0] if matching else f"{name}:(new version)"


def _usable(
    account: Account,
    name: str,
    versions: list["LayerVersionsListItemTypeDef"],
    sha256: str,
    in_use: Callable[[], Collection[str]],
) -> list[str]:
    """Return the ARNs of the versions with our code, or else of those that a function has."""
    codes = {v["LayerVersionArn"]: _code_sha256(account, name, v["Version"]) for v in versions}
    ours = [arn for arn, code in codes.items() if code == sha256]
    if len(codes) == len(ours) <= 1:
        return ours
    used = in_use()
    return [arn for arn in codes if arn in used] or ours


def remove_old_versions(account: Account, name: str, used: Collection[str]) -> list[Change]:
    """Remove every version of a layer but those with the ARNs `used`."""
    changes = []
    for version in _versions(account, name):
        if version["LayerVersionArn"] not in used:
            _delete(account, name, version["Version"])
            changes.append(Change("layer version", f"{name}:{version['Version']}", "removed"))
    return changes


def version_exists(account: Account, arn: str) -> bool:
    """Return whether a layer version can still be attached to a function."""
    *_, name, version = arn.split(":")
    client = account.clients.lambda_
    look = partial(client.get_layer_version, LayerName=name, VersionNumber=int(version))
    return found(look, ABSENT) is not None


def remove_layer(account: Account, name: str) -> bool:
    """Remove all versions of a layer; return whether there was one."""

    def delete_versions() -> None:
        for version in _versions(account, name):
            account.clients.lambda_.delete_layer_version(
                LayerName=name, VersionNumber=version["Version"]
            )

    return remove(account, lambda: _versions(account, name) or None, delete_versions)


def _delete(account: Account, name: str, version: int) -> None:
    account.write(
        lambda: account.clients.lambda_.delete_layer_version(LayerName=name, VersionNumber=version)
    )


def _versions(account: Account, name: str) -> list["LayerVersionsListItemTypeDef"]:
    """Return the versions of a layer, the newest first; none when there is no such layer."""
    pages = account.clients.lambda_.get_paginator("list_layer_versions").paginate(LayerName=name)
    versions = [version for page in pages for version in page["LayerVersions"]]
    return sorted(versions, key=lambda version: version["Version"], reverse=True)


def _code_sha256(account: Account, name: str, version: int) -> str | None:
    """Return AWS's hash of the code of a layer version."""
    found = account.clients.lambda_.get_layer_version(LayerName=name, VersionNumber=version)
    return found["Content"].get("CodeSha256")


def _publish(
    account: Account,
    name: str,
    content: str,
    stored: "LayerVersionContentInputTypeDef",
    sha256: str,
) -> str:
    """Publish an object as a layer version, check its code, and return its ARN."""
    published = account.clients.lambda_.publish_layer_version(
        LayerName=name, Description=content, Content=stored
    )
    if (code := published["Content"].get("CodeSha256")) != sha256:
        account.clients.lambda_.delete_layer_version(
            LayerName=name, VersionNumber=published["Version"]
        )
        raise ConflictError(
            f"layer {name}: AWS published code with the hash {code}, but {sha256} was uploaded to "
            f"{stored['S3Bucket']}/{stored['S3Key']}. The version was removed again. Find out who "
            "writes to that bucket, then run again."
        )
    return published["LayerVersionArn"]
