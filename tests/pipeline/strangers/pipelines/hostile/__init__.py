"""Tables that any file at all may be dropped for."""
