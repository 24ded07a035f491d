"""Whether the server writes tokens into its log. The pipeline works either way."""

import psycopg

from songswap.warehouse import server_log


def sentence(warehouse: psycopg.Connection) -> str:
    """Report what the server logs of statements' parameters, and the settings that stop it."""
    role, exposures = server_log.exposures(warehouse)
    if not exposures:
        return "The server logs no parameters of statements."
    causes = ", ".join(dict.fromkeys(exposure.cause for exposure in exposures))
    remedies = dict.fromkeys(f"ALTER ROLE {role} SET {exposure.remedy}" for exposure in exposures)
    return (
        f"The server writes the parameters of statements into its log ({causes}), among them the"
        " users' new tokens. Have a superuser run:"
        f" {'; '.join(remedies)}. The same for the login of the web app, which writes tokens too."
    )
