"""A role that was deleted and created again under its old name is set again on its function.

Lambda encrypts a function's environment for the role's id, which the new one does not have; the
emulators do not show that, so the calls are compared with those that AWS's support asks for.
"""

from dataclasses import replace
from typing import Any

from botocore.model import OperationModel

from deployer.configuration.settings import Settings
from deployer.resources.names import FunctionUse, Names
from tests.aws.private_network import private_network
from tests.aws.removing import NAMES
from tests.aws.sandbox import Sandbox, pending

ROLE, FUNCTION = NAMES.role("load"), NAMES.function("load")


def roles_set(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Return the list to which the function and the role of each update are added."""
    found: list[tuple[str, str]] = []

    def note(params: dict[str, Any], model: OperationModel, **_: object) -> None:
        if model.name == "UpdateFunctionConfiguration":
            found.append((params["FunctionName"], params["Role"].rpartition("/")[2]))

    client = sandbox.account.clients.lambda_
    client.meta.events.register("provide-client-params.lambda.*", note)
    return found


def delete(sandbox: Sandbox, role: str) -> None:
    iam = sandbox.account.clients.iam
    iam.delete_role_policy(RoleName=role, PolicyName="least-privilege")
    iam.delete_role(RoleName=role)


def make_again(sandbox: Sandbox) -> None:
    """Delete the role of load and create it as it was."""
    iam = sandbox.account.clients.iam
    role = iam.get_role(RoleName=ROLE)["Role"]
    delete(sandbox, ROLE)
    trust = str(role["AssumeRolePolicyDocument"]).replace("'", '"')
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust, Tags=role["Tags"])


def test_a_role_that_others_made_again_is_set_again(sandbox: Sandbox) -> None:
    """First another role, then its own: the function is given access to its environment again."""
    sandbox.start_deployed()
    make_again(sandbox)
    updates = roles_set(sandbox)

    planned, done = sandbox.plan(), sandbox.deploy()

    expected = [("role", "updated", ["policy"]), ("function", "updated", ["RoleId"])]
    assert pending(planned) == pending(done) == expected
    assert updates == [(FUNCTION, NAMES.role("extract")), (FUNCTION, ROLE)]
    assert pending(sandbox.plan()) == []


def test_a_role_that_the_deployment_makes_again_is_set_again(sandbox: Sandbox) -> None:
    """The plan announces it while there is no role yet."""
    sandbox.start_deployed()
    delete(sandbox, ROLE)
    updates = roles_set(sandbox)

    planned = [each for each in sandbox.plan() if each.name == FUNCTION]
    sandbox.deploy()

    assert pending(planned) == [("function", "updated", ["RoleId"])]
    assert updates == [(FUNCTION, NAMES.role("extract")), (FUNCTION, ROLE)]
    assert pending(sandbox.plan()) == []


def test_a_function_in_a_network_has_no_role_without_the_rights_to_it(sandbox: Sandbox) -> None:
    """Not for a moment: extract of a pipeline of files is in no network, and Lambda refuses it."""
    warehouse = "postgresql://loader:one@db.example.com/warehouse"
    settings = Settings.read({"PIPELINE": "retail", "WAREHOUSE_DATABASE_URL": warehouse})
    network = private_network(sandbox.account, "s3", "secretsmanager", "sns").network
    sandbox.settings = replace(settings, network=network)
    names = Names.of(sandbox.settings, sandbox.account.id, sandbox.account.region)
    sandbox.deploy()
    connected: tuple[FunctionUse, ...] = ("load", "reconcile", "page")
    for use in connected:
        delete(sandbox, names.role(use))
    updates = roles_set(sandbox)

    sandbox.deploy()

    able = {names.role(use) for use in connected}
    assert {role for _, role in updates} <= able
    assert {
        use: len({role for name, role in updates if name == names.function(use)})
        for use in connected
    } == dict.fromkeys(connected, 2)


def test_a_role_that_stays_is_set_once(sandbox: Sandbox) -> None:
    """Neither a second deployment nor one of other code exchanges roles."""
    sandbox.start_deployed()
    updates = roles_set(sandbox)

    sandbox.packages.code["load"] = "SECOND = True\n"
    sandbox.deploy()

    assert updates == []
