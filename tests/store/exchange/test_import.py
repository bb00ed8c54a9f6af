"""Import of other tools' features: the contract of each layout, and what they differ in."""

import pytest

from histo_ray.store.exchange.registry import IMPORT_LAYOUTS
from histo_ray.store.exchange.source import ImportLayout
from testing.foreign_files import WRITERS
from tests.store.exchange.import_contract import ImportContract


@pytest.fixture(params=IMPORT_LAYOUTS, ids=lambda one: one.name)
def _member(request: pytest.FixtureRequest) -> ImportLayout:
    member: ImportLayout = request.param
    return member


class TestEveryLayout(ImportContract):
    """Each member of the registry."""

    @pytest.fixture
    def layout(self, _member: ImportLayout) -> ImportLayout:
        return _member


def test_every_layout_has_an_example() -> None:
    assert set(WRITERS) == {layout.name for layout in IMPORT_LAYOUTS}
