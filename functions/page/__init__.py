"""Page: one self-contained HTML file on how the pipeline is doing, and what its figures show."""
