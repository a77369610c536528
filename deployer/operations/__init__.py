"""What is done with a pipeline that is deployed: run it, look at it, and send it an event."""
