"""Does the server write tokens into its log? The pipeline works either way: it is only told."""

import psycopg

from songswap.warehouse import server_log


def sentence(warehouse: psycopg.Connection) -> str:
    """What is logged of statements' parameters, among which are tokens, and what stops it."""
    role, exposures = server_log.exposures(warehouse)
    if not exposures:
        return "The server logs no parameters of statements."
    causes = ", ".join(dict.fromkeys(one.cause for one in exposures))
    remedies = dict.fromkeys(f"ALTER ROLE {role} SET {one.remedy}" for one in exposures)
    return (
        f"The server writes the parameters of statements into its log ({causes}), among them the"
        " tokens that users' refreshes bring. Have a superuser run:"
        f" {'; '.join(remedies)}. The same for the login of the web app, which writes tokens too."
    )
