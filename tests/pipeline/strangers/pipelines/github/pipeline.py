"""GitHub's webhooks: one row for each delivery, whatever its event."""

from etl import (
    WHOLE,
    BodySignature,
    EventFeed,
    Events,
    Json,
    Pipeline,
    PostgresWarehouse,
    Table,
    Text,
    once,
)

ID, TYPE = "header:X-GitHub-Delivery", "header:X-GitHub-Event"

deliveries = Table("deliveries", key="id", columns={
    "id": Text(), "type": Text(), "action": Text(nullable=True),
    "repository": Text(nullable=True), "event": Json(binary=True),
})  # fmt: skip
feed = EventFeed(deliveries, ("*",), {
    "id": ID, "type": TYPE, "action": "action",
    "repository": "repository.full_name", "event": WHOLE,
})  # fmt: skip

PIPELINE = Pipeline(
    sources=[Events("github", BodySignature(), (feed,), id=ID, type=TYPE)],
    targets=[PostgresWarehouse("warehouse", (once(deliveries),))],
)
