"""The SQLite adapter of the store's port."""

from wvflow.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
