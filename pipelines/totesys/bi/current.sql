-- The current state of each history, for a warehouse that was prepared: the newest record of each key.
-- A managed warehouse has these views already, without what was deleted in the source.
-- Names are those of warehouse.sql: put yours where they differ, such as fact_purchase_orders.

CREATE OR REPLACE VIEW current_sales_order AS
SELECT DISTINCT ON (sales_order_id) *
FROM fact_sales_order ORDER BY sales_order_id, sales_record_id DESC;

CREATE OR REPLACE VIEW current_purchase_order AS
SELECT DISTINCT ON (purchase_order_id) *
FROM fact_purchase_order ORDER BY purchase_order_id, purchase_record_id DESC;

CREATE OR REPLACE VIEW current_payment AS
SELECT DISTINCT ON (payment_id) *
FROM fact_payment ORDER BY payment_id, payment_record_id DESC;
