"""Measurements of the pipeline beside raw COPY and other tools, on this machine: `make bench`.

* `__main__`: the command line, and which run may be published
* `postgres` (extract, load, end to end), `files`, `mysql`, `minute`, `growth`, `query`, `packages`:
  what is measured, a section of the report each
* `testbed`, `databases`: the servers, buckets and functions that it is measured on
* `measuring`, `process`: how a process is measured, from outside and from inside
* `results`, `targets`, `report`: the figures, with the machine they come from, and the page
* `peers`: the other tools and the plots, in their own Python environment
* `pipelines`: the declarations behind `files` and `mysql`
"""
