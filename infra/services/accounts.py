"""Make the MLflow account that workers log in with: `python -m infra.services.accounts`, again and again without harm.

The server and its administrator come from MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD,
the account from MLFLOW_WORKER_USERNAME and MLFLOW_WORKER_PASSWORD. It may log to every experiment, register versions
and move aliases of any account; it deletes nothing of others' and changes no account and no permission.
"""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.server.auth.client import AuthServiceClient

ROLE, WORKSPACE = "workers", "default"
GRANTS = (("experiment", "*", "EDIT"), ("registered_model", "*", "EDIT"))


def make(client: "AuthServiceClient", name: str, password: str) -> None:
    """Make the account `name` with this password, or give it this one, and see that it has the role of workers."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_user(name, password)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        client.update_user_password(name, password)
    role = next((role for role in client.list_roles(WORKSPACE) if role.name == ROLE), None) \
        or client.create_role(WORKSPACE, ROLE, "logs runs, registers versions, moves aliases")
    there = {(permission.resource_type, permission.resource_pattern, permission.permission)
             for permission in client.list_role_permissions(role.id)}
    for grant in GRANTS:
        if grant not in there:
            client.add_role_permission(role.id, *grant)
    if role.id not in {role.id for role in client.list_user_roles(name)}:
        client.assign_role(name, role.id)


def main(environment: Mapping[str, str] = os.environ) -> None:
    name = environment["MLFLOW_WORKER_USERNAME"]
    if name == environment["MLFLOW_TRACKING_USERNAME"]:
        sys.exit(f"MLFLOW_WORKER_USERNAME: {name!r} is the administrator: name another account")
    from mlflow.server.auth.client import AuthServiceClient

    make(AuthServiceClient(environment["MLFLOW_TRACKING_URI"]), name, environment["MLFLOW_WORKER_PASSWORD"])


if __name__ == "__main__":
    main()
