"""A harbour's ships and what they landed, from files into MySQL."""

from etl import (
    Date,
    Feed,
    Files,
    Integer,
    MysqlWarehouse,
    Numeric,
    Pipeline,
    Table,
    Text,
    history,
    latest,
    replace,
)

ship = Table(
    "ship", key="ship_id", columns={"ship_id": Integer(), "name": Text(), "length": Numeric(6, 2)}
)
captain = Table(
    "captain", key="ship_id", columns={"ship_id": Integer(), "name": Text(nullable=True)}
)
landing = Table("landing", key=(), columns={"ship_id": Integer(), "day": Date(), "fish": Text()})

PIPELINE = Pipeline(
    sources=[
        Files(
            "quay",
            feeds=(
                Feed(ship, "ship*.csv"),
                Feed(captain, "captain*.csv"),
                Feed(landing, "landing*.csv"),
            ),
        )
    ],
    targets=[
        MysqlWarehouse("warehouse", tables=(latest(ship), history(captain), replace(landing)))
    ],
)
