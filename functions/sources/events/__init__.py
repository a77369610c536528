"""Events as a kind of source: a provider posts them into a queue."""
