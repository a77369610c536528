-- What the page of totesys shows, as views for BI tools: a row for each order or payment as it is now,
-- with its dimensions joined in. A prepared warehouse needs current.sql first.

CREATE OR REPLACE VIEW bi_sales AS
SELECT
    sales_order_id, created_date, date_trunc('week', created_date)::date AS week,
    counterparty_legal_name AS counterparty, counterparty_legal_country AS country,
    design_name AS design, first_name || ' ' || last_name AS sales_staff, currency_code AS currency,
    units_sold AS units, units_sold * unit_price AS amount,
    agreed_payment_date, agreed_delivery_date
FROM current_sales_order AS o
JOIN dim_counterparty USING (counterparty_id)
JOIN dim_design USING (design_id)
JOIN dim_currency USING (currency_id)
JOIN dim_staff AS s ON s.staff_id = o.sales_staff_id;

CREATE OR REPLACE VIEW bi_purchases AS
SELECT
    purchase_order_id, created_date, date_trunc('week', created_date)::date AS week,
    counterparty_legal_name AS counterparty, counterparty_legal_country AS country,
    item_code, currency_code AS currency,
    item_quantity AS quantity, item_quantity * item_unit_price AS amount,
    agreed_payment_date, agreed_delivery_date
FROM current_purchase_order
JOIN dim_counterparty USING (counterparty_id)
JOIN dim_currency USING (currency_id);

CREATE OR REPLACE VIEW bi_payments AS
SELECT
    payment_id, payment_date, payment_type_name AS payment_type,
    counterparty_legal_name AS counterparty, currency_code AS currency, payment_amount AS amount,
    paid, NOT paid AND payment_date < (now() AT TIME ZONE 'Europe/London')::date AS overdue
FROM current_payment
JOIN dim_counterparty USING (counterparty_id)
JOIN dim_payment_type USING (payment_type_id)
JOIN dim_currency USING (currency_id);
