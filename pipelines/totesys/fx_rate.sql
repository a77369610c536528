-- The rate of each pair of currencies on each day: one unit of base is so many of quote.
-- Rates of the base that the bank uses, the euro, are as published. Any other is the quotient of two
-- published rates, rounded once, to 20 decimals: a billion is converted with an error of less than a
-- millionth of a cent. Its published_date is the older of the two.
WITH leg AS (
    SELECT rate_date, base, quote, rate, published_date FROM fx_day
    UNION ALL
    SELECT DISTINCT rate_date, base, base, 1, NULL::date FROM fx_day
)
SELECT
    a.rate_date,
    a.quote AS base,
    b.quote AS quote,
    -- A quotient has as many decimals as the number that is divided. With 30 of them it is rounded to
    -- 20 as the exact one would be, which no published rate brings closer than 10^-30 to a tie.
    CASE WHEN a.quote = a.base THEN b.rate ELSE round(b.rate::numeric(60, 30) / a.rate, 20) END
        AS rate,
    least(a.published_date, b.published_date) AS published_date
FROM leg AS a
JOIN leg AS b ON b.rate_date = a.rate_date AND b.base = a.base AND b.quote <> a.quote
