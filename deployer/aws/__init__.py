"""AWS, a module for each service: read, compare, create, update and remove its resources."""
