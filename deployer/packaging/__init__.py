"""The zips and layers of the functions, byte-for-byte reproducible."""
