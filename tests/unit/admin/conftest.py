from collections.abc import AsyncIterator

import pytest
from tests.support.admin import Admin, make_admin


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    admin = make_admin()
    yield admin
    await admin.close()
