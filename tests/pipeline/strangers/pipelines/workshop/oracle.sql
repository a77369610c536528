-- dim_employee
SELECT e.employee_id, e.name, t.title, m.name, mt.title FROM employee e JOIN team t USING (team_id)
    LEFT JOIN employee m ON m.employee_id = e.manager_id LEFT JOIN team mt ON mt.team_id = m.team_id;
-- dim_customer
SELECT c.country, c.number, c.name, k.name FROM "Sales & more".customer c
    LEFT JOIN employee k ON k.employee_id = c.keeper_id;
-- fact_purchase
SELECT p.purchase_id, p.bought_at::date, c.name, s.name, r.name FROM purchase p
    JOIN "Sales & more".customer c USING (country, number)
    JOIN employee s ON s.employee_id = p.seller_id
    LEFT JOIN employee r ON r.employee_id = p.reviewer_id;
-- fact_line
SELECT l.purchase_id, l.place, l.what, l.price, c.name FROM line l JOIN purchase p USING (purchase_id)
    JOIN "Sales & more".customer c USING (country, number);
-- newest line
SELECT * FROM line;
-- team
SELECT * FROM team;
