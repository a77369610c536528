"""`deploy.py page`: where the page is, for a browser of somebody who may read the bucket."""

import json
import webbrowser
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import url2pathname

import pytest

import deploy
from deployer.aws.account import Account
from deployer.errors import OperationError
from deployer.operations import page as deployer_page
from deployer.operations.page import find_page
from deployer.resources.names import Names

NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
BUCKET = NAMES.bucket("processed")
BODY = b"<!DOCTYPE html>\n<title>shop</title>"


@pytest.fixture
def with_page(account: Account) -> Account:
    """An account in which the page has been made."""
    account.clients.s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    account.clients.s3.put_object(Bucket=BUCKET, Key="page/index.html", Body=BODY)
    return account


def test_a_link_to_the_page_lasts_for_an_hour(with_page: Account) -> None:
    """The bucket stays private: the link is signed by whoever asked for it."""
    found = find_page(with_page, NAMES)

    query = parse_qs(urlsplit(found.url).query)
    assert found.object == f"s3://{BUCKET}/page/index.html"
    assert found.seconds == 3600
    assert urlsplit(found.url).scheme == "https"
    assert urlsplit(found.url).path.endswith("/page/index.html")
    assert query["X-Amz-Expires"] == ["3600"]


def test_a_page_of_this_machine_is_a_file_for_its_user_alone(
    with_page: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser cannot sign its requests to an emulator, so it gets a copy."""
    monkeypatch.setattr(deployer_page, "COPY", tmp_path / "page")

    for _ in range(2):  # over the former one
        found = find_page(replace(with_page, endpoint="http://127.0.0.1:4566"), NAMES)

    path = Path(url2pathname(urlsplit(found.url).path))
    assert found.seconds is None
    assert path.read_bytes() == BODY
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_page_that_is_not_there_is_said_with_the_next_step(account: Account) -> None:
    """Before the first load, and in an empty account, one line says what to do."""
    with pytest.raises(OperationError, match=r"does not exist: .* `python deploy.py run`"):
        find_page(account, NAMES)
    account.clients.s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    with pytest.raises(OperationError, match="does not exist"):
        find_page(account, NAMES)


def test_the_command_opens_the_page_and_json_says_where(
    with_page: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program is given the address, and nothing opens before its eyes."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or False)  # type: ignore[func-returns-value]
    monkeypatch.setattr("deploy.account.connect", lambda *_, **__: with_page)

    assert deploy.main(["page", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["object"], said["seconds"], opened) == (f"s3://{BUCKET}/page/index.html", 3600, [])

    assert deploy.main(["page"]) == 0
    [url] = opened
    shown = capsys.readouterr()
    assert url in shown.out.replace("\n", "")
    assert "(for 1 hour):" in shown.out
    assert "There is no browser on this machine" in shown.err
