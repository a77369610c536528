"""The other tools, each in its documented fastest sensible way, in an environment of their own."""
