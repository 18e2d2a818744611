# SPDX-License-Identifier: Apache-2.0
"""The comparison picture."""

import numpy as np

from model import picture


def images(height=200, width=300, scale=2):
    """LR, bicubic, RCAN and HR, each of one grey of its own."""
    size = [height, width, 3]
    return [np.full([height // scale, width // scale, 3], 10, np.uint8),
            *(np.full(size, grey, np.uint8) for grey in (20, 30, 40))]


def test_a_row_shows_lr_bicubic_rcan_and_hr_from_left_to_right():
    row = picture.row(*images(), scale=2)
    width = picture.SIDE * picture.ENLARGED
    assert row.shape == (width, 4 * width + 3 * picture.GAP, 3)
    columns = [row[0, i * (width + picture.GAP), 0] for i in range(4)]
    assert columns == [10, 20, 30, 40]
    assert (row[:, width:width + picture.GAP] == 255).all()


def test_the_detail_is_where_the_image_has_most_of_it():
    lr, bicubic, sr, hr = images()
    hr[96:192, 144:240] = np.random.RandomState(0).randint(0, 256, [96, 96, 3])
    row = picture.row(lr, bicubic, sr, hr, scale=2)
    shown = row[::picture.ENLARGED, -picture.SIDE * picture.ENLARGED::picture.ENLARGED]
    assert (shown == hr[96:192, 144:240]).all()


def test_a_pixel_of_lr_is_a_square_of_the_scale():
    lr, bicubic, sr, hr = images()
    lr[0, 0] = 99
    shown = picture.row(lr, bicubic, sr, hr, scale=2)[::picture.ENLARGED, ::picture.ENLARGED, 0]
    assert (shown[:2, :2] == 99).all() and (shown == 99).sum() == 4


def test_an_image_smaller_than_the_detail_is_shown_whole():
    row = picture.row(*images(40, 60), scale=2)
    assert row.shape[0] == 40 * picture.ENLARGED


def test_rows_of_one_width_are_put_below_each_other():
    rows = [picture.row(*images(), scale=2), picture.row(*images(40, 60), scale=2)]
    assert picture.column([rows[0], rows[1], rows[0]]).shape == (
        2 * rows[0].shape[0] + picture.GAP, *rows[0].shape[1:])
