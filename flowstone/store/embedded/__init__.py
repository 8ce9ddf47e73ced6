"""The embedded Postgres: a server of the project's own, with nothing to install or to set up."""

from flowstone.store.embedded.server import EmbeddedServer, ServerStatus

__all__ = ["EmbeddedServer", "ServerStatus"]
