-- The newest record of each payment that the source still has; of a day with many, the last ones.
SELECT p.payment_id, p.payment_date, p.payment_amount AS amount, c.currency_code AS currency,
    o.counterparty_legal_name AS counterparty, t.payment_type_name AS payment_type, p.paid
FROM (
    SELECT * FROM current_payment
    WHERE payment_date < :day
    ORDER BY payment_date DESC, payment_id DESC
    LIMIT 5
) AS p
LEFT JOIN dim_currency AS c ON c.currency_id = p.currency_id
LEFT JOIN dim_counterparty AS o ON o.counterparty_id = p.counterparty_id
LEFT JOIN dim_payment_type AS t ON t.payment_type_id = p.payment_type_id
ORDER BY p.payment_date DESC, p.payment_id DESC
