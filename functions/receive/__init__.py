"""The Lambda function `receive`: verify an event that a provider posts, store it, answer."""
