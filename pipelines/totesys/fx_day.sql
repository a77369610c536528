-- The last published rate of each currency, on each day from its first publication to today.
-- Weekends, holidays and days without a publication carry the rate of published_date.
WITH newest AS (
    SELECT DISTINCT ON (base, quote, published_date) base, quote, published_date, rate
    FROM fx_reference_rate
    ORDER BY base, quote, published_date, fx_record_id DESC
), valid AS (
    SELECT
        base, quote, rate, published_date,
        lead(published_date) OVER (PARTITION BY base, quote ORDER BY published_date) AS next_date
    FROM newest
    WHERE rate > 0  -- NULL where nothing was published, as on a holiday
)
SELECT published_date + later AS rate_date, base, quote, rate, published_date
FROM valid
CROSS JOIN LATERAL generate_series(
    0, coalesce(next_date - 1, greatest(current_date, published_date)) - published_date
) AS later
