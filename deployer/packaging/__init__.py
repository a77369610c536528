"""The zips and layers of the functions, reproducible to the byte."""
