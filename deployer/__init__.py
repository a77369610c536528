"""Everything that makes a pipeline exist in an AWS account, and removes it.

`deployer.py` and `teardown.py` tell the steps in order; `configuration/` is what is wanted,
`resources/` what that comes to, `packaging/` the code that is deployed, `aws/` the calls of each
service, and `operations/` what is done with a pipeline that is there.

This package knows nothing of what the functions do: it never imports `functions` or `local`.
"""
