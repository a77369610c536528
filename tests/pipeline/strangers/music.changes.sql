UPDATE "Track" SET "UnitPrice" = "UnitPrice" + 0.01 WHERE random() < 0.05;
UPDATE "Invoice" SET "Total" = random() * 100 WHERE random() < 0.1;
UPDATE "Employee" SET "ReportsTo" = 1 + floor(random() * 9) WHERE random() < 0.3;
DELETE FROM "PlaylistTrack" WHERE random() < 0.05;
INSERT INTO "PlaylistTrack" SELECT 1 + n % 6, 1 + floor(random() * 599) FROM generate_series(1, 9) AS n ON CONFLICT DO NOTHING;
INSERT INTO "InvoiceLine" SELECT max("InvoiceLineId") + 1, 7, 8, 1.99, 3 FROM "InvoiceLine";
DELETE FROM "InvoiceLine" WHERE random() < 0.01;
INSERT INTO "Artist" SELECT max("ArtistId") + 1, NULL FROM "Artist";
