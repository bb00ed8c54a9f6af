from pathlib import Path

import pytest

from histo_ray.errors import ConfigError
from histo_ray.finetune.recipe import list_recipes, read_recipe


def test_every_recipe_by_name_is_one() -> None:
    assert {"default", "xception"} <= set(list_recipes())
    fingerprints = {read_recipe(name).fingerprint() for name in list_recipes()}
    assert len(fingerprints) == len(list_recipes())


def test_changes_go_on_top_of_a_file_and_leave_its_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("batch_size = 8\n[network]\nepochs = 3\nrate = 0.5\n")
    recipe = read_recipe(str(path), ["network.epochs=7", "augment.flips=false"])
    assert (recipe.batch_size, recipe.network.epochs, recipe.network.rate) == (8, 7, 0.5)
    assert not recipe.augment.flips


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epochs = 3", r"mine.toml': epochs: unknown key"),
        ("[network]\nepoch = 3", r"network.epoch: unknown key; did you mean network.epochs"),
        (
            "[network]\nbatch_norm = 'off'",
            r"network.batch_norm = off: must be frozen, train or recalibrate",
        ),
        (
            "batch_size = 0\nheld_out = 2",
            r"mine.toml': batch_size = 0: must be 1 or more; held_out = 2: must be less than 1",
        ),
        ("[network", r"mine.toml' is not valid TOML"),
    ],
)
def test_what_is_no_recipe_is_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told) as caught:
        read_recipe(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "changes", "told"),
    [
        (
            "exception",
            [],
            "--recipe exception: must be default, xception, robust, lora or a .toml file; did "
            "you mean xception",
        ),
        ("no.toml", [], "cannot be read"),
        ("default", ["network.epochs"], "must be KEY=VALUE in TOML"),
        ("default", ["network.batch_norm=train"], "must be KEY=VALUE in TOML"),
    ],
)
def test_unknown_recipes_and_changes_are_refused(
    source: str, changes: list[str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        read_recipe(source, changes)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("default", "834aa768e3e66ecdb7aea051337aabce95d9e299f5f50c7c94f3286966b6242f"),
        ("xception", "14054ab410a6179e671725dbfddeeca2385402843ba162c86c4f870e0f4a3050"),
    ],
)
def test_settings_since_0_5_0_leave_older_recipes_their_digest(name: str, known: str) -> None:
    recipe = read_recipe(name)
    assert recipe.fingerprint() == known
    same = read_recipe(name, ["augment.stain_swap=0.0", "network.wise_ft=[]"])
    assert same.fingerprint() == known
    other = read_recipe(name, ["augment.stain_swap=0.5"])
    assert other.fingerprint() != known
    assert other.model_dump()["augment"]["stain_swap"] == 0.5
    assert read_recipe(name, ["network.wise_ft=[0.5]"]).fingerprint() != known
