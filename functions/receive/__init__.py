"""The function `receive`: verifies an event that a provider posts, stores it, and answers."""
