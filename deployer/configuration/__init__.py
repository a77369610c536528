"""The settings of a deployment, read and checked before anything is changed."""
