"""The page and what it points to: paths exist, versions agree, no registry, sums are right."""

import re
import tomllib

from histo_ray.config import ExtractConfig, parse_settings
from tests.infra.files import INFRA, LOCK, ROOT, locked_version, texts

PAGE = (INFRA / "README.md").read_text(encoding="utf-8")
HOSTS = re.compile(
    r"pypi|pythonhosted|index-url|npmjs|docker\.io|ghcr\.io|quay\.io|nvcr\.io|gcr\.io"
    r"|ecr\.|download\.pytorch|anaconda\.org",
    re.IGNORECASE,
)


def test_every_path_that_a_file_of_infra_names_is_in_the_repository() -> None:
    named = re.compile(r"(?<![\w/.-])((?:infra|jobs|docs|tests)/[\w./-]*[\w-])")
    for name, text in texts():
        for path in set(named.findall(text)):
            assert (ROOT / path).exists(), f"{name} names {path}"


def test_every_link_of_the_page_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)", PAGE, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (INFRA / target).exists(), target


def test_no_file_names_a_registrys_host() -> None:
    for name, text in texts():
        assert not HOSTS.search(text), name


def test_ray_and_the_image_have_one_version_everywhere() -> None:
    version = re.search(r'"(.+)"', (ROOT / "histo_ray/_version.py").read_text().splitlines()[-1])
    assert version
    for name, text in texts():
        assert set(re.findall(r"histo-ray:([\d.]+)-(?:cpu|cuda)", text)) <= {version[1]}, name
        assert set(re.findall(r'rayVersion: "(.+?)"', text)) <= {locked_version("ray")}, name
    assert "\npip==" not in LOCK  # the image's own stays


def test_the_run_files_of_the_page_are_ones_that_extract_takes() -> None:
    first, *others = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.S)]
    for more in ({}, *others):  # keys that are added to the first
        assert parse_settings(ExtractConfig, first | more, "page").tile_px == 224


def test_variables_of_the_page_are_those_of_the_script() -> None:
    scripts = "".join(text for name, text in texts() if name.startswith("infra/slurm/"))
    for variable in set(re.findall(r"HISTO_RAY_\w+", PAGE)):
        assert f"${{{variable}:-" in scripts, variable


def test_the_arithmetic_of_the_page_is_right() -> None:
    tiles = 1000 * 10_000
    assert round(tiles / 440 / 3600, 1) == 6.3
    assert round(tiles / 55.9 / 3600) == 50
    assert round(tiles / 14.6 / 3600) == 190
    assert 880 / 440 == 2
    assert -(-880 // 130) == 7
    for sentence in ("6.3 core hours", "50 and 190 hours of two cores", "2 cores feed that GPU"):
        assert sentence in PAGE.replace("\n", " ")


def test_the_page_says_what_was_not_run() -> None:
    assert "## What has not been run" in PAGE
    assert "No image was built, no Kubernetes and no cloud was at hand." in PAGE
