"""A pipeline of two APIs."""
