"""The gallery of docs: a card for every world that is registered."""

import numpy as np
import pytest

import powerseek
from benchmarks.gallery import PAD, card, gallery, moment
from powerseek.envs.render import rgb


@pytest.mark.parametrize("name", powerseek.list_worlds())
def test_every_world_has_a_card_that_shows_a_moment_of_it(name):
    world = powerseek.make_world(name)
    pixels = rgb(world, moment(world))
    width = pixels.shape[1] + 20
    made = np.asarray(card(name, width))
    assert made.shape[1:] == (width, 3)
    assert made.shape[0] > pixels.shape[0] + 2 * PAD
    # The picture stands on the card as it is.
    ink = (pixels != 255).any(axis=-1)
    rows = range(made.shape[0] - pixels.shape[0])
    assert any(
        (made[row : row + len(pixels), 4 : 4 + pixels.shape[1]][ink] == pixels[ink]).all()
        for row in rows
    )


def test_a_picture_wider_than_its_card_is_made_smaller():
    wide, narrow = card("off-switch", 600), card("off-switch", 300)
    assert narrow.width == 300
    assert narrow.height < wide.height


def test_cards_stand_in_columns():
    page = gallery(["star", "required"])
    assert page.height < 400
    assert page.width > 1200
