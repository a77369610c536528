"""A layer is code that runs with the secrets: only what was built here is published or used."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.model import OperationModel

from deployer.errors import ConflictError
from deployer.packaging.packages import Layer
from tests.aws.sandbox import Sandbox, TinyPackages, pending

LAYER = "totesys-etl-dev-arrow"
FUNCTION = "totesys-etl-dev-extract"


@pytest.fixture
def foreign(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A zip that is a layer as well, with other code in it."""
    packages = TinyPackages(tmp_path_factory.mktemp("foreign"))
    packages.locks["arrow"] = "import os"
    return packages.build_layer("arrow", "3.13", "arm64", host=False).path.read_bytes()


def code_in_use(sandbox: Sandbox) -> str:
    """Return AWS's hash of the layer that the function uses."""
    client = sandbox.account.clients.lambda_
    used = client.get_function(FunctionName=FUNCTION)["Configuration"]["Layers"][0]["Arn"]
    name, _, version = used.rpartition(":")
    found = client.get_layer_version(LayerName=name, VersionNumber=int(version))
    return found["Content"]["CodeSha256"]


def built(sandbox: Sandbox) -> Layer:
    return sandbox.packages.build_layer("arrow", "3.13", "arm64", host=False)


def elsewhere(sandbox: Sandbox, folder: Path, *, compiles: bool = False) -> Sandbox:
    """The same account and settings on a machine with another zlib."""
    packages = TinyPackages(folder, zlib="another", compiles=compiles)
    return Sandbox(sandbox.account, sandbox.settings, packages)


def on_publish(sandbox: Sandbox, act: Callable[[dict[str, Any]], object]) -> None:
    """Act on the body of each request to publish the layer, before it is sent."""

    def before(model: OperationModel, params: dict[str, Any], **_: object) -> None:
        if model.name == "PublishLayerVersion" and LAYER in params["url_path"]:
            act(params)

    sandbox.account.clients.lambda_.meta.events.register("before-call.*.*", before)


def test_a_foreign_version_with_our_description_is_not_used(
    sandbox: Sandbox, foreign: bytes
) -> None:
    """Other code that is published under the description we look for does not run."""
    description = f"python3.13 arm64 sha256:{built(sandbox).contents}"
    client = sandbox.account.clients.lambda_
    client.publish_layer_version(
        LayerName=LAYER, Description=description, Content={"ZipFile": foreign}
    )

    (change,) = [change for change in sandbox.plan() if change.name == LAYER]
    sandbox.deploy()

    assert change.differences == {"content": (f"{description}, but with other code", description)}
    assert code_in_use(sandbox) == built(sandbox).sha256
    assert len(client.list_layer_versions(LayerName=LAYER)["LayerVersions"]) == 1
    assert pending(sandbox.plan()) == []


def test_an_object_under_our_key_is_not_published(sandbox: Sandbox, foreign: bytes) -> None:
    """The key of a layer in the code bucket can be guessed; what lies there counts for nothing."""
    sandbox.start_deployed()
    s3, bucket = sandbox.account.clients.s3, "totesys-etl-dev-123456789012-eu-west-2-code"
    sandbox.packages.locks["arrow"] = "another lock"
    key = f"layers/arrow-{hashlib.sha256(_new_zip(sandbox)).hexdigest()}.zip"
    s3.put_object(Bucket=bucket, Key=key, Body=foreign)
    published: list[bytes] = []
    on_publish(sandbox, lambda params: published.append(params["body"]))

    sandbox.deploy()

    newest = s3.head_object(Bucket=bucket, Key=key)["VersionId"]
    assert f'"S3ObjectVersion": "{newest}"' in str(published[0])
    assert code_in_use(sandbox) == built(sandbox).sha256


def test_code_that_was_exchanged_on_its_way_is_removed(sandbox: Sandbox, foreign: bytes) -> None:
    """If AWS publishes other code than we uploaded, no function gets it, and we say where."""
    sandbox.start_deployed()
    before = code_in_use(sandbox)
    sandbox.packages.locks["arrow"] = "another lock"
    bucket = "totesys-etl-dev-123456789012-eu-west-2-code"
    key = f"layers/arrow-{hashlib.sha256(_new_zip(sandbox)).hexdigest()}.zip"
    # moto publishes the newest version, whichever is asked for.
    on_publish(
        sandbox,
        lambda _: sandbox.account.clients.s3.put_object(Bucket=bucket, Key=key, Body=foreign),
    )

    with pytest.raises(ConflictError, match=f"was uploaded to {bucket}/{key}"):
        sandbox.deploy()

    client = sandbox.account.clients.lambda_
    assert len(client.list_layer_versions(LayerName=LAYER)["LayerVersions"]) == 1
    assert code_in_use(sandbox) == before


def test_two_machines_agree_on_a_layer(sandbox: Sandbox, tmp_path: Path) -> None:
    """CI and a laptop compress the same contents to other bytes: a plan is in sync on both."""
    laptop = elsewhere(sandbox, tmp_path / "laptop")
    sandbox.deploy()

    assert built(laptop).sha256 != built(sandbox).sha256
    assert (pending(laptop.plan()), pending(sandbox.plan())) == ([], [])
    assert pending(laptop.deploy()) == []
    laptop.packages.locks["arrow"] = "another lock"
    assert ("layer", "updated", ["content"]) in pending(laptop.plan())


def test_a_layer_with_bytecode_is_not_replaced_by_one_without(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """A machine that cannot compile keeps what one that can has deployed, and not vice versa."""
    compiling = elsewhere(sandbox, tmp_path / "compiling", compiles=True)
    sandbox.deploy()

    changes = [change for change in compiling.deploy() if change.name == LAYER]

    contents = f"python3.13 arm64 sha256:{built(sandbox).contents}"
    assert changes[0].differences == {"content": (contents, f"{contents}, with bytecode")}
    assert pending(compiling.plan()) == []
    assert pending(sandbox.plan()) == []


def test_another_machine_uses_no_foreign_version_either(
    sandbox: Sandbox, foreign: bytes, tmp_path: Path
) -> None:
    """A version that no function has is not trusted for its description, whoever deploys."""
    laptop = elsewhere(sandbox, tmp_path / "laptop")
    sandbox.deploy()
    sandbox.account.clients.lambda_.publish_layer_version(
        LayerName=LAYER,
        Description=f"python3.13 arm64 sha256:{built(sandbox).contents}",
        Content={"ZipFile": foreign},
    )

    laptop.deploy()

    assert code_in_use(sandbox) == built(sandbox).sha256


def _new_zip(sandbox: Sandbox) -> bytes:
    return sandbox.packages.build_layer("arrow", "3.13", "arm64", host=False).path.read_bytes()
