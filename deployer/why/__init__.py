"""The life of one row of a target table, from the logs and objects of a pipeline.

    command    the options of `deploy.py why`
    asking     which row is asked for: its table, its key, and how the table is made
    keys       values of keys in one form, and the rows that have them
    finding    the batches that may have a key, by the index of the log
    loads      when batches were loaded, and when the warehouse refused a row
    objects    documents and objects of the buckets, each compared with its digest
    origins    the source rows of a batch, where each comes from, and those that it joins with
    life       what became of the row in each batch, in order
    view       the same for a person

Nothing here writes to the account, and nothing connects to a database.
"""
