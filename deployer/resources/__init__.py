"""The resources of a deployment: names, functions, policies, alarms, the dashboard, the cost.

All of it follows from the settings; nothing here calls AWS.
"""
