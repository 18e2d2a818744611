# SPDX-License-Identifier: Apache-2.0
"""Decoded images on disk: made once, checked, shared, and read without being held.

The numbers in brackets are those of the defects of ModelZoo's own RCAN that must not be ours.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import tiny

from model import cache, data, images

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in a folder of our own with two images, in HR and LR."""
    monkeypatch.chdir(tmp_path)
    for name, seed in (('a', 1), ('b', 2)):
        lr = tiny.noise(9, 8, seed)
        tiny.write('LR', **{f'{name}x2': lr})
        tiny.write('HR', **{name: lr.repeat(2, axis=0).repeat(2, axis=1)})


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded."""
    names, read_rgb = [], images.read_rgb

    def read(path):
        names.append(os.path.basename(path))
        return read_rgb(path)

    monkeypatch.setattr(images, 'read_rgb', read)
    return names


def load(log=print):
    return data.load_pairs('HR', 'LR', 2, '.cache', log)


def files():
    folder = os.path.join('.cache', 'decoded')
    return sorted(os.path.join(folder, name) for name in os.listdir(folder))


def same(pairs, others):
    return all(np.array_equal(p.hr, q.hr) and np.array_equal(p.lr, q.lr)
               for p, q in zip(pairs, others))


# --- made once, and anew where it is no longer right --------------------------------------------

def test_an_image_is_decoded_once(here, decoded):
    first = load()
    assert sorted(decoded) == ['a.png', 'ax2.png', 'b.png', 'bx2.png']
    second = load()
    assert len(decoded) == 4
    assert data.digest(first) == data.digest(second)
    assert same(first, second)


@pytest.mark.parametrize('newer_by_s', [0, 1])
def test_a_changed_image_is_decoded_anew(here, decoded, newer_by_s):
    load()
    before = os.stat('LR/ax2.png')
    # Flat pixels pack into another size of file; other noise would differ in the time alone.
    changed = tiny.noise(9, 8, 7) if newer_by_s else np.zeros((9, 8, 3), np.uint8)
    tiny.write('LR', ax2=changed)
    os.utime('LR/ax2.png', ns=(before.st_atime_ns, before.st_mtime_ns + newer_by_s * 10 ** 9))
    del decoded[:]
    assert np.array_equal(load()[0].lr, changed)
    assert decoded == ['ax2.png']


def test_images_of_one_name_in_two_folders_do_not_mix(here):
    for folder, seed in (('A', 1), ('B', 2)):
        tiny.write(f'{folder}/HR', a=tiny.noise(16, 16, seed))
        os.utime(f'{folder}/HR/a.png', (1, 1))
    pairs = [data.load_pairs(f'{folder}/HR', '', 2, '.cache')[0] for folder in 'AB']
    assert [np.array_equal(p.hr, tiny.noise(16, 16, seed)) for p, seed in zip(pairs, (1, 2))] == [
        True, True]


def one_bit_flipped(content):
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


@pytest.mark.parametrize('damage', [
    one_bit_flipped, lambda content: content[:-1], lambda content: content[:60],
    lambda content: b'', lambda content: b'no array' * 99])
def test_a_damaged_file_is_told_and_decoded_anew(here, decoded, damage):
    good = [np.array(p.lr) for p in load()]
    with open(files()[0], 'rb') as f:
        content = f.read()
    with open(files()[0], 'wb') as f:
        f.write(damage(content))
    del decoded[:]
    notes = []
    mended = load(notes.append)
    assert all(np.array_equal(p.lr, lr) for p, lr in zip(mended, good))
    assert len(decoded) == 1
    assert notes == [f'{files()[0]} is damaged: '
                     f'{"LR" if "x2" in decoded[0] else "HR"}/{decoded[0]} is decoded anew']


def test_a_damaged_file_that_another_run_mends_meanwhile_is_no_failure(here, monkeypatch):
    load()
    with open(files()[0], 'r+b') as f:
        f.truncate(90)
    read_rgb = images.read_rgb

    def mended_first(path):
        monkeypatch.setattr(images, 'read_rgb', read_rgb)
        load()      # the other run, which is done before this one has decoded
        return read_rgb(path)

    monkeypatch.setattr(images, 'read_rgb', mended_first)
    assert np.array_equal(load()[0].lr, tiny.noise(9, 8, 1))
    assert len(files()) == 4


# --- never half of it, whoever else is at work --------------------------------------------------

def test_a_write_that_fails_leaves_nothing(here, monkeypatch):
    def half(f, array):
        f.write(b'half an image')
        raise OSError('No space left on device')

    with monkeypatch.context() as full:
        full.setattr(np, 'save', half)
        with pytest.raises(OSError, match='No space left'):
            load()
    assert files() == []
    assert np.array_equal(load()[0].lr, tiny.noise(9, 8, 1))


def test_what_a_killed_run_has_left_is_never_used(here, monkeypatch):
    load()
    whole = files()[0]
    os.rename(whole, f'{whole}.0123.part')
    with open(f'{whole}.0123.part', 'r+b') as f:
        f.truncate(90)
    assert np.array_equal(load()[0].lr, tiny.noise(9, 8, 1))


def test_the_finished_file_appears_in_one_step(here, monkeypatch):
    save, halves = np.save, []

    def save_and_look(f, array):
        f.write(b'')
        halves.append([name for name in files() if name == f.name[:f.name.index('.npy') + 4]])
        save(f, array)

    monkeypatch.setattr(np, 'save', save_and_look)
    load()
    assert halves == [[]] * 4
    assert len(files()) == 4 and all(name.endswith('.npy') for name in files())


def test_processes_that_start_at_once_all_get_the_same_images(here):
    code = ('from model import data; print(data.digest(data.load_pairs("HR", "LR", 2, ".cache")))')
    runs = [subprocess.Popen([sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': ROOT},
                             stdout=subprocess.PIPE, universal_newlines=True) for _ in range(3)]
    assert {run.communicate()[0].strip() for run in runs} == {data.digest(load())}


# --- read, not held -----------------------------------------------------------------------------

def test_a_batch_from_the_cache_is_the_batch_from_memory(here):
    config, pairs = tiny.config(batch_size=64), load()
    for step in (1, 2):
        assert all(np.array_equal(a, b) for a, b in zip(
            data.sample_batch(pairs, config, step),
            data.sample_batch(data.in_memory(pairs), config, step)))


def test_images_are_in_memory_only_on_demand(here):  # (43)
    pairs = load()
    assert all(isinstance(image, cache.Stored) for p in pairs for image in (p.lr, p.hr))
    (in_ram, _) = data.in_memory(pairs)
    assert type(in_ram.lr) is type(in_ram.hr) is np.ndarray
    assert in_ram.lr.base is in_ram.hr.base is None
    assert np.array_equal(in_ram.lr, pairs[0].lr) and np.array_equal(in_ram.hr, pairs[0].hr)
    assert (in_ram.name, in_ram.digest) == (pairs[0].name, pairs[0].digest)


def held():
    """What this process has open, or mapped, of the cache."""
    opened = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')
              if os.path.islink(f'/proc/self/fd/{fd}')]
    with open('/proc/self/maps', encoding='utf-8', errors='replace') as f:
        return [name for name in (*opened, *f) if '/.cache/decoded/' in name]


@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='only Linux tells')
def test_training_holds_no_image_open_and_none_in_its_memory(here):
    pairs = load()
    data.sample_batch(pairs, tiny.config(batch_size=64), 1)
    assert held() == []
    mapped = np.asarray(pairs[0].lr)
    assert held() and mapped is not None    # so the question is one that can be answered


def test_a_file_that_has_become_shorter_meanwhile_is_an_error_and_no_grey_patch(here):
    pairs = load()
    for name in files():
        os.truncate(name, 130)
    with pytest.raises(images.ImageError, match='has become shorter'):
        data.sample_batch(pairs, tiny.config(batch_size=8), 1)


# --- what people see ----------------------------------------------------------------------------

def test_decoding_tells_how_far_it_is(here, monkeypatch):
    monkeypatch.setattr(images, 'PROGRESS_S', 0)
    notes = []
    load(notes.append)
    folder = os.path.join('.cache', 'decoded')
    assert [note for note in notes if 'decoding' in note] == [
        f'decoding images into {folder}, once: {number} of 4' for number in (1, 2, 3, 4)]


def test_files_that_are_no_images_are_left_out_with_a_note(here):
    for name in ('Thumbs.db', 'notes.txt', '._a.png', '.DS_Store'):
        with open(f'HR/{name}', 'wb') as f:
            f.write(b'no image')
    notes = []
    assert [pair.name for pair in load(notes.append)] == ['a', 'b']
    assert notes == ['HR: no images, left out: .DS_Store, ._a.png, Thumbs.db and 1 more']
