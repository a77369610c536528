"""Files in a bucket: each version of each is read once, and all of its cells as text.

The way of a file, by module:

    reader     opens the source for extract
    capture    makes a batch: what is new, read, and named by a manifest
    listing    the files of a bucket, with their versions
    known      the versions that earlier batches have read
    finding    the new ones: listed and not known
    choosing   those of this batch, unless they wait for others or for a day
    opening    the bytes of one version, across broken connections
    reading    its rows into the lake, and a copy of a remote file
    headers    the columns that files have had, and how they changed
    manifest   the manifest, written last
    current    the files as they are now, for reconcile

`formats` separates bytes into rows. REST sources use `known`, `reading`, `headers` and `manifest`
as well, since each page of an answer is a file.
"""
