# SPDX-License-Identifier: Apache-2.0
"""Measuring a checkpoint on test sets and upscaling folders with it, through the program's main.

The network takes every pixel for itself (tiny.nearest), so that what must come out is known.  The
numbers in brackets are those of the defects of ModelZoo's own RCAN that must not be ours.
"""

import csv
import os
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny
from PIL import Image

from model import data, degrade, device, evaluate, images, metrics, network, picture
from model.errors import RequestError, TrainError

DOUBLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'npu_double')
COLUMNS = ['test_set', 'image', 'psnr_db', 'ssim', 'bicubic_psnr_db', 'bicubic_ssim']

pytestmark = pytest.mark.usefixtures('workplace')


def expected_scores(test_set, hr, lr=''):
    """The rows that results.csv must have for the network tiny.nearest()."""
    rows = []
    for pair in data.load_pairs(hr, lr, 2, '.cache'):
        lr_image, hr_image = np.asarray(pair.lr), np.asarray(pair.hr)
        rows.append([measure(sr, hr_image, 2)
                     for sr in (tiny.enlarge(lr_image), degrade.upscale(lr_image, 2))
                     for measure in (metrics.psnr_y, metrics.ssim_y)])
    names = [pair.name for pair in data.load_pairs(hr, lr, 2, '.cache')]
    rows.append(np.mean(rows, axis=0))
    return [[test_set, name, *(f'{value:.4f}' for value in row)]
            for name, row in zip([*names, 'mean'], rows)]


def read_csv(path='result/results.csv'):
    with open(path, newline='', encoding='utf-8') as f:
        return list(csv.reader(f))


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(where, name), folder)
                  for where, _, names in os.walk(folder) for name in names)


# --- one test set -------------------------------------------------------------------------------

def test_psnr_and_ssim_go_to_standard_output(run):  # (20, 21)
    text = run(mode='test', pre_trained_model=tiny.nearest(brighter=3), test_set='ours')
    expected, bicubic = [], []
    for pair in data.load_pairs('val_HR', '', 2, '.cache'):
        sr = np.clip(tiny.enlarge(np.asarray(pair.lr)).astype(int) + 3, 0, 255).astype(np.uint8)
        expected.append((metrics.psnr_y(sr, pair.hr, 2), metrics.ssim_y(sr, pair.hr, 2)))
        bicubic.append(metrics.psnr_y(degrade.upscale(np.asarray(pair.lr), 2), pair.hr, 2))
    mean_db, mean_ssim = np.mean(expected, axis=0)
    assert tiny.logged(text, 'Y_PSNR') == [
        f'{psnr:.4f} SSIM : {ssim:.4f} {of}' for (psnr, ssim), of in
        zip([*expected, (mean_db, mean_ssim)], ['a', 'b', 'ours (2 images)'])]
    assert tiny.logged(text, 'Final PSNR') == [f'{mean_db:.4f}']
    assert tiny.logged(text, 'Final gain over bicubic dB') == [f'{mean_db - np.mean(bicubic):.4f}']
    found = dict(tiny.events(text))
    assert found['eval_accuracy']['value'] == pytest.approx(mean_db)
    assert found['eval_accuracy']['metadata'] == {'ssim': pytest.approx(mean_ssim), 'images': 2}
    assert found['bicubic_psnr']['value'] == pytest.approx(np.mean(bicubic))
    assert sorted(os.listdir('result')) == ['comparison.png', 'results.csv']


def test_the_results_are_a_file_with_a_row_for_every_image_and_one_for_the_set(run):
    run(mode='test', pre_trained_model=tiny.nearest(), test_set='ours', result_path='deep/result')
    assert read_csv('deep/result/results.csv') == [COLUMNS, *expected_scores('ours', 'val_HR')]


def test_the_results_are_a_table_at_the_end_of_standard_output(run):
    text = run(mode='test', pre_trained_model=tiny.nearest(), test_set='ours')
    rows = expected_scores('ours', 'val_HR')
    lines = text.splitlines()[-2 - len(rows):]
    assert len({len(line) for line in lines}) == 1      # as wide as one another
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert cells[0] == ['test set', 'image', 'PSNR', 'SSIM', 'bicubic PSNR', 'bicubic SSIM']
    assert {''.join(cells[1])} == {'-' * len(''.join(cells[1]))}
    for row, (test_set, name, *values) in zip(cells[2:], rows):
        assert row[:2] == [test_set, name]
        assert [cell.endswith(' dB') for cell in row[2:]] == [True, False, True, False]
        assert [float(cell.split(' ')[0]) for cell in row[2:]] == [
            pytest.approx(float(value), abs=6e-4) for value in values]


def details_of(folder, count=4):
    """What the comparison must show of a folder for the network tiny.nearest()."""
    pairs = data.load_pairs(folder, '', 2, '.cache')[:count]
    return [(pair.name, picture.details(lr, degrade.upscale(lr, 2), tiny.enlarge(lr),
                                        np.asarray(pair.hr), 2))
            for pair, lr in ((pair, np.asarray(pair.lr)) for pair in pairs)]


def y_psnr(image, hr):
    """By the definition, written down once more, with nothing shaved off."""
    y, y_hr = (16 + i.astype(float) @ [65.481, 128.553, 24.966] / 255 for i in (image, hr))
    return 10 * np.log10(255 ** 2 / np.mean((y - y_hr) ** 2))


def comparison(text):
    """The one event that says what the comparison shows."""
    found, = [line for key, line in tiny.events(text) if key == 'comparison']
    return found


def test_the_comparison_shows_the_first_four_images(run):
    tiny.write('five', **{name: tiny.smooth(100, 110, seed) for seed, name in enumerate('abcde')})
    run(mode='test', pre_trained_model=tiny.nearest(), test_GT_path='five')
    assert np.array_equal(images.read_rgb('result/comparison.png'),
                          picture.table([details for _, details in details_of('five')]))


def test_the_log_says_what_the_comparison_shows_and_its_psnr(run):
    tiny.write('five', **{name: tiny.smooth(130, 140, seed) for seed, name in enumerate('abcde')})
    found = comparison(run(mode='test', pre_trained_model=tiny.nearest(), test_GT_path='five'))
    assert found['value'] == 'comparison.png'
    layout = found['metadata']
    shown = images.read_rgb('result/comparison.png')
    pitch = layout['side_px'] + layout['gap_px']
    assert shown.shape[:2] == (4 * pitch - layout['gap_px'], 4 * pitch - layout['gap_px'])
    assert [row['image'] for row in layout['rows']] == ['a', 'b', 'c', 'd']
    for row, (_, details) in zip(layout['rows'], details_of('five')):
        *others, hr = details
        assert row['psnr_db'] == [*(pytest.approx(y_psnr(image, hr), abs=1e-4)
                                    for image in others), None]


def test_a_detail_that_is_equal_to_hr_has_no_psnr_in_the_log(run):
    tiny.write('flat', a=np.full([100, 110, 3], 128, np.uint8))
    text = run(mode='test', pre_trained_model=tiny.nearest(), test_GT_path='flat')
    assert comparison(text)['metadata']['rows'] == [{'image': 'a', 'psnr_db': [None] * 4}]


def test_the_smallest_images_are_compared_too(run):
    tiny.write('HRs', a=tiny.smooth(16, 18), b=tiny.smooth(131, 17, 1))
    tiny.write('LRs', a=tiny.smooth(8, 9), b=tiny.smooth(65, 8, 1))   # a pixel of HR is over
    text = run(mode='test', pre_trained_model=tiny.nearest(), test_GT_path='HRs',
               test_LR_path='LRs')
    layout = comparison(text)['metadata']
    shown = images.read_rgb('result/comparison.png')
    assert shown.shape[0] == 2 * layout['side_px'] + layout['gap_px']
    for row in layout['rows']:
        assert all(value > 0 for value in row['psnr_db'][:3])


def test_the_checkpoint_of_a_training_measures_as_it_did_in_the_training(run):
    trained = run(max_step=4, model_save_freq=4, test_with_train=True)
    tested = run(mode='test', pre_trained_model='model_dir/RCAN_X2_4_1_1-4')
    assert len(tiny.logged(trained, 'Y_PSNR')) == 3
    assert tiny.logged(trained, 'Y_PSNR') == tiny.logged(tested, 'Y_PSNR')


def test_validation_during_the_training_says_of_which_step_it_is(run):
    text = run(max_step=4, model_save_freq=2, test_with_train=True)
    accuracies = [line['metadata'] for key, line in tiny.events(text) if key == 'eval_accuracy']
    assert [metadata['step_num'] for metadata in accuracies] == [2, 4]
    assert 'comparison' not in dict(tiny.events(text))   # there is no picture of it


def test_validation_during_the_training_writes_images_only_on_demand(run):
    run(test_with_train=True)
    assert not os.path.exists('result')
    run(test_with_train=True, save_test_result=True)
    assert sorted(os.listdir('result')) == ['aX2.png', 'bX2.png']


def test_validation_during_the_training_changes_no_loss(run):
    assert tiny.losses(run(max_step=4, model_save_freq=2, test_with_train=True)) == pytest.approx(
        tiny.losses(run(max_step=4, model_save_freq=2)), rel=1e-4)


def test_the_test_images_are_saved_on_demand_in_a_folder_that_is_made(run):  # (23)
    run(mode='test', pre_trained_model=tiny.nearest(), save_test_result=True,
        result_path='deep/result')
    assert sorted(os.listdir('deep/result')) == ['aX2.png', 'bX2.png', 'comparison.png',
                                                 'results.csv']
    for pair in data.load_pairs('val_HR', '', 2, '.cache'):
        saved = images.read_rgb(f'deep/result/{pair.name}X2.png')
        assert np.array_equal(saved, tiny.enlarge(np.asarray(pair.lr)))


def test_names_of_images_stay_whole_in_the_results(program):
    names = ['a,"b"', os.fsdecode(b'no \xff text')]
    tiny.write('named', **{name: tiny.smooth(32, 36) for name in names})
    code, out, err = program(mode='test', pre_trained_model=tiny.nearest(), test_GT_path='named')
    assert (code, err) == (0, '')
    assert [line.split(' ', 4)[4] for line in tiny.logged(out, 'Y_PSNR')[:2]] == [
        'a,"b"', r'no \udcff text']
    with open('result/results.csv', newline='', encoding='utf-8', errors='surrogateescape') as f:
        assert [row[1] for row in csv.reader(f)] == ['image', *names, 'mean']


def test_nobody_reads_half_of_the_results(run, monkeypatch):
    os.mkdir('result')
    with open('result/results.csv', 'w') as f:
        f.write('of an earlier run')
    replace, seen = os.replace, []

    def look(source, target):
        if target.endswith('results.csv'):
            with open(target) as f:
                seen.append(f.read())
            assert read_csv(source) == [COLUMNS, *expected_scores('benchmark', 'val_HR')]
        replace(source, target)

    monkeypatch.setattr(os, 'replace', look)
    run(mode='test', pre_trained_model=tiny.nearest())
    assert seen == ['of an earlier run']
    assert sorted(os.listdir('result')) == ['comparison.png', 'results.csv']


# --- several test sets --------------------------------------------------------------------------

SETS = {'test_set': 'Set5,B100', 'test_GT_path': 'bench/{set}/HR', 'test_LR_path': 'bench/{set}/LR'}


@pytest.fixture
def bench():
    """Two test sets whose images have the same names."""
    for seed, name in enumerate(['Set5', 'B100']):
        lr = {image: tiny.smooth(16 + seed, 18, seed + 2 * i) for i, image in enumerate('ab')}
        tiny.write(f'bench/{name}/LR', **lr)
        tiny.write(f'bench/{name}/HR', **{image: degrade.upscale(pixels, 2)[:, ::-1]
                                          for image, pixels in lr.items()})


def scores_of(name):
    return expected_scores(name, f'bench/{name}/HR', f'bench/{name}/LR')


def test_several_sets_are_measured_in_one_go_in_their_order(run, bench):
    text = run(mode='test', pre_trained_model=tiny.nearest(), **SETS)
    first, second = scores_of('Set5'), scores_of('B100')
    assert first[-1][2] != second[-1][2]
    assert read_csv() == [COLUMNS, *first, *second]
    # Who reads the last one, as the harness does, reads the last set's.
    assert tiny.logged(text, 'Final PSNR') == [first[-1][2], second[-1][2]]
    assert [line['metadata'] for key, line in tiny.events(text) if key == 'eval_start'] == [
        {'test_set': 'Set5'}, {'test_set': 'B100'}]
    assert [line['value'] for key, line in tiny.events(text) if key == 'comparison'] == [
        'Set5/comparison.png', 'B100/comparison.png']
    table = [[cell.strip() for cell in line.split('|')[1:3]] for line in text.splitlines()[-6:]]
    assert table == [row[:2] for row in [*first, *second]]


def test_of_several_sets_each_has_its_images_in_a_folder_of_its_own(run, bench):
    run(mode='test', pre_trained_model=tiny.nearest(), **SETS)
    assert files_below('result') == ['B100/comparison.png', 'Set5/comparison.png', 'results.csv']
    run(mode='test', pre_trained_model=tiny.nearest(), save_test_result=True, **SETS)
    assert files_below('result') == [
        *(f'{name}/{file}' for name in ('B100', 'Set5')
          for file in ('aX2.png', 'bX2.png', 'comparison.png')), 'results.csv']
    for name in ('Set5', 'B100'):
        lr = images.read_rgb(f'bench/{name}/LR/a.png')
        assert np.array_equal(images.read_rgb(f'result/{name}/aX2.png'), tiny.enlarge(lr))


def test_of_one_set_the_images_are_in_the_result_folder_itself(run, bench):
    run(mode='test', pre_trained_model=tiny.nearest(), save_test_result=True,
        **{**SETS, 'test_set': 'B100'})
    assert files_below('result') == ['aX2.png', 'bX2.png', 'comparison.png', 'results.csv']
    assert read_csv() == [COLUMNS, *scores_of('B100')]


def test_without_an_lr_folder_every_sets_lr_images_are_made(run, bench):
    run(mode='test', pre_trained_model=tiny.nearest(), **{**SETS, 'test_LR_path': ''})
    assert read_csv() == [COLUMNS, *expected_scores('Set5', 'bench/Set5/HR'),
                          *expected_scores('B100', 'bench/B100/HR')]


def test_names_with_dots_are_kept_apart(run, workplace):
    tiny.write('dots', **{'photo.v1': tiny.smooth(32, 36, 1), 'photo.v2': tiny.smooth(32, 36, 2)})
    run(mode='test', pre_trained_model=tiny.nearest(), save_test_result=True, test_GT_path='dots')
    assert files_below('result') == ['comparison.png', 'photo.v1X2.png', 'photo.v2X2.png',
                                     'results.csv']


def test_a_failure_in_a_later_set_loses_no_result_of_an_earlier_one(program, bench, monkeypatch):
    write_png = images.write_png

    def full(path, *image):
        if 'B100' in path:
            raise OSError(28, 'No space left on device')
        write_png(path, *image)

    monkeypatch.setattr(images, 'write_png', full)
    code, out, err = program(mode='test', pre_trained_model=tiny.nearest(), save_test_result=True,
                             **SETS)
    assert (code, err) == (1, 'main.py: [Errno 28] No space left on device\n')
    assert read_csv() == [COLUMNS, *scores_of('Set5')]
    assert tiny.logged(out, 'Final PSNR') == [scores_of('Set5')[-1][2]]
    assert files_below('result/Set5') == ['aX2.png', 'bX2.png', 'comparison.png']


def test_a_set_that_is_not_there_is_named_before_anything_is_measured(program, bench):
    code, out, err = program(mode='test', pre_trained_model='none',
                             **{**SETS, 'test_set': 'Set5,Set14'})
    assert (code, err) == (2, 'main.py: no folder of images at bench/Set14/HR\n')
    assert tiny.logged(out, 'Y_PSNR') == []


def test_several_sets_during_the_training_are_refused(program, bench):
    code, _, err = program(test_with_train=True, **SETS)
    assert (code, err) == (
        2, 'main.py: test_with_train measures one test set, not Set5,B100\n')
    assert not os.path.exists('model_dir')


# --- upscaling a folder -------------------------------------------------------------------------

@pytest.fixture
def upscaled(run):
    """Upscale the folder `small`; return the results, opened, by name, and what is printed."""
    def upscaled(**flags):
        text = run(mode='test_only', pre_trained_model=tiny.nearest(flags.get('scale', 2)),
                   test_LR_path='small', **flags)
        results = {}
        for name in os.listdir('result'):
            with Image.open(os.path.join('result', name)) as image:
                image.load()
            results[name] = image
        return results, text
    os.mkdir('small')
    return upscaled


def same(image, pixels):
    return np.array_equal(np.asarray(image), pixels)


def alpha_of(pixels):
    """What becomes of the transparency of an image."""
    return degrade.upscale(np.dstack([pixels] * 3), 2)[..., 0]


GREY = tiny.noise(9, 14)[..., 0]
HOLE = tiny.noise(9, 14, 1)[..., 0]     # how opaque each pixel is


@pytest.mark.parametrize('in_memory', [True, False])
def test_test_only_upscales_a_folder(run, in_memory):  # (22, 23)
    small = {'wide': tiny.noise(9, 14, 1), 'high': tiny.noise(11, 5, 2)}
    tiny.write('small', **small)
    text = run(mode='test_only', pre_trained_model=tiny.nearest(), test_LR_path='small',
               result_path='large/ones', in_memory=in_memory)
    assert [line for line in text.splitlines() if '->' in line] == [
        f'small/{name}.png -> large/ones/{name}X2.png' for name in ('high', 'wide')]
    for name, image in small.items():
        assert np.array_equal(images.read_rgb(f'large/ones/{name}X2.png'), tiny.enlarge(image))


def test_the_results_are_called_after_the_images_and_the_scale(upscaled):
    for name in ('photo.v2.JPG', 'x 1.png', 'ä.bmp', '-.tiff'):
        Image.fromarray(tiny.noise(4, 5)).save(os.path.join('small', name))
    results, _ = upscaled(scale=3)
    assert set(results) == {'photo.v2X3.png', 'x 1X3.png', 'äX3.png', '-X3.png'}
    assert same(results['x 1X3.png'], tiny.enlarge(tiny.noise(4, 5), 3))
    assert {image.format for image in results.values()} == {'PNG'}


@pytest.mark.parametrize('name, options', [
    ('a.png', {}), ('a.PNG', {'compress_level': 0}), ('a.bmp', {}), ('a.tif', {}),
    ('a.tiff', {'compression': 'tiff_lzw'}), ('a.webp', {'lossless': True}), ('a.webp', {}),
    ('a.jpg', {}), ('a.jpeg', {'progressive': True}),
])
def test_images_of_every_format_are_upscaled(upscaled, name, options):
    path = os.path.join('small', name)
    Image.fromarray(tiny.smooth(9, 14)).save(path, **options)
    with Image.open(path) as image:
        pixels = np.asarray(image)
    results, _ = upscaled()
    assert results['aX2.png'].mode == 'RGB'
    assert same(results['aX2.png'], tiny.enlarge(pixels))


@pytest.mark.parametrize('name, mode', [('a.png', 'L'), ('a.jpg', 'L'), ('a.bmp', 'L'),
                                        ('a.tif', 'L'), ('a.png', '1'), ('a.tif', '1')])
def test_grey_stays_grey(upscaled, name, mode):
    path = os.path.join('small', name)
    Image.fromarray(GREY).convert(mode).save(path)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert('L'))
    results, _ = upscaled()
    assert results['aX2.png'].mode == 'L'
    assert same(results['aX2.png'], tiny.enlarge(pixels))


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif'])
def test_a_palette_becomes_its_colours(upscaled, name):
    paletted = Image.fromarray(tiny.smooth(9, 14)).convert('P', palette=Image.ADAPTIVE)
    paletted.save(os.path.join('small', name))
    results, _ = upscaled()
    assert results['aX2.png'].mode == 'RGB'
    assert same(results['aX2.png'], tiny.enlarge(np.asarray(paletted.convert('RGB'))))


def test_a_palette_with_a_clear_colour_stays_transparent(upscaled):
    index = (GREY % 3).astype(np.uint8)
    paletted = Image.fromarray(index).convert('P')
    paletted.putpalette([0, 0, 9, 70, 80, 90, 255, 0, 0])
    paletted.save('small/a.png', transparency=1)
    results, _ = upscaled()
    assert results['aX2.png'].mode == 'RGBA'
    assert same(results['aX2.png'].getchannel('A'),
                alpha_of(np.where(index == 1, 0, 255).astype(np.uint8)))
    assert same(results['aX2.png'].convert('RGB'), tiny.enlarge(
        np.array([[0, 0, 9], [70, 80, 90], [255, 0, 0]], np.uint8)[index]))


@pytest.mark.parametrize('name, options', [('a.png', {}), ('a.tif', {}),
                                           ('a.webp', {'lossless': True, 'exact': True})])
def test_transparency_is_scaled_bicubically_and_the_colours_by_the_network(upscaled, name, options):
    Image.fromarray(np.dstack([tiny.noise(9, 14), HOLE])).save(
        os.path.join('small', name), **options)
    results, _ = upscaled()
    assert results['aX2.png'].mode == 'RGBA'
    assert same(results['aX2.png'], np.dstack([tiny.enlarge(tiny.noise(9, 14)), alpha_of(HOLE)]))


def test_grey_with_transparency_stays_both(upscaled):
    Image.fromarray(np.dstack([GREY, HOLE])).save('small/a.png')
    results, _ = upscaled()
    assert results['aX2.png'].mode == 'LA'
    assert same(results['aX2.png'], np.dstack([tiny.enlarge(GREY), alpha_of(HOLE)]))


def test_an_image_that_could_be_transparent_and_is_not_loses_its_alpha(upscaled):
    opaque = np.full_like(GREY, 255)
    Image.fromarray(np.dstack([tiny.noise(9, 14), opaque])).save('small/colours.png')
    Image.fromarray(np.dstack([GREY, opaque])).save('small/grey.png')
    results, _ = upscaled()
    assert results['coloursX2.png'].mode == 'RGB'
    assert same(results['coloursX2.png'], tiny.enlarge(tiny.noise(9, 14)))
    assert results['greyX2.png'].mode == 'L'


@pytest.mark.parametrize('flags', [{}, {'chop_forward': True, 'chop_size': 30, 'chop_shave': 1},
                                   {'self_ensemble': True}])
def test_images_of_any_size_are_upscaled(upscaled, flags):
    sizes = [(1, 1), (1, 2), (2, 1), (3, 5), (7, 300), (31, 1), (13, 17)]
    for height, width in sizes:
        pixels = np.dstack([tiny.noise(height, width), tiny.noise(height, width)[..., 0]])
        pixels[0, 0, 3] = 7     # transparent
        Image.fromarray(pixels).save(f'small/{height}x{width}.png')
    results, _ = upscaled(**flags)
    assert len(results) == len(sizes)
    for height, width in sizes:
        image = results[f'{height}x{width}X2.png']
        assert image.mode == 'RGBA'
        assert same(image.convert('RGB'), tiny.enlarge(tiny.noise(height, width)))


@pytest.mark.parametrize('extension, options', [
    ('jpg', {}), ('png', {}), ('webp', {'lossless': True}), ('tif', {}),
    ('tiff', {'compression': 'tiff_lzw'})])
def test_a_photo_that_was_taken_sideways_comes_out_upright(upscaled, extension, options):
    pixels = tiny.smooth(10, 14)
    for orientation in tiny.UPRIGHT:
        tiny.oriented(f'small/{orientation}.{extension}', pixels, orientation, **options)
    with Image.open(f'small/1.{extension}') as image:
        pixels = np.asarray(image)
    results, _ = upscaled()
    assert len(results) == 8
    for orientation, upright in tiny.UPRIGHT.items():
        assert same(results[f'{orientation}X2.png'], tiny.enlarge(upright(pixels)))
        assert 274 not in results[f'{orientation}X2.png'].getexif()     # or viewers turn it again


def test_the_transparency_is_turned_with_the_image(upscaled):
    tiny.oriented('small/a.png', np.dstack([tiny.noise(9, 14), HOLE]), 6)
    results, _ = upscaled()
    assert same(results['aX2.png'].getchannel('A'), alpha_of(np.rot90(HOLE, -1)))


def test_files_that_are_no_images_are_noted(upscaled):
    tiny.write('small', a=tiny.noise(4, 5))
    os.mkdir('small/folder.png')
    for name in ('notes.txt', 'Thumbs.db'):
        open(os.path.join('small', name), 'w').close()
    results, text = upscaled()
    assert set(results) == {'aX2.png'}
    assert 'small: no images, left out: Thumbs.db, notes.txt' in text.splitlines()
    for name in ('1.gif', '2.gif'):
        open(os.path.join('small', name), 'w').close()
    _, text = upscaled()
    assert 'small: no images, left out: 1.gif, 2.gif, Thumbs.db and 1 more' in text.splitlines()


@pytest.mark.parametrize('flags', [{'self_ensemble': True}, {'chop_forward': True},
                                   {'self_ensemble': True, 'chop_forward': True}])
def test_ensemble_and_tiles_give_the_same_image_where_the_network_sees_one_pixel(upscaled, flags):
    tiny.write('small', a=tiny.noise(13, 17))
    results, _ = upscaled(chop_size=100, chop_shave=2, **flags)
    assert same(results['aX2.png'], tiny.enlarge(tiny.noise(13, 17)))


def test_one_graph_serves_images_of_every_size(upscaled, monkeypatch):
    tiny.write('small', a=tiny.noise(9, 14), b=tiny.noise(7, 7), c=tiny.noise(5, 20))
    tiny.nearest()
    built, rcan = [], network.rcan
    monkeypatch.setattr(network, 'rcan', lambda lr, config: built.append(1) or rcan(lr, config))
    monkeypatch.setattr(tiny, 'nearest', lambda scale: 'nearest')
    upscaled()
    assert len(built) == 2      # one makes the variables, one takes the images


def test_every_result_is_there_as_soon_as_it_is_told(run, monkeypatch):
    tiny.write('small', a=tiny.noise(4, 5), b=tiny.noise(4, 5))
    there = []

    def look(*args):
        there.append(sorted(os.listdir('result')))
        return tiny.enlarge(tiny.noise(4, 5))

    monkeypatch.setattr(evaluate, 'super_resolve', look)
    run(mode='test_only', pre_trained_model=tiny.nearest(), test_LR_path='small')
    assert there == [[], ['aX2.png']]


# --- folders that are refused -------------------------------------------------------------------

def refused(program, **flags):
    """What main.py says about an upscaling that it does not begin: no network, nothing written."""
    # A checkpoint that is not there would be told otherwise.
    code, out, err = program(mode='test_only', pre_trained_model='none', **flags)
    assert code == 2 and '->' not in out
    assert not os.path.exists('result')
    assert err.startswith('main.py: ')
    return err[len('main.py: '):]


def test_every_image_that_cannot_be_upscaled_is_named_before_anything_is_written(program):
    tiny.write('small', a=tiny.noise(4, 5), z=tiny.noise(4, 5))
    deep = Image.fromarray(GREY.astype(np.uint16) * 257)
    deep.save('small/deep.png')
    deep.save('small/deep16.tif')
    Image.fromarray(GREY.astype(np.float32)).save('small/float.tiff')
    tiny.write('small', half=tiny.noise(40, 40))
    os.truncate('small/half.png', 900)
    with open('small/text.webp', 'w') as f:
        f.write('no image')
    os.symlink('nowhere', 'small/link.bmp')
    lines = refused(program, test_LR_path='small').splitlines()
    assert lines[0] == '6 images cannot be used; mend or remove them:'
    assert [line.split(': ')[0] for line in lines[1:]] == [
        f'small/{name}' for name in ('deep.png', 'deep16.tif', 'float.tiff', 'half.png',
                                     'link.bmp', 'text.webp')]
    assert lines[1:4] == [
        'small/deep.png: 16 bits a sample; convert it to 8 bits first',
        'small/deep16.tif: 16 bits a sample; convert it to 8 bits first',
        'small/float.tiff: 32 bits a sample; convert it to 8 bits first']


def test_one_image_that_cannot_be_upscaled_is_named_in_one_line(program):
    os.mkdir('small')
    Image.fromarray(GREY.astype(np.uint16)).save('small/deep.png')
    assert refused(program, test_LR_path='small') == (
        'an image cannot be used, mend or remove it: small/deep.png: 16 bits a sample; convert it '
        'to 8 bits first\n')


@pytest.mark.parametrize('lr, result', [
    ('small', 'small'), ('small', './small/'), ('small', 'link'), ('link', 'small'),
    ('small', 'small/sub/..'), ('link', 'link')])
def test_the_results_do_not_go_into_the_folder_of_the_images(program, lr, result):
    tiny.write('small', a=tiny.noise(4, 5))
    os.mkdir('small/sub')
    os.symlink('small', 'link')
    assert refused(program, test_LR_path=lr, result_path=result) == (
        f'{result}: the results need a folder of their own\n')
    assert sorted(os.listdir('small')) == ['a.png', 'sub']


def test_two_images_whose_results_would_have_one_name_are_refused(program):
    tiny.write('small', a=tiny.noise(4, 5))
    Image.fromarray(tiny.noise(4, 5)).save('small/a.jpg')
    assert refused(program, test_LR_path='small') == (
        'small/a.jpg and small/a.png have the same name: keep one of them\n')


@pytest.mark.parametrize('flags, complaint', [
    ({}, 'test_LR_path is missing: give the folder of images to upscale'),
    ({'test_LR_path': 'gone'}, 'no folder of images at gone'),
    ({'test_LR_path': 'empty'},
     'empty: no image in this folder (.png .jpg .jpeg .bmp .webp .tif .tiff)')])
def test_a_folder_of_images_is_needed(program, flags, complaint):
    os.mkdir('empty')
    assert refused(program, **flags) == f'{complaint}\n'


def test_a_name_that_is_no_text_can_be_upscaled_and_told(program):
    name = os.fsdecode(b'no \xff text')
    tiny.write('small', **{name: tiny.noise(4, 5)})
    code, out, err = program(mode='test_only', pre_trained_model=tiny.nearest(),
                             test_LR_path='small', result_path='result')
    assert (code, err) == (0, '')
    assert r'small/no \udcff text.png -> result/no \udcff textX2.png' in out.splitlines()
    assert os.listdir(b'result') == [b'no \xff textX2.png']


# --- the proof of where it ran ------------------------------------------------------------------

@pytest.fixture
def bridge(monkeypatch):
    """The double of npu_bridge is installed, and forgotten afterwards."""
    monkeypatch.syspath_prepend(DOUBLE)
    yield
    for name in [name for name in sys.modules if name.split('.')[0] == 'npu_bridge']:
        del sys.modules[name]


@pytest.mark.parametrize('mode', ['test', 'test_only'])
def test_what_was_to_be_on_the_npu_and_ran_on_the_cpu_ends_with_status_1(program, bridge, mode):
    tiny.write('small', a=tiny.noise(4, 5))
    lr = {'test_only': {'test_LR_path': 'small'}}.get(mode, {})
    code, out, err = program(mode=mode, pre_trained_model=tiny.nearest(), device_kind='npu',
                             save_test_result=True, **lr)
    assert code == 1
    assert err.startswith('main.py: asked to be on the npu, but none of its operations was in the '
                          'graph that ran: it was on the CPU. ')
    assert err.count('\n') == 1
    # Nothing that anybody could take for a result.
    assert files_below('result') == []
    assert tiny.logged(out, 'Y_PSNR') == tiny.logged(out, 'Final PSNR') == []
    assert '->' not in out


def test_what_was_to_be_on_the_gpu_and_ran_on_the_cpu_fails(run, monkeypatch):
    monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: [kind])
    monkeypatch.setitem(device.DEVICES, 'gpu', device.DEVICES['gpu']._replace(
        session_config=device.DEVICES['cpu'].session_config))
    with pytest.raises(TrainError, match='^asked to be on the gpu, .* it was on the CPU'):
        run(mode='test', pre_trained_model=tiny.nearest(), device_kind='gpu')
    assert files_below('result') == []


def test_a_device_that_is_not_there_is_refused(run):
    with pytest.raises(RequestError, match='^--device_kind npu, but no Python package npu_bridge'):
        run(mode='test', pre_trained_model=tiny.nearest(), device_kind='npu')
