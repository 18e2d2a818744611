# SPDX-License-Identifier: Apache-2.0
"""The comparison picture."""

import numpy as np

from model import picture

PITCH = picture.SIDE_PX + picture.GAP_PX   # from one square to the next


def images(height=200, width=300, scale=2):
    """LR, bicubic, RCAN and HR, each of one grey of its own."""
    size = [height, width, 3]
    return [np.full([height // scale, width // scale, 3], 10, np.uint8),
            *(np.full(size, grey, np.uint8) for grey in (20, 30, 40))]


def test_a_row_shows_lr_bicubic_rcan_and_hr_from_left_to_right():
    shown = picture.table([picture.details(*images(), scale=2)])
    assert shown.shape == (picture.SIDE_PX, 4 * PITCH - picture.GAP_PX, 3)
    for place, grey in enumerate((10, 20, 30, 40)):
        assert (shown[:, place * PITCH:place * PITCH + picture.SIDE_PX] == grey).all()
    assert (shown[:, picture.SIDE_PX:PITCH] == 255).all()


def test_the_detail_is_where_the_image_has_most_of_it():
    lr, bicubic, sr, hr = images()
    hr[96:192, 144:240] = np.random.RandomState(0).randint(0, 256, [96, 96, 3])
    assert (picture.details(lr, bicubic, sr, hr, scale=2)[-1] == hr[96:192, 144:240]).all()


def test_a_pixel_of_lr_is_a_square_of_the_scale():
    lr, bicubic, sr, hr = images()
    lr[0, 0] = 99
    shown = picture.details(lr, bicubic, sr, hr, scale=2)[0][..., 0]
    assert (shown[:2, :2] == 99).all() and (shown == 99).sum() == 4


def test_every_pixel_is_shown_as_a_square():
    detail = np.random.RandomState(0).randint(0, 256, [picture.SIDE] * 2 + [3]).astype(np.uint8)
    shown = picture.table([[detail]])
    assert (shown[::picture.ENLARGED, ::picture.ENLARGED] == detail).all()
    assert (shown[1::picture.ENLARGED, 1::picture.ENLARGED] == detail).all()


def test_an_image_smaller_than_the_detail_is_shown_whole_with_white_around():
    details = picture.details(*images(40, 60), scale=2)
    assert {detail.shape for detail in details} == {(40, 60, 3)}
    shown = picture.table([details])
    height, width = 40 * picture.ENLARGED, 60 * picture.ENLARGED
    assert shown.shape[0] == picture.SIDE_PX
    assert (shown[:height, PITCH:PITCH + width] == 20).all()
    assert (shown[height:, PITCH:] == 255).all()
    assert (shown[:, PITCH + width:2 * PITCH] == 255).all()


def test_an_hr_image_that_is_a_bit_larger_is_cut_to_what_was_restored():
    lr, bicubic, sr, _ = images(40, 60)
    hr = np.full([41, 61, 3], 40, np.uint8)
    assert picture.details(lr, bicubic, sr, hr, scale=2)[-1].shape == (40, 60, 3)


def test_the_rows_of_all_images_are_below_each_other_at_one_distance():
    rows = [picture.details(*images(*size), scale=2) for size in ((200, 300), (40, 60), (40, 300))]
    shown = picture.table(rows)
    assert shown.shape == (3 * PITCH - picture.GAP_PX, 4 * PITCH - picture.GAP_PX, 3)
    assert [shown[place * PITCH, 0, 0] for place in range(3)] == [10, 10, 10]
    assert (shown[picture.SIDE_PX:PITCH] == 255).all()


def test_a_detail_does_not_keep_its_image_in_memory():
    assert all(detail.base is None for detail in picture.details(*images(), scale=2))
