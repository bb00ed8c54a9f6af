import numpy as np

from histo_ray.report.slides.similar import Neighbours, draw_neighbours


def solid(*shades: int) -> np.ndarray:
    return np.stack([np.full((30, 50, 3), shade, np.uint8) for shade in shades])


def test_the_nearest_tiles_stand_in_order_beside_the_query() -> None:
    answers = [
        Neighbours("one", solid(40, 80, 120), np.array([0.9, 0.8, 0.7]), ("a", "b" * 99, "c")),
        Neighbours("another" * 50, solid(160), np.array([np.nan])),
    ]
    page = draw_neighbours(solid(10)[0], answers, "title " * 99, tile_px=60)
    rows = [56 + 26 + 10, 56 + (26 + 60 + 44) + 26 + 10]
    centres = [16 + 30, *(16 + 10 + place * 70 + 30 for place in (1, 2, 3))]
    assert [int(page[rows[0], x, 0]) for x in centres] == [10, 40, 80, 120]
    assert [int(page[rows[1], x, 0]) for x in centres] == [10, 160, 255, 255]


def test_no_answer_is_a_page_with_a_title() -> None:
    assert draw_neighbours(solid(10)[0], [], "nothing").shape[2] == 3
