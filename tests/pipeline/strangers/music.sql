-- A music shop: names with capitals, a key of two columns, an employee's manager.

CREATE TABLE "Artist" ("ArtistId" integer PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "Album" (
    "AlbumId" integer PRIMARY KEY, "Title" varchar(160) NOT NULL,
    "ArtistId" integer NOT NULL REFERENCES "Artist");
CREATE TABLE "Genre" ("GenreId" integer PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "MediaType" ("MediaTypeId" integer PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "Track" (
    "TrackId" integer PRIMARY KEY, "Name" varchar(200) NOT NULL,
    "AlbumId" integer REFERENCES "Album", "MediaTypeId" integer NOT NULL REFERENCES "MediaType",
    "GenreId" integer REFERENCES "Genre", "Composer" varchar(220),
    "Milliseconds" integer NOT NULL, "Bytes" integer, "UnitPrice" numeric(10, 2) NOT NULL);
CREATE TABLE "Playlist" ("PlaylistId" integer PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "PlaylistTrack" (
    "PlaylistId" integer REFERENCES "Playlist", "TrackId" integer REFERENCES "Track",
    PRIMARY KEY ("PlaylistId", "TrackId"));
CREATE TABLE "Employee" (
    "EmployeeId" integer PRIMARY KEY, "LastName" varchar(20) NOT NULL,
    "FirstName" varchar(20) NOT NULL, "ReportsTo" integer REFERENCES "Employee",
    "BirthDate" timestamp, "HireDate" timestamp);
CREATE TABLE "Customer" (
    "CustomerId" integer PRIMARY KEY, "FirstName" varchar(40) NOT NULL, "Email" varchar(60) NOT NULL,
    "SupportRepId" integer REFERENCES "Employee");
CREATE TABLE "Invoice" (
    "InvoiceId" integer PRIMARY KEY, "CustomerId" integer NOT NULL REFERENCES "Customer",
    "InvoiceDate" timestamp NOT NULL, "Total" numeric(10, 2) NOT NULL);
CREATE TABLE "InvoiceLine" (
    "InvoiceLineId" integer PRIMARY KEY, "InvoiceId" integer NOT NULL REFERENCES "Invoice",
    "TrackId" integer NOT NULL REFERENCES "Track", "UnitPrice" numeric(10, 2) NOT NULL,
    "Quantity" integer NOT NULL);

INSERT INTO "Artist" SELECT n, 'Artist ' || n FROM generate_series(1, 40) AS n;
INSERT INTO "Album" SELECT n, 'Album "' || n || '"', 1 + n % 40 FROM generate_series(1, 80) AS n;
INSERT INTO "Genre" SELECT n, 'Genre ' || n FROM generate_series(1, 9) AS n;
INSERT INTO "MediaType" VALUES (1, 'MPEG'), (2, NULL);
INSERT INTO "Track" SELECT n, 'Track ' || n, nullif(n % 81, 0), 1 + n % 2, nullif(n % 10, 0),
    CASE WHEN n % 3 = 0 THEN 'Ångström, Ö''Brien' END, n * 1000, n * 7, 0.99 + n % 2
    FROM generate_series(1, 600) AS n;
INSERT INTO "Playlist" SELECT n, 'Playlist ' || n FROM generate_series(1, 6) AS n;
INSERT INTO "PlaylistTrack" SELECT p, t FROM generate_series(1, 6) AS p, generate_series(1, 600, 7) AS t;
INSERT INTO "Employee" SELECT n, 'Last ' || n, 'First', nullif(n / 3, 0),
    timestamp '1970-02-28 12:00' + n * interval '1 day', NULL FROM generate_series(1, 9) AS n;
INSERT INTO "Customer" SELECT n, 'Customer ' || n, n || '@example.com', 1 + n % 9
    FROM generate_series(1, 50) AS n;
INSERT INTO "Invoice" SELECT n, 1 + n % 50, timestamp '2024-01-01' + n * interval '1 hour', n / 7.0
    FROM generate_series(1, 300) AS n;
INSERT INTO "InvoiceLine" SELECT n, 1 + n % 300, 1 + n % 600, 0.99, 1 + n % 3
    FROM generate_series(1, 900) AS n;
