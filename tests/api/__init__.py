import pytest

# Its assertions tell what they compared, as those of the tests do.
pytest.register_assert_rewrite("tests.api.calls")
