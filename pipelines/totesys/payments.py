"""Reports for the finance department: the payments that were due, and those that are next."""

from etl import Boolean, Date, Integer, Numeric, Parameter, Report, Text, Today

PAYMENT = {
    "payment_id": Integer(), "payment_date": Date(), "amount": Numeric(),
    "currency": Text(nullable=True), "counterparty": Text(nullable=True),
    "payment_type": Text(nullable=True), "paid": Boolean(),
}  # fmt: skip

# The day may be given, for who asks about another one.
DAY = {"day": Parameter(Date(), Today("Europe/London"), says="The day that counts as today.")}

PAYMENTS = (
    Report(
        "/payments/last5", "payments_last5.sql", PAYMENT, DAY,
        title="The five newest payments that were scheduled up to the day before",
    ),
    Report(
        "/payments/next5", "payments_next5.sql", PAYMENT, DAY,
        title="The five next payments that are scheduled from the day on",
    ),
)  # fmt: skip
