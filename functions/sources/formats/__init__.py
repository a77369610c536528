"""The formats of files, events and answers: bytes separated into rows whose cells are text.

decoding     bytes to text in UTF-8: gzip, byte order marks, other encodings
delimited    CSV by Arrow, a block at a time, and by `records` where a record is bad
records      CSV by Python's csv module, record by record, each with its place
json_files   JSON, one document a line or all in one array
documents    a decoded document as the cells of a row
rows         cells, places and faults as Arrow columns, as the lake has them

Nothing here knows where the bytes come from.
"""
