"""What a deployment has, decided once: names, functions, policies, alarms, the dashboard, the cost.

Everything here follows from the settings: nothing asks AWS.
"""
