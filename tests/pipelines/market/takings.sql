SELECT :day AS day, coalesce(sum(price.price * sale.pieces * (100 + :MARKET_TAX::int) / 100), 0) AS takings
FROM sale JOIN price USING (fruit)
