"""Values of the random shop, and their columns: text made to break out, days that are none."""

HOSTILE_TEXT = [
    *(
        "plain",
        "O'Hara & Sons",
        "",
        " ",
        "  leading and trailing \t",
        "08841",
        "NULL",
        "\\N",
        "\\.",
    ),
    *('"', '""', '"quoted, with comma"', "comma, comma", "'; DROP TABLE staff; --", "$1 :name %s"),
    *("two\nlines", "two\r\nlines", "carriage\rreturn", "\n", "\r", "\t", "tab\there", "\\", "\\n"),
    *("back\\slash", "\\.\n", "\n\\.\n", "emoji 🙂👩‍👧", "ñandú", "e\u0301", "\ufeffbom", "\u202e"),
    *("{1,2}", '{"json": null}', "''", "nan", "-", "=1+1", "\x01\x1f\x7f", "long " * 4000),
]
DAYS = ["2023-01-02", "2024-02-29", "2024-11-20", "2024-12-31", "2026-07-04", "2027-01-01"]
IMPOSSIBLE_DAYS = ["2024-02-30", "tomorrow", "", "20240101", "2024-1-1", "31/12/2024", "infinity"]
EQUAL_STAMPS = ["2022-11-03 14:20:51.563", "2023-01-01 00:00:00", "2026-05-05 23:59:59.999"]
IMPOSSIBLE_STAMPS = ["infinity", "-infinity", "0044-03-15 12:00:00 BC", "19999-01-01"]

TEXT_COLUMNS = [
    *(("design", name) for name in ("design_name", "file_location", "file_name")),
    *(("address", name) for name in ("address_line_1", "city", "postal_code", "country", "phone")),
    *(("staff", name) for name in ("first_name", "last_name", "email_address")),
    *(("department", name) for name in ("department_name", "location")),
    ("counterparty", "counterparty_legal_name"),
    ("purchase_order", "item_code"),
]
NULLABLE = [("address", "address_line_2"), ("address", "district"), ("department", "manager")]
PARENT_COLUMNS = [
    ("sales_order", "design_id", 5),
    ("sales_order", "staff_id", 20),
    ("purchase_order", "staff_id", 20),
    ("sales_order", "agreed_delivery_location_id", 30),
    ("purchase_order", "agreed_delivery_location_id", 30),
    ("payment", "currency_id", 3),
    ("staff", "department_id", 8),
    ("counterparty", "legal_address_id", 30),
]
MONEY = {
    "sales_order": "unit_price",
    "purchase_order": "item_unit_price",
    "payment": "payment_amount",
}
DAY_COLUMNS = [
    ("sales_order", "agreed_delivery_date"),
    ("sales_order", "agreed_payment_date"),
    ("purchase_order", "agreed_delivery_date"),
    ("purchase_order", "agreed_payment_date"),
    ("payment", "payment_date"),
]
FACTS = [*MONEY]
UNUSED = {
    "design": "NOT EXISTS (SELECT FROM sales_order AS o WHERE o.design_id = design.design_id)",
    "staff": "NOT EXISTS (SELECT FROM sales_order AS o WHERE o.staff_id = staff.staff_id)"
    " AND NOT EXISTS (SELECT FROM purchase_order AS o WHERE o.staff_id = staff.staff_id)",
}

REPAIRS = [
    *(
        f"UPDATE {table} SET {column} = '2024-11-29' WHERE {column} !~ '^\\d{{4}}-\\d\\d-\\d\\d$'"
        f" OR {column} = '2024-02-30'"
        for table, column in DAY_COLUMNS
    ),
    *(
        f"UPDATE {table} SET {column} = 1.50 WHERE {column} = 'NaN'"
        for table, column in MONEY.items()
    ),
    *(
        f"UPDATE {table} SET {column} = '2024-11-01 10:00' WHERE {column} < '1000-01-01'"
        f" OR {column} > '9999-01-01'"
        for table in FACTS
        for column in ("created_at", "last_updated")
    ),
    "UPDATE currency SET currency_code = 'EUR' WHERE currency_code = 'ZZZ'",
    "UPDATE department SET location = 'repaired' WHERE location IS NULL",
]
"""Statements that make every row fit for the warehouse again."""

PARENT_REPAIRS = REPAIRS[-2:]
