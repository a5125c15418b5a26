"""The adapters of the store's port keep its contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wvflow.ports.store import Store
from wvflow.store.memory import MemoryStore, Shelf
from wvflow.store.sqlite import SqliteStore
from wvflow.testing.store_contract import StoreContract


class _Opened:
    """Opens stores, and closes them all."""

    def __init__(self, make: Callable[[], Store]) -> None:
        self._make = make
        self._stores: list[Store] = []

    def __call__(self) -> Store:
        self._stores.append(self._make())
        return self._stores[-1]

    def close(self) -> None:
        for store in self._stores:
            store.close()


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def open_store(self) -> Iterator[_Opened]:
        shelf = Shelf()
        opened = _Opened(lambda: MemoryStore(shelf))
        yield opened
        opened.close()


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[_Opened]:
        opened = _Opened(lambda: SqliteStore(tmp_path / "state"))
        yield opened
        opened.close()
