"""Page: one self-contained HTML file with the pipeline's state and its figures."""
