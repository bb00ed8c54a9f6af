"""A fit whose MIL heads are trained on Ray gives the bytes of one that is done in this process."""

import shutil
from pathlib import Path

import pytest

import histo_ray as hr
from tests.cluster.patients import write_labels, write_store


@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_a_fit_on_ray_gives_the_same_bytes(tmp_path: Path) -> None:
    store = Path(write_store(tmp_path))
    write_labels(tmp_path)
    shutil.copytree(store, tmp_path / "other")
    made = [
        hr.fit.mutation(
            where, labels=tmp_path / "mutations.csv", encoder="sharp", repeats=1, folds=2,
            resamples=100, head=["mil", "logistic"], mil=["epochs=2", "hidden=4,8"], name="made",
            address=address,
        )
        for where, address in ((store, "none"), (tmp_path / "other", "local"))
    ]  # fmt: skip
    assert any(part.members for part in made[0].card.parts)
    one, two = (Path(each.folder, "predictor.safetensors").read_bytes() for each in made)
    assert one == two
