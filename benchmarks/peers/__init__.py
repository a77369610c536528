"""The other tools, each in its documented fastest sensible way, in their own environment."""
