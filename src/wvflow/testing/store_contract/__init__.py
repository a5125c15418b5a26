"""What every adapter of the store's port must do, as tests. To prove another adapter, subclass in a test module:

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path): ...

``open_store`` gives a function of no arguments. Each call opens the same state, empty at first, as another process
would; the fixture closes what it opened.
"""

from __future__ import annotations

from wvflow.testing.store_contract.agenda import AgendaContract
from wvflow.testing.store_contract.backfills import BackfillContract
from wvflow.testing.store_contract.commits import CommitContract
from wvflow.testing.store_contract.dependencies import DependenciesContract
from wvflow.testing.store_contract.ledger import LedgerContract
from wvflow.testing.store_contract.ownership import OwnershipContract
from wvflow.testing.store_contract.reading import ReadingContract
from wvflow.testing.store_contract.upkeep import UpkeepContract


class StoreContract(
    AgendaContract,
    BackfillContract,
    CommitContract,
    DependenciesContract,
    LedgerContract,
    OwnershipContract,
    ReadingContract,
    UpkeepContract,
):
    """The whole contract."""
