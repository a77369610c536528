"""OpenID Connect providers, whose tokens AWS exchanges for the credentials of a role."""

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found

ABSENT = "NoSuchEntity"


def provider_arn(account: Account, host: str) -> str:
    """Return the ARN of a provider."""
    return f"arn:{account.partition}:iam::{account.id}:oidc-provider/{host}"


def ensure_provider(account: Account, host: str, audience: str) -> Change:
    """Create or update a provider, which an account has only once; audiences of others are kept.

    AWS checks the provider's certificate against its own list of authorities: no thumbprint.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html
    """
    iam, arn = account.clients.iam, provider_arn(account, host)
    provider = found(lambda: iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn), ABSENT)
    audiences = provider and provider.get("ClientIDList", [])
    return converge(
        account,
        Resource(
            kind="identity provider",
            name=host,
            wanted={"audiences": sorted({*(audiences or []), audience})},
            actual=None if audiences is None else {"audiences": sorted(audiences)},
            create=lambda: iam.create_open_id_connect_provider(
                Url=f"https://{host}", ClientIDList=[audience]
            ),
            created_with=frozenset({"audiences"}),
            updates=[
                Update(
                    frozenset({"audiences"}),
                    lambda: iam.add_client_id_to_open_id_connect_provider(
                        OpenIDConnectProviderArn=arn, ClientID=audience
                    ),
                )
            ],
        ),
    )
