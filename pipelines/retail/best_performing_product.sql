-- The product with most review points. There is a row without a product when there are no reviews.
WITH best AS (
    -- Among equals, the product with the lowest number.
    SELECT product_id, sum(review) AS points
    FROM reviews
    GROUP BY product_id
    ORDER BY points DESC, product_id
    LIMIT 1
),
busiest AS (
    -- The day on which most pieces of it were ordered; among equals, the first.
    SELECT order_date AS day
    FROM orders
    JOIN best USING (product_id)
    WHERE order_date IS NOT NULL
    GROUP BY order_date
    ORDER BY sum(quantity) DESC, order_date
    LIMIT 1
),
stars AS (
    SELECT
        count(*) FILTER (WHERE review = 1) AS one,
        count(*) FILTER (WHERE review = 2) AS two,
        count(*) FILTER (WHERE review = 3) AS three,
        count(*) FILTER (WHERE review = 4) AS four,
        count(*) FILTER (WHERE review = 5) AS five,
        nullif(count(*), 0) AS reviews
    FROM reviews
    JOIN best USING (product_id)
),
shipped AS (
    -- Early and late are not all: what was shipped after 6 days or more and has arrived is neither.
    SELECT
        count(*) FILTER (WHERE shipment_date - order_date < 6) AS early,
        count(*) FILTER (
            WHERE shipment_date - order_date >= 6 AND delivery_date IS NULL
        ) AS late,
        nullif(count(*), 0) AS orders
    FROM shipment_deliveries
    JOIN orders USING (order_id)
    JOIN best USING (product_id)
    WHERE shipment_date IS NOT NULL
)
SELECT
    CAST(:day AS date) AS ingestion_date,
    coalesce(
        (SELECT min(product_name COLLATE "C") FROM products WHERE products.product_id = best.product_id),
        'product ' || best.product_id
    ) AS product_name,
    busiest.day AS most_ordered_day,
    EXISTS (
        SELECT FROM order_holidays
        WHERE order_date = busiest.day AND holiday IS NOT NULL
    ) AS is_public_holiday,
    coalesce(best.points, 0) AS tt_review_points,
    round(100.0 * stars.one / stars.reviews, 2) AS pct_one_star_review,
    round(100.0 * stars.two / stars.reviews, 2) AS pct_two_star_review,
    round(100.0 * stars.three / stars.reviews, 2) AS pct_three_star_review,
    round(100.0 * stars.four / stars.reviews, 2) AS pct_four_star_review,
    round(100.0 * stars.five / stars.reviews, 2) AS pct_five_star_review,
    round(100.0 * shipped.early / shipped.orders, 2) AS pct_early_shipments,
    round(100.0 * shipped.late / shipped.orders, 2) AS pct_late_shipments
FROM stars
CROSS JOIN shipped
LEFT JOIN best ON true
LEFT JOIN busiest ON true
