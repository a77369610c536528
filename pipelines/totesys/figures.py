"""The figures of the page: sales, purchases and payments, of the newest record of each.

They work in any installation: tables and columns go by their declared names. Orders are chosen by
their day before their newest records are, since a day never changes: so a history of millions is
read once, and only the last weeks of it are sorted.
"""

from etl import Figure

WEEKS = 13
_TODAY = "(now() AT TIME ZONE 'Europe/London')::date"


def _first_day(fact: str) -> str:
    """Return the SQL of the first of the weeks that end with the newest orders.

    Those are among the last records, which are found by index: a snapshot of the past, whose orders
    end before today, has its last weeks as well.
    """
    last = f"SELECT created_date FROM {fact} ORDER BY record_id DESC LIMIT 1000"
    back = 7 * (WEEKS - 1)
    return f"(SELECT date_trunc('week', max(created_date))::date - {back} FROM ({last}) AS last)"


def _newest(fact: str, key: str, columns: str) -> str:
    """Return the SQL of the orders of the last weeks as they are now, without deleted ones."""
    return f"""(
    SELECT DISTINCT ON ({key}) {key}, created_date, counterparty_id, currency_id, {columns}
    FROM {fact}
    WHERE created_date >= {_first_day(fact)}
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

# As the views in pounds have it: each order at the last rate published by its day, to pence.
sales_in_pounds = Figure("Sales in pounds", f"""
WITH orders AS (
    SELECT created_date AS day, currency_code AS currency, units_sold * unit_price AS amount
    FROM (SELECT * FROM {_SALES}) AS orders JOIN dim_currency USING (currency_id)
), published AS (
    SELECT DISTINCT ON (quote, published_date) quote, published_date, rate
    FROM fx_reference_rate WHERE base = 'EUR'
    ORDER BY quote, published_date, record_id DESC
), rates AS (
    SELECT day, currency, pound.rate AS pounds,
        CASE currency WHEN 'EUR' THEN 1 ELSE other.rate END AS units
    FROM (SELECT DISTINCT day, currency FROM orders WHERE currency <> 'GBP') AS days
    CROSS JOIN LATERAL (
        SELECT rate FROM published WHERE quote = 'GBP' AND published_date <= day AND rate > 0
        ORDER BY published_date DESC LIMIT 1
    ) AS pound
    LEFT JOIN LATERAL (
        SELECT rate FROM published WHERE quote = currency AND published_date <= day AND rate > 0
        ORDER BY published_date DESC LIMIT 1
    ) AS other ON true
)
SELECT date_trunc('week', day)::date AS week, sum(
    CASE currency WHEN 'GBP' THEN amount
    ELSE round((amount * pounds)::numeric(60, 20) / units, 2) END
) AS amount
FROM orders LEFT JOIN rates USING (day, currency)
WHERE EXISTS (SELECT FROM published)
GROUP BY week ORDER BY week""", "lines", "GBP", optional=True,
    note=f"{_LAST} At the rates of the European Central Bank.")  # fmt: skip

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
    sales_in_pounds, sales_by_currency,
)  # fmt: skip
