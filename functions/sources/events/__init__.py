"""Events as a kind of source: a provider posts them, and a queue holds them."""
