"""The figures of the page: sales, purchases and payments, of the newest record of each.

They work in any installation: tables and columns go by their declared names. Orders are chosen by
their day before their newest records are, since a day never changes: so a history of millions is
read once, and only the last weeks of it are sorted.
"""

from etl import Figure

WEEKS = 13
# The calendar has the days of payments and deliveries to come; in a snapshot it ends before today.
_FIRST_DAY = (
    "(SELECT date_trunc('week', least(max(date_id), current_date))::date"
    f" - {7 * (WEEKS - 1)} FROM dim_date)"
)
_TODAY = "(now() AT TIME ZONE 'Europe/London')::date"


def _newest(fact: str, key: str, columns: str) -> str:
    """Return the SQL of the orders of the last weeks as they are now, without deleted ones."""
    return f"""(
    SELECT DISTINCT ON ({key}) {key}, created_date, counterparty_id, currency_id, {columns}
    FROM {fact}
    WHERE created_date >= {_FIRST_DAY}
    ORDER BY {key}, record_id DESC
) AS newest
WHERE NOT EXISTS (
    SELECT FROM deleted_rows
    WHERE table_name = '{fact}' AND business_id = {key}::text AND seen_again_at IS NULL
)"""


_SALES = _newest("fact_sales_order", "sales_order_id", "design_id, units_sold, unit_price")
_PURCHASES = _newest("fact_purchase_order", "purchase_order_id", "item_quantity, item_unit_price")
_LAST = f"The last {WEEKS} weeks."


def _by_week(amount: str, orders: str) -> str:
    return f"""
SELECT date_trunc('week', created_date)::date AS week, currency_code AS currency,
    sum({amount}) AS amount
FROM (SELECT * FROM {orders}) AS orders JOIN dim_currency USING (currency_id)
GROUP BY week, currency ORDER BY week, currency"""


sales_by_week = Figure(
    "Sales by week", _by_week("units_sold * unit_price", _SALES), "lines", series="currency",
    note=f"{_LAST} In the currency of the order.",
)  # fmt: skip

sales_by_currency = Figure("Sales by currency", f"""
SELECT currency_code AS currency, count(*) AS orders, sum(units_sold) AS units,
    sum(units_sold * unit_price) AS amount
FROM (SELECT * FROM {_SALES}) AS orders JOIN dim_currency USING (currency_id)
GROUP BY currency ORDER BY orders DESC""", note=_LAST)  # fmt: skip

sales_by_country = Figure("Sales by country", f"""
SELECT counterparty_legal_country AS country, count(*) AS orders, sum(units_sold) AS units
FROM (SELECT * FROM {_SALES}) AS orders JOIN dim_counterparty USING (counterparty_id)
GROUP BY country ORDER BY units DESC, country""", "bars", "units", note=_LAST)  # fmt: skip

sales_by_design = Figure("Sales by design", f"""
SELECT design_name AS design, count(*) AS orders, sum(units_sold) AS units
FROM (SELECT * FROM {_SALES}) AS orders JOIN dim_design USING (design_id)
GROUP BY design ORDER BY units DESC, design LIMIT 20""", "bars", "units",
    note=f"{_LAST} The twenty with most units.")  # fmt: skip

purchases_by_week = Figure(
    "Purchases by week", _by_week("item_quantity * item_unit_price", _PURCHASES), "lines",
    series="currency", note=f"{_LAST} In the currency of the order.",
)  # fmt: skip

payments = Figure("Payments not made yet", f"""
SELECT
    count(*) FILTER (WHERE payment_date < {_TODAY}) AS overdue,
    count(*) FILTER (WHERE payment_date = {_TODAY}) AS "due today",
    count(*) FILTER (WHERE payment_date BETWEEN {_TODAY} + 1 AND {_TODAY} + 7) AS "in 7 days",
    count(*) FILTER (WHERE payment_date > {_TODAY} + 7) AS later
FROM current_payment WHERE NOT paid""", "number")  # fmt: skip

amounts_due = Figure("Amounts due and overdue", f"""
SELECT payment_type_name AS "payment type", currency_code AS currency,
    sum(payment_amount) FILTER (WHERE payment_date < {_TODAY}) AS overdue,
    sum(payment_amount) FILTER (WHERE payment_date >= {_TODAY}) AS due
FROM current_payment
JOIN dim_payment_type USING (payment_type_id) JOIN dim_currency USING (currency_id)
WHERE NOT paid
GROUP BY payment_type_name, currency_code ORDER BY payment_type_name, currency_code""",
    note="What is not paid, by the day in London.")  # fmt: skip

FIGURES = (
    payments, amounts_due, sales_by_week, purchases_by_week, sales_by_country, sales_by_design,
    sales_by_currency,
)  # fmt: skip
