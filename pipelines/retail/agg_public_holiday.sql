-- Orders on public holidays that fall on Monday to Friday, by month. The year ends with the day of
-- the newest order, which counts; the same day a year before does not, so no day counts twice.
WITH newest AS (SELECT max(order_date) AS day FROM order_holidays),
on_holiday AS (
    SELECT extract(month FROM order_date) AS month
    FROM order_holidays, newest
    WHERE holiday IS NOT NULL
      AND extract(isodow FROM order_date) <= 5
      AND order_date > newest.day - interval '1 year'
)
SELECT
    CAST(:day AS date) AS ingestion_date,
    count(*) FILTER (WHERE month = 1) AS tt_order_hol_jan,
    count(*) FILTER (WHERE month = 2) AS tt_order_hol_feb,
    count(*) FILTER (WHERE month = 3) AS tt_order_hol_mar,
    count(*) FILTER (WHERE month = 4) AS tt_order_hol_apr,
    count(*) FILTER (WHERE month = 5) AS tt_order_hol_may,
    count(*) FILTER (WHERE month = 6) AS tt_order_hol_jun,
    count(*) FILTER (WHERE month = 7) AS tt_order_hol_jul,
    count(*) FILTER (WHERE month = 8) AS tt_order_hol_aug,
    count(*) FILTER (WHERE month = 9) AS tt_order_hol_sep,
    count(*) FILTER (WHERE month = 10) AS tt_order_hol_oct,
    count(*) FILTER (WHERE month = 11) AS tt_order_hol_nov,
    count(*) FILTER (WHERE month = 12) AS tt_order_hol_dec
FROM on_holiday
