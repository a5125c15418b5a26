"""The contract suites live with the code, so their asserts explain themselves only when pytest is told of them."""

import pytest

pytest.register_assert_rewrite("wvflow.testing")
