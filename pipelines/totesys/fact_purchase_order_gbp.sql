-- Purchase orders in pounds, one row for each record of fact_purchase_order: at the rate of
-- the day on which the order was created, rounded to pence, a half away from zero.
-- NULL where there is no rate for that day; published_date is NULL for pounds.
SELECT
    f.purchase_record_id, f.purchase_order_id, f.rate_date, f.currency_code, f.amount,
    CASE f.currency_code
        WHEN 'GBP' THEN f.amount
        -- With 20 decimals before it is rounded, a quotient is rounded as the exact one would be.
        ELSE round((f.amount * r.pounds)::numeric(60, 20) / r.units, 2)
    END AS amount_gbp,
    r.published_date
FROM (
    SELECT
        purchase_record_id, purchase_order_id, currency_code,
        created_date AS rate_date,
        item_quantity * item_unit_price AS amount
    FROM fact_purchase_order JOIN dim_currency USING (currency_id)
) AS f
LEFT JOIN fx_gbp AS r ON r.rate_date = f.rate_date AND r.currency = f.currency_code
