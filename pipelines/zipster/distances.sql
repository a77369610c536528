-- How far each zip code is from each other one along a great circle, by the haversine formula:
-- COORDS has longitude and latitude in degrees, 6371.0088 km is the mean radius of the earth, and a
-- mile has 1.609344 km.
--
-- 2 * asin(sqrt(h)) is off by decimetres between places that are almost opposite, where h is almost
-- 1 and its last digits are lost. Here 1 - h is a sum as well, and atan2 is exact with both. With
-- half the differences of latitude and of longitude, and the mean of the latitudes:
--     h     = sin(lat)^2 * cos(lon)^2 + cos(mean)^2 * sin(lon)^2
--     1 - h = cos(lat)^2 * cos(lon)^2 + sin(mean)^2 * sin(lon)^2
SELECT FROM_ZIPCODE, ZIPCODE, CITY, STATE, KILOMETRES / 1.609344 AS MILES, KILOMETRES
FROM (
    SELECT FROM_ZIPCODE, ZIPCODE, CITY, STATE,
           2 * 6371.0088 * ATAN2(
               SQRT(POW(SIN(LAT) * COS(LON), 2) + POW(COS(MEAN) * SIN(LON), 2)),
               SQRT(POW(COS(LAT) * COS(LON), 2) + POW(SIN(MEAN) * SIN(LON), 2))
           ) AS KILOMETRES
    FROM (
        SELECT A.ZIPCODE AS FROM_ZIPCODE, B.ZIPCODE, B.CITY, B.STATE,
               RADIANS(ST_Y(B.COORDS) - ST_Y(A.COORDS)) / 2 AS LAT,
               RADIANS(ST_X(B.COORDS) - ST_X(A.COORDS)) / 2 AS LON,
               RADIANS(ST_Y(B.COORDS) + ST_Y(A.COORDS)) / 2 AS MEAN
        FROM ZIPCODES AS A
        JOIN ZIPCODES AS B ON B.ZIPCODE <> A.ZIPCODE
    ) AS ANGLES
) AS DISTANCES
