"""The topic, the one who is subscribed to it, the alarms and the dashboard."""

import json
from dataclasses import replace
from typing import Any

from deployer.aws import sns
from deployer.aws.account import Account
from deployer.aws.changes import Change
from tests.aws.faults import stubbed
from tests.aws.sandbox import Sandbox, pending

TOPIC = "totesys-etl-dev-alerts"
TOPIC_ARN = f"arn:aws:sns:eu-west-2:123456789012:{TOPIC}"
ALARM = "totesys-etl-dev-freshness"


def test_a_deleted_alarm_comes_back_alone(sandbox: Sandbox) -> None:
    """The plan names the alarm that is gone, and deploy makes that one again."""
    sandbox.start_deployed()
    sandbox.account.clients.cloudwatch.delete_alarms(AlarmNames=[ALARM])
    sandbox.writes.clear()

    planned, done = sandbox.plan(), sandbox.deploy()

    assert [change.name for change in planned if change.action == "created"] == [ALARM]
    assert [change.name for change in done if change.action == "created"] == [ALARM]
    assert sandbox.writes == ["PutMetricAlarm", "SetAlarmState", "EnableAlarmActions"]


def test_every_alarm_notifies_the_topic_when_it_rings_and_when_it_ends(sandbox: Sandbox) -> None:
    """Subscribers are notified of a failure and, where that is measured, of its end."""
    sandbox.start_deployed()

    alarms = sandbox.account.clients.cloudwatch.describe_alarms()["MetricAlarms"]
    assert {(*alarm["AlarmActions"], alarm["ActionsEnabled"]) for alarm in alarms} == {
        (TOPIC_ARN, True)
    }
    without_end = {
        alarm["AlarmName"].removeprefix("totesys-etl-dev-")
        for alarm in alarms
        if alarm["OKActions"] != [TOPIC_ARN]
    }
    assert without_end == {"rows-quarantined", "rows-refused", "schema-changes"}


def test_a_new_alarm_is_ok_before_it_may_mail(sandbox: Sandbox) -> None:
    """CloudWatch would mail the way of a new alarm to OK like the end of a failure."""
    sandbox.deploy()

    alarms = sandbox.account.clients.cloudwatch.describe_alarms()["MetricAlarms"]
    assert {alarm["StateValue"] for alarm in alarms} == {"OK"}


def test_an_alarm_that_was_interrupted_is_enabled(sandbox: Sandbox) -> None:
    """One whose deployment ended before its actions were enabled gets them the next time."""
    sandbox.start_deployed()
    sandbox.account.clients.cloudwatch.disable_alarm_actions(AlarmNames=[ALARM])

    changes = sandbox.deploy()

    assert pending(changes) == [("alarm", "updated", ["ActionsEnabled"])]
    assert pending(sandbox.plan()) == []


def test_a_schedule_moves_the_alarm_of_its_silence(sandbox: Sandbox) -> None:
    """Another schedule makes the alarm again; one that may pause for a week removes it."""
    sandbox.start_deployed()
    silence = "totesys-etl-dev-load-silence"
    sandbox.settings = replace(sandbox.settings, load_schedule="rate(1 hour)")
    sandbox.writes.clear()

    planned, changes = pending(sandbox.plan()), pending(sandbox.deploy())

    assert planned == changes
    assert ("alarm", "updated", ["AlarmDescription", "EvaluationPeriods"]) in changes
    assert [write for write in sandbox.writes if "Alarm" in write] == [
        "PutMetricAlarm",  # of freshness
        "DeleteAlarms",
        "PutMetricAlarm",
        "SetAlarmState",
        "EnableAlarmActions",
    ]

    sandbox.settings = replace(sandbox.settings, load_schedule="rate(7 days)")

    for made in (sandbox.plan(), sandbox.deploy()):
        assert [each.name for each in made if each.action == "removed"] == [silence]
    assert pending(sandbox.plan()) == []


def emails(sandbox: Sandbox) -> list[str]:
    answer = sandbox.account.clients.sns.list_subscriptions_by_topic(TopicArn=TOPIC_ARN)
    return sorted(subscription["Endpoint"] for subscription in answer["Subscriptions"])


def subscriptions(changes: list[Change]) -> list[tuple[str, object]]:
    return [
        (change.action, change.differences.get("e-mail"))
        for change in changes
        if change.kind == "subscription"
    ]


def test_another_address_takes_the_place_of_ours(sandbox: Sandbox) -> None:
    """A changed ALERT_EMAIL is subscribed, the former one is not any more, a colleague stays."""
    sandbox.start_deployed()
    sandbox.account.clients.sns.subscribe(
        TopicArn=TOPIC_ARN, Protocol="email", Endpoint="colleague@example.com"
    )
    sandbox.settings = replace(sandbox.settings, alert_email="new@example.com")

    changes = sandbox.deploy()

    assert subscriptions(changes) == [("updated", ("team@example.com", "new@example.com"))]
    assert emails(sandbox) == ["colleague@example.com", "new@example.com"]
    assert pending(sandbox.plan()) == []


def test_no_address_subscribes_nobody(sandbox: Sandbox) -> None:
    """Without ALERT_EMAIL nobody is subscribed, and an address that was ours is not any more."""
    with_email = sandbox.settings
    sandbox.settings = replace(with_email, alert_email=None)
    sandbox.deploy()
    assert emails(sandbox) == []
    sandbox.settings = with_email
    sandbox.deploy()
    assert emails(sandbox) == ["team@example.com"]
    sandbox.settings = replace(with_email, alert_email=None)

    changes = sandbox.deploy()

    assert subscriptions(changes) == [("updated", ("team@example.com", None))]
    assert emails(sandbox) == []
    assert pending(sandbox.plan()) == []


def test_an_address_in_other_letters_is_the_same(sandbox: Sandbox) -> None:
    """Mail knows no upper and lower case: nobody is asked to confirm a second time."""
    sandbox.start_deployed()
    sandbox.writes.clear()
    sandbox.settings = replace(sandbox.settings, alert_email="Team@Example.com")

    assert subscriptions(sandbox.deploy()) == [("left", None)]
    assert sandbox.writes == []


def test_a_replacement_that_broke_off_is_finished(sandbox: Sandbox) -> None:
    """When the former address could not be removed, the next deployment does it."""
    sandbox.start_deployed()
    sandbox.account.clients.sns.subscribe(
        TopicArn=TOPIC_ARN, Protocol="email", Endpoint="new@example.com"
    )
    sandbox.settings = replace(sandbox.settings, alert_email="new@example.com")

    sandbox.deploy()

    assert emails(sandbox) == ["new@example.com"]
    assert pending(sandbox.plan()) == []


def marked(email: str) -> dict[str, Any]:
    return {"Tags": [{"Key": sns.MARK, "Value": sns.mark_of(email)}]}


def listed(*subscriptions: tuple[str, str]) -> dict[str, Any]:
    return {
        "Subscriptions": [
            {"Protocol": "email", "Endpoint": email, "SubscriptionArn": arn, "TopicArn": TOPIC_ARN}
            for email, arn in subscriptions
        ]
    }


def test_an_unconfirmed_address_is_not_asked_again(account: Account) -> None:
    """A second deployment sends no second mail to somebody who has not confirmed the first."""
    with stubbed(account.clients.sns) as stubber:
        stubber.add_response("list_tags_for_resource", marked("team@example.com"))
        stubber.add_response(
            "list_subscriptions_by_topic", listed(("team@example.com", sns.UNCONFIRMED))
        )
        change = sns.ensure_subscription(account, TOPIC, TOPIC_ARN, "team@example.com")

    assert change == Change("subscription", TOPIC, "left")


def test_an_unconfirmed_address_cannot_be_removed(account: Account) -> None:
    """SNS lets go of it by itself; it is no error, and no call is made that could not succeed."""
    with stubbed(account.clients.sns) as stubber:
        stubber.add_response("list_tags_for_resource", marked("old@example.com"))
        stubber.add_response(
            "list_subscriptions_by_topic", listed(("old@example.com", sns.UNCONFIRMED))
        )
        stubber.add_response(
            "subscribe",
            {},
            {"TopicArn": TOPIC_ARN, "Protocol": "email", "Endpoint": "new@example.com"},
        )
        stubber.add_response(
            "tag_resource", {}, {"ResourceArn": TOPIC_ARN, **marked("new@example.com")}
        )
        change = sns.ensure_subscription(account, TOPIC, TOPIC_ARN, "new@example.com")

    assert change.differences == {
        "e-mail": (
            "old@example.com (never confirmed: SNS removes it within 48 hours)",
            "new@example.com",
        )
    }


def test_who_has_left_is_subscribed_again(account: Account) -> None:
    """A subscription that was ended, which SNS lists for a while, does not count."""
    with stubbed(account.clients.sns) as stubber:
        stubber.add_response("list_tags_for_resource", marked("team@example.com"))
        stubber.add_response("list_subscriptions_by_topic", listed(("team@example.com", "Deleted")))
        stubber.add_response("subscribe", {})
        stubber.add_response("tag_resource", {})
        change = sns.ensure_subscription(account, TOPIC, TOPIC_ARN, "team@example.com")

    assert change.action == "created"


def test_a_topic_without_a_policy_gets_one(account: Account) -> None:
    """Alarms are let in also where SNS reports no policy at all."""
    policy = {"Version": "2012-10-17", "Statement": []}
    with stubbed(account.clients.sns) as stubber:
        stubber.add_response("get_topic_attributes", {"Attributes": {"DisplayName": TOPIC}})
        stubber.add_response("list_tags_for_resource", {"Tags": []})
        stubber.add_response(
            "set_topic_attributes",
            {},
            {
                "TopicArn": TOPIC_ARN,
                "AttributeName": "Policy",
                "AttributeValue": json.dumps(policy),
            },
        )
        change = sns.ensure_topic(account, TOPIC, TOPIC_ARN, policy, {})

    assert (change.action, list(change.differences)) == ("updated", ["policy"])
