"""The CSV files of a shop, staged and analysed."""
