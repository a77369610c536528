-- A film rental: two schemas, an enumeration, a domain, arrays, partitions, bytes, a text search
-- vector, keys of two columns and of text, and two tables that refer to each other.

CREATE TYPE rating AS ENUM ('G', 'PG', 'R');
CREATE DOMAIN year AS integer CHECK (VALUE BETWEEN 1901 AND 2155);
CREATE SCHEMA staffing;

CREATE TABLE language (code char(2) PRIMARY KEY, name varchar(20) NOT NULL);
CREATE TABLE film (
    film_id serial PRIMARY KEY, title text NOT NULL, release_year year,
    language char(2) NOT NULL REFERENCES language, rental_rate numeric(4, 2) NOT NULL DEFAULT 4.99,
    length smallint, rating rating DEFAULT 'G', special_features text[],
    fulltext tsvector NOT NULL, last_update timestamptz NOT NULL DEFAULT '2024-05-01 10:00+02');
CREATE TABLE actor (actor_id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE film_actor (
    actor_id integer REFERENCES actor, film_id integer REFERENCES film,
    PRIMARY KEY (actor_id, film_id));
CREATE TABLE staffing.store (
    store_id serial PRIMARY KEY, manager uuid NOT NULL, opened date NOT NULL, opens time NOT NULL);
CREATE TABLE staffing.employee (
    employee_id uuid PRIMARY KEY, name text NOT NULL, picture bytea, active boolean NOT NULL,
    store_id integer NOT NULL REFERENCES staffing.store DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE staffing.store ADD FOREIGN KEY (manager) REFERENCES staffing.employee
    DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE inventory (
    inventory_id bigserial PRIMARY KEY, film_id integer NOT NULL REFERENCES film,
    store_id integer NOT NULL REFERENCES staffing.store);
CREATE TABLE rental (
    rental_id bigserial PRIMARY KEY, inventory_id bigint NOT NULL REFERENCES inventory,
    employee_id uuid NOT NULL REFERENCES staffing.employee, rented tstzrange NOT NULL,
    kept interval, note jsonb);
CREATE TABLE payment (
    payment_id bigint NOT NULL, rental_id bigint NOT NULL REFERENCES rental,
    amount numeric(5, 2) NOT NULL, paid_at timestamp NOT NULL, PRIMARY KEY (payment_id, paid_at)
) PARTITION BY RANGE (paid_at);
CREATE TABLE payment_2023 PARTITION OF payment
    FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE payment_2024 PARTITION OF payment
    FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE log_without_key (at timestamptz, line text);

INSERT INTO language VALUES ('en', 'English'), ('de', 'Deutsch');
INSERT INTO film (title, release_year, language, length, rating, special_features, fulltext)
    SELECT 'Film ' || n, 1950 + n % 70, CASE WHEN n % 2 = 0 THEN 'en' ELSE 'de' END,
        nullif(n % 180, 0), (ARRAY['G', 'PG', 'R'])[1 + n % 3]::rating,
        CASE WHEN n % 4 > 0 THEN ARRAY['Trailer, long', NULL, 'Deleted "scenes"'] END,
        to_tsvector('simple', 'film number ' || n) FROM generate_series(1, 200) AS n;
INSERT INTO actor (name) SELECT 'Actor ' || n FROM generate_series(1, 60) AS n;
INSERT INTO film_actor SELECT a, f FROM generate_series(1, 60) AS a, generate_series(1, 200, 9) AS f;
BEGIN;
INSERT INTO staffing.store (manager, opened, opens)
    SELECT md5(n::text)::uuid, date '1999-12-31' + n, time '08:30' + n * interval '1 minute'
    FROM generate_series(1, 3) AS n;
INSERT INTO staffing.employee SELECT md5(n::text)::uuid, 'Employee ' || n,
    CASE WHEN n % 2 = 0 THEN decode('00ff5c0a', 'hex') END, n % 5 > 0, 1 + n % 3
    FROM generate_series(1, 20) AS n;
COMMIT;
INSERT INTO inventory (film_id, store_id) SELECT 1 + n % 200, 1 + n % 3
    FROM generate_series(1, 500) AS n;
INSERT INTO rental (inventory_id, employee_id, rented, kept, note)
    SELECT 1 + n % 500, md5((1 + n % 20)::text)::uuid,
        tstzrange('2024-01-01 00:00+00', '2024-01-02 00:00+00'), n * interval '1 day 02:03:04.5',
        jsonb_build_object('n', n, 'text', 'ä "quoted"') FROM generate_series(1, 800) AS n;
INSERT INTO payment SELECT n, 1 + n % 800, n % 900 + 0.5,
    timestamp '2023-06-01' + n * interval '7 hours' FROM generate_series(1, 1000) AS n;
INSERT INTO log_without_key VALUES ('2024-01-01 00:00+00', 'nobody could tell these apart');
