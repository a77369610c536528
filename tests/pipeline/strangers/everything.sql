-- Every type, keys of every kind, names that nobody should give, and two schemas.

CREATE SCHEMA "Größe & Co";
CREATE TYPE "Größe & Co"."Size of it" AS ENUM ('small', 'x-large, "boxed"', '');
CREATE DOMAIN percentage AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN share AS percentage;
CREATE TYPE pair AS (a integer, b text);

CREATE TABLE every_type (
    id uuid PRIMARY KEY, a_smallint smallint, an_integer integer, a_bigint bigint,
    a_numeric numeric, a_price numeric(10, 2), a_negative_scale numeric(5, -2),
    a_small_fraction numeric(3, 5), a_long numeric(60, 20), a_real real, a_double double precision,
    a_text text, a_varchar varchar(20), a_char char(5), one_char "char", a_name name,
    a_boolean boolean, a_date date, a_time time, a_short_time time(0), a_timetz timetz,
    a_timestamp timestamp, a_short_timestamp timestamp(3), a_timestamptz timestamptz,
    an_interval interval, a_json json, a_jsonb jsonb, some_bytes bytea, a_share share,
    a_size "Größe & Co"."Size of it", sizes "Größe & Co"."Size of it"[], numbers integer[],
    texts text[], moments timestamptz[], matrix numeric(6, 2)[][], an_inet inet, a_mac macaddr,
    some_bits bit(4), more_bits bit varying, a_point point, an_xid xid, a_range int4range,
    a_vector tsvector, a_pair pair, an_oid oid, a_path jsonpath, some_money money);

CREATE TABLE "Größe & Co"."Order ""Lines""/100%: a.b" (
    "Order No." text, "line" smallint, "select" integer, "Ä" numeric(8, 3) NOT NULL,
    "with space" text, "col:on" date, "100%" boolean, _unfit text, _known text,
    PRIMARY KEY ("Order No.", line));
CREATE TABLE "Größe & Co".node (
    tree integer, place integer, parent integer, label varchar(8) COLLATE "C",
    PRIMARY KEY (tree, place), FOREIGN KEY (tree, parent) REFERENCES "Größe & Co".node);
CREATE TABLE node (label text PRIMARY KEY, parent text REFERENCES node, words text);
CREATE TABLE reading (sensor uuid, at timestamptz, on_day date, value double precision,
    PRIMARY KEY (sensor, at, on_day));
CREATE TABLE big_key (number bigint PRIMARY KEY, note text);
CREATE TABLE nothing_but_a_key (code char(4) PRIMARY KEY);

INSERT INTO every_type (id) VALUES ('00000000-0000-0000-0000-000000000000');
INSERT INTO every_type SELECT md5(n::text)::uuid, n - 50, n * 20000000, n * 92233720368547758,
    n / 7.0, n / 100.0, n * 100, n / 100000.0, n * 1e30 + 1e-20 * n,
    (n / 7.0)::real, n / 7.0::float8, E'line\nbreak, "quoted"\t\\ ''' || n, 'v' || n, 'c' || n % 10,
    'x', 'name', n % 2 = 0, date '0001-01-01' + n * 36000, time '00:00' + n * interval '7.000001 s',
    '23:59:59', '12:00:00.5+05:30', timestamp '0001-01-01' + n * interval '19 years 1.000001 s',
    '2024-02-29 23:59:59.999', timestamptz '1900-01-01 00:00+00' + n * interval '1 year 1.5 s',
    n * interval '1 mon -2 days 03:04:05.6', '{"a" :  1, "a": [1e400, null]}', '{"b": 1, "a": "\u00e4"}',
    decode(lpad(to_hex(n), 4, '0'), 'hex'), n % 100, 'x-large, "boxed"', ARRAY['small', NULL, '']::"Größe & Co"."Size of it"[],
    ARRAY[n, NULL, -n], ARRAY['a,b', '"', '\', 'NULL', NULL, ''], ARRAY[timestamptz '2024-01-01 00:00+02'],
    ARRAY[[1.5, n], [0, NULL]], '2001:db8::1/64', '08:00:2b:01:02:03', B'1010', B'1', point(n, 1.5),
    '7', int4range(n, n + 5), to_tsvector('simple', 'a b ' || n), ROW(n, 'a,"b')::pair, 123, '$.a[*]', 12.5
    FROM generate_series(1, 100) AS n;
UPDATE every_type SET a_real = 'NaN', a_double = '-Infinity', a_numeric = -0.000, a_date = '9999-12-31'
    WHERE a_smallint = 1;
UPDATE every_type SET a_real = '-0', a_double = 5e-324, a_text = '', a_char = '', numbers = '{}'
    WHERE a_smallint = 2;
INSERT INTO "Größe & Co"."Order ""Lines""/100%: a.b"
    SELECT 'No. ' || n / 3 || ', "x"', n % 3, n, n / 7.0, ' padded ', date '2024-01-01' + n, n % 2 = 0,
        '{"a": "b"}', 'known' FROM generate_series(1, 200) AS n;
INSERT INTO "Größe & Co".node SELECT t, n, nullif(n / 2, 0), 't' || t || n
    FROM generate_series(1, 5) AS t, generate_series(1, 20) AS n;
INSERT INTO node SELECT 'node ' || n, CASE WHEN n > 1 THEN 'node ' || n / 2 END, repeat('ü', n)
    FROM generate_series(1, 100) AS n;
INSERT INTO reading SELECT md5((n % 5)::text)::uuid, timestamptz '2024-03-31 00:59:59+00' + n * interval '0.5 s',
    '2024-03-31', sqrt(n) FROM generate_series(1, 300) AS n;
INSERT INTO big_key SELECT 9223372036854775807 - n * 1000003, 'n' || n FROM generate_series(0, 300) AS n;
INSERT INTO nothing_but_a_key SELECT lpad(n::text, 3, 'a') FROM generate_series(1, 150) AS n;
