-- What an amount of each currency is in pounds on each day: amount * pounds / units, exactly.
SELECT
    pound.rate_date, pound.rate AS pounds, other.quote AS currency, other.rate AS units,
    least(pound.published_date, other.published_date) AS published_date
FROM fx_day AS pound
JOIN fx_day AS other
    ON other.rate_date = pound.rate_date AND other.base = pound.base AND other.quote <> 'GBP'
WHERE pound.quote = 'GBP'
UNION ALL
SELECT rate_date, rate, base, 1, published_date
FROM fx_day
WHERE quote = 'GBP'
