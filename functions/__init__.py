"""The Lambda functions, and what they share.

    extract, collect    write batches of the sources into the ingestion bucket
    receive             accepts events by HTTP, for collect
    transform           remodels batches into target tables, in the processed bucket
    load                applies batches to the warehouse
    reconcile           compares sources and warehouse
    serve, page         show the warehouse: an HTTP API, a page
    sources, targets    a package for each kind
    common              what at least two functions need

This package is deployed, so nothing in it imports the deployer or `local`.
"""
