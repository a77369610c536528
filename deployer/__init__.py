"""Deploys a pipeline into an AWS account, operates it, and removes it.

    deployer.py, teardown.py    the steps, in order; endpoints.py those of the HTTP APIs
    configuration/              the settings
    resources/                  what they amount to: names, functions, policies, alarms, cost
    packaging/                  the code that is deployed
    aws/                        the calls, a module for each service
    operations/                 the commands for a deployed pipeline

It knows nothing of what the functions do: it never imports `functions` or `local`.
"""
