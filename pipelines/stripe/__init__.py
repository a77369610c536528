"""The events that Stripe posts, staged by their types."""
