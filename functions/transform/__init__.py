"""The function `transform`: remodels batches of source tables into batches of target tables."""
