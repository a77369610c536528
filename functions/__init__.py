"""The Lambda functions: extract, transform and load, and what they share.

This package is what is zipped and deployed, so nothing in it imports the deployer or `local`.
"""
