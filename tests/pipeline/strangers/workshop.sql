-- A workshop: see `pipelines/workshop/pipeline.py` beside this file.

CREATE SCHEMA "Sales & more";
CREATE TABLE team (team_id uuid PRIMARY KEY, title text NOT NULL);
CREATE TABLE employee (
    employee_id integer PRIMARY KEY, name text NOT NULL, team_id uuid NOT NULL REFERENCES team,
    manager_id integer REFERENCES employee);
CREATE TABLE "Sales & more".customer (
    country char(2), number integer, name text NOT NULL, keeper_id integer REFERENCES employee,
    PRIMARY KEY (country, number));
CREATE TABLE purchase (
    purchase_id bigint PRIMARY KEY, country char(2) NOT NULL, number integer NOT NULL,
    seller_id integer NOT NULL REFERENCES employee, reviewer_id integer REFERENCES employee,
    bought_at timestamp NOT NULL,
    FOREIGN KEY (country, number) REFERENCES "Sales & more".customer ON UPDATE CASCADE);
CREATE TABLE line (
    purchase_id bigint REFERENCES purchase, place integer, what text NOT NULL,
    price numeric(10, 2) NOT NULL, PRIMARY KEY (purchase_id, place));

INSERT INTO team SELECT md5(n::text)::uuid, 'Team ' || n FROM generate_series(1, 6) AS n;
INSERT INTO employee SELECT n, 'Employee ' || n, md5((1 + n % 6)::text)::uuid, nullif(n / 3, 0)
    FROM generate_series(1, 40) AS n;
INSERT INTO "Sales & more".customer
    SELECT (ARRAY['DE', 'GB', 'FR'])[1 + n % 3], n, 'Customer ' || n, nullif(n % 41, 0)
    FROM generate_series(1, 60) AS n;
INSERT INTO purchase
    SELECT n * 10000000000, (ARRAY['DE', 'GB', 'FR'])[1 + (1 + n % 60) % 3], 1 + n % 60, 1 + n % 40,
        nullif(n % 7, 0), timestamp '2024-01-01' + n * interval '5 hours'
    FROM generate_series(1, 200) AS n;
INSERT INTO line SELECT (1 + n % 200) * 10000000000, n, 'Thing ' || n % 17, n / 100.0
    FROM generate_series(1, 700) AS n;
