"""AWS, a module for each service: read a resource, compare it, create, change or remove it."""
