"""workshop: joins over several columns and levels, to another row of the same table, and optional.

The oracle beside it, `oracle.sql`, says in SQL what the target tables have to hold.
"""

from typing import TYPE_CHECKING

from etl import (
    SELF,
    BigInteger,
    Calendar,
    Date,
    Integer,
    Numeric,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    Table,
    Text,
    Timestamp,
    Uuid,
    dimension,
    fact,
    latest,
)

if TYPE_CHECKING:
    from pandas import DataFrame

team = Table("team", key="team_id", columns={"team_id": Uuid(), "title": Text()})

employee = Table("employee", key="employee_id", columns={
    "employee_id": Integer(), "name": Text(), "team_id": Uuid(references=team),
    "manager_id": Integer(nullable=True, references=SELF),
})  # fmt: skip

customer = Table("customer", key=("country", "number"), schema="Sales & more", columns={
    "country": Text(), "number": Integer(), "name": Text(),
    "keeper_id": Integer(nullable=True, references=employee),
})  # fmt: skip

purchase = Table(
    "purchase",
    key="purchase_id",
    columns={
        "purchase_id": BigInteger(), "country": Text(), "number": Integer(),
        "seller_id": Integer(references=employee),
        "reviewer_id": Integer(nullable=True, references=employee),
        "bought_at": Timestamp(),
    },
    references={("country", "number"): customer},
)  # fmt: skip

line = Table("line", key=("purchase_id", "place"), columns={
    "purchase_id": BigInteger(references=purchase), "place": Integer(),
    "what": Text(), "price": Numeric(10, 2),
})  # fmt: skip


@dimension(
    key="employee_id",
    joins={"manager": "manager_id", "manager_team": "manager.team_id"},
    columns={
        "employee_id": Integer(), "name": Text(), "team": Text(),
        "manager": Text(nullable=True), "manager_team": Text(nullable=True),
    },
)  # fmt: skip
def dim_employee(
    employee: "DataFrame", team: "DataFrame", manager: "DataFrame", manager_team: "DataFrame"
) -> "DataFrame":
    """Employees with their team, their manager and the manager's team."""
    teams = manager_team.rename(columns={"title": "manager_team"})
    managers = manager.merge(teams, on="team_id").rename(columns={"name": "manager"})
    managers = managers[["employee_id", "manager", "manager_team"]]
    rows = employee.merge(team.rename(columns={"title": "team"}), on="team_id")
    rows = rows.merge(
        managers.rename(columns={"employee_id": "manager_id"}), on="manager_id", how="left"
    )
    return rows[["employee_id", "name", "team", "manager", "manager_team"]]


@dimension(
    key=("country", "number"),
    joins={"keeper": "keeper_id"},
    columns={"country": Text(), "number": Integer(), "name": Text(), "keeper": Text(nullable=True)},
)
def dim_customer(customer: "DataFrame", keeper: "DataFrame") -> "DataFrame":
    """Customers, with who keeps the account."""
    keepers = keeper[["employee_id", "name"]]
    keepers = keepers.rename(columns={"employee_id": "keeper_id", "name": "keeper"})
    rows = customer.merge(keepers, on="keeper_id", how="left")
    return rows[["country", "number", "name", "keeper"]]


@fact(
    key="purchase_id",
    joins={"seller": "seller_id", "reviewer": "reviewer_id"},
    columns={
        "purchase_id": BigInteger(), "bought_on": Date(), "customer": Text(), "seller": Text(),
        "reviewer": Text(nullable=True),
    },
)  # fmt: skip
def fact_purchase(
    purchase: "DataFrame", customer: "DataFrame", seller: "DataFrame", reviewer: "DataFrame"
) -> "DataFrame":
    """Purchases, with the names of everybody who had to do with them."""
    names = {"customer": customer, "seller": seller, "reviewer": reviewer}
    named = {who: rows.rename(columns={"name": who}) for who, rows in names.items()}
    rows = purchase.merge(named["customer"], on=["country", "number"])
    for who in ("seller", "reviewer"):
        ids = named[who].rename(columns={"employee_id": f"{who}_id"})[[f"{who}_id", who]]
        rows = rows.merge(ids, on=f"{who}_id", how="left")
    rows = rows.assign(bought_on=rows["bought_at"].dt.date)
    return rows[["purchase_id", "bought_on", "customer", "seller", "reviewer"]]


@fact(
    key=("purchase_id", "place"),
    columns={
        "purchase_id": BigInteger(), "place": Integer(), "what": Text(), "price": Numeric(10, 2),
        "customer": Text(),
    },
)  # fmt: skip
def fact_line(line: "DataFrame", purchase: "DataFrame", customer: "DataFrame") -> "DataFrame":
    """Lines of purchases, with the customer of the purchase."""
    customers = customer.rename(columns={"name": "customer"})
    bought = purchase.merge(customers, on=["country", "number"])[["purchase_id", "customer"]]
    return line.merge(bought, on="purchase_id")[
        ["purchase_id", "place", "what", "price", "customer"]
    ]


PIPELINE = Pipeline(
    sources=[Postgres("source", (team, employee, customer, purchase, line))],
    targets=[
        PostgresWarehouse(
            "warehouse",
            (
                dim_employee, dim_customer, fact_purchase, fact_line,
                latest(line, name="newest line"), latest(team),
            ),
            calendar=Calendar("days"),
        )
    ],
)  # fmt: skip
