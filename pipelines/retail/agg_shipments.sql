-- Lines of shipment_deliveries, by the dates of their orders. Late: shipped 6 or more days after the
-- order, and not delivered. Undelivered: neither shipped nor delivered, and 15 days old or older on
-- the day of the newest order, or, where RETAIL_UNDELIVERED is `exactly`, 15 days old that day.
WITH newest AS (SELECT max(order_date) AS day FROM orders)
SELECT
    CAST(:day AS date) AS ingestion_date,
    count(*) FILTER (
        WHERE shipment_date - order_date >= 6 AND delivery_date IS NULL
    ) AS tt_late_shipments,
    count(*) FILTER (
        WHERE shipment_date IS NULL AND delivery_date IS NULL
          AND CASE :RETAIL_UNDELIVERED
                  WHEN 'exactly' THEN newest.day - order_date = 15
                  ELSE newest.day - order_date >= 15
              END
    ) AS tt_undelivered_items
FROM shipment_deliveries
JOIN orders USING (order_id)
CROSS JOIN newest
