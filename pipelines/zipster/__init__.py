"""The zip codes of the United States, from CSV files into MySQL."""
