# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: exchanged with the original, refused where they do not fit, gone on from."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tiny

from model import checkpoint, export, network, original, train
from model.errors import RequestError

LAST = 'model_dir/RCAN_X2_4_1_1-'


pytestmark = pytest.mark.usefixtures('workplace')


def same(values, others):
    return set(values) == set(others) and all(
        np.array_equal(value, others[name]) for name, value in values.items())


# --- exchanged with the original ----------------------------------------------------------------

@pytest.fixture(params=[2, 3, 4])
def config(request):
    return tiny.config(scale=request.param, n_RG=2, n_RCAB=2, mode='test',
                       pre_trained_model='theirs_last-102')


def test_a_checkpoint_of_the_original_gives_its_output(config):
    image = tiny.noise(7, 9)[np.newaxis]
    with tf.Graph().as_default(), tf.Session() as session:
        theirs = original.build(config)
        session.run(tf.global_variables_initializer())
        theirs.saver.save(session, 'theirs_last', global_step=102, write_meta_graph=False)
        expected = session.run(theirs.output, {theirs.lr: image})
    with tf.Graph().as_default(), tf.Session() as session:
        lr = tf.placeholder(tf.float32, [1, 7, 9, 3])
        sr = network.rcan(lr, config)
        checkpoint.load(session, checkpoint.network_values(config))
        assert np.allclose(session.run(sr, {lr: image}), expected, atol=1e-3)


def test_a_checkpoint_of_ours_restores_in_the_original_whole(run, config):
    """All of it: the original restores what Adam has kept as well."""
    trained = tiny.config(scale=config.scale, n_RG=2, n_RCAB=2)
    run(scale=config.scale, n_RG=2, n_RCAB=2)
    prefix = f'model_dir/{trained.model_name}-3'
    image = tiny.noise(7, 9)[np.newaxis]
    with tf.Graph().as_default(), tf.Session() as session:
        theirs = original.build(config)
        theirs.saver.restore(session, prefix)
        found = session.run(theirs.output, {theirs.lr: image})
        assert same({v.op.name: session.run(v) for v in tf.global_variables()},
                    {name: value for name, value in tiny.stored(prefix).items()
                     if name != 'global_step'})
    with tf.Graph().as_default(), tf.Session() as session:
        lr = tf.placeholder(tf.float32, [1, 7, 9, 3])
        sr = network.rcan(lr, trained)
        checkpoint.load(session, tiny.stored(prefix))
        assert np.allclose(session.run(sr, {lr: image}), found, atol=1e-3)


def test_tensorflow_finds_the_newest_checkpoint(run):
    run(max_step=4, model_save_freq=2)
    assert tf.train.latest_checkpoint('model_dir') == os.path.join('model_dir', 'RCAN_X2_4_1_1-4')
    assert tf.train.get_checkpoint_state('model_dir').all_model_checkpoint_paths == [
        f'model_dir/RCAN_X2_4_1_1-{step}' for step in (2, 4)]


# --- a checkpoint knows its network -------------------------------------------------------------

@pytest.mark.parametrize('fields', [
    {}, {'scale': 3}, {'scale': 4}, {'scale': 8}, {'n_RG': 3}, {'n_RCAB': 2}, {'kernel_size': 5},
    {'n_feats': 12, 'ratio': 3}])
def test_a_checkpoint_tells_what_network_it_is_of(run, fields):
    tiny.write('large', a=tiny.smooth(96, 96))
    run(max_step=1, train_GT_path='large', **fields)
    asked = tiny.config(**fields)
    assert checkpoint.network_in(f'model_dir/{asked.model_name}-1') == {
        name: getattr(asked, name) for name in checkpoint.NETWORK}


def test_another_programs_checkpoint_is_refused():
    with tf.Graph().as_default(), tf.Session() as session:
        tf.Variable(1.0, name='weights')
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, 'other')
    with pytest.raises(RequestError, match='^other is no checkpoint of RCAN: it has no conv_SF'):
        checkpoint.network_in('other')


@pytest.mark.parametrize('part', ['.index', '.data-00000-of-00001'])
@pytest.mark.parametrize('damage', [lambda content: content[:len(content) // 2],
                                    lambda content: content[:40] + b'\xff' * 40 + content[80:]])
def test_a_damaged_checkpoint_is_refused_in_one_line(run, part, damage):
    run()
    with open(f'{LAST}3{part}', 'rb') as f:
        content = f.read()
    with open(f'{LAST}3{part}', 'wb') as f:
        f.write(damage(content))
    with pytest.raises(RequestError) as refused:
        run(mode='test', pre_trained_model=f'{LAST}3')
    assert str(refused.value).startswith(f'{LAST}3 is damaged: ')
    assert '\n' not in str(refused.value)


def test_a_missing_data_file_is_told(run):
    run()
    os.remove(f'{LAST}3.data-00000-of-00001')
    with pytest.raises(RequestError, match=f'^{LAST}3 is damaged: '):
        run(mode='test', pre_trained_model=f'{LAST}3')


# --- resume -------------------------------------------------------------------------------------

RECIPES = [{}, {'optimizer': 'lamb', 'lr_schedule': 'cosine', 'warmup_step': 3, 'accumulate': 2,
                'ema_decay': 0.5}]


@pytest.mark.parametrize('recipe', RECIPES)
def test_a_training_that_goes_on_is_the_one_that_was_never_interrupted(run, recipe):
    whole = run(max_step=6, model_save_freq=2, model_path='whole', **recipe)
    shutil.copytree('whole', 'model_dir')
    for name in os.listdir('model_dir'):    # killed after step 4 was saved, before step 6 was
        if '-6.' in name:
            os.remove(os.path.join('model_dir', name))
    rest = run(max_step=6, model_save_freq=2, resume=True, **recipe)
    assert 'going on after step 4 of ./model_dir' in rest
    assert tiny.losses(rest) == tiny.losses(whole)[4:]
    assert [line for line in rest.splitlines() if 'step completed' in line] == [
        '5 training step completed', '6 training step completed']
    assert same(tiny.stored('model_dir/RCAN_X2_4_1_1-6'), tiny.stored('whole/RCAN_X2_4_1_1-6'))


def test_half_a_checkpoint_is_not_gone_on_from(run):
    """The index comes last: what was killed while it wrote has none."""
    run(max_step=4, model_save_freq=2)
    os.remove(f'{LAST}4.index')
    assert 'going on after step 2 ' in run(max_step=4, resume=True)


def test_a_training_goes_on_from_what_was_written_last_not_from_an_older_ones_later_steps(run):
    run(max_step=9, model_save_freq=3, learning_rate=0.01)      # another training, to its end
    whole = run(max_step=6, model_path='whole')
    run(max_step=4)
    rest = run(max_step=6, resume=True)
    assert 'going on after step 4 ' in rest
    assert tiny.losses(rest) == tiny.losses(whole)[4:]


def test_steps_that_a_looping_device_cannot_make_in_whole_calls_are_refused(run):
    run(max_step=3)
    config = tiny.config(device_kind='npu', iterations_per_loop=2, log_freq=2, max_step=6,
                         resume=True)
    with pytest.raises(RequestError, match='^the 3 steps after step 3 are no multiple of '
                       '--iterations_per_loop 2$'):
        train._steps_done(config, print)


def test_a_training_with_nothing_to_go_on_from_begins(run):
    text = run(resume=True)
    assert 'no checkpoint of RCAN_X2_4_1_1 in ./model_dir: from the beginning' in text
    assert tiny.losses(text) == tiny.losses(run())


def test_a_checkpoint_of_another_network_in_the_folder_is_passed_over(run):
    run(n_RCAB=2)
    assert 'from the beginning' in run(resume=True)


def test_what_is_trained_already_is_not_trained_again(run):
    run()
    with pytest.raises(RequestError, match=f'^./{LAST}3 has all 3 steps already: raise --max_step'):
        run(resume=True)
    assert len(tiny.losses(run(resume=True, max_step=5))) == 2


def test_going_on_with_other_flags_says_what_is_missing(run):
    run()
    with pytest.raises(RequestError, match=r'^./model_dir/RCAN_X2_4_1_1-3 does not fit: it lacks '
                       r'conv_SF/filter/Lamb \[3, 3, 3, 4\], .* more. It was trained with other'):
        run(resume=True, max_step=5, optimizer='lamb')


def test_a_fine_tuning_that_goes_on_does_not_begin_again(run):
    run(model_path='first')
    flags = {'fine_tuning': True, 'pre_trained_model': 'first/RCAN_X2_4_1_1-3'}
    whole = run(max_step=6, model_path='whole', **flags)
    run(max_step=3, **flags)
    rest = run(max_step=6, resume=True, **flags)
    assert tiny.losses(rest) == tiny.losses(whole)[3:]


def test_a_checkpoint_that_cannot_be_written_ends_the_training_in_one_line(program, workplace):
    program(max_step=2)
    os.mkdir(f'{LAST}4.data-00000-of-00001')     # what is to be written cannot get its name
    code, _, err = program(max_step=4, resume=True)
    assert code == 1
    assert err.startswith(f'main.py: cannot write the checkpoint ./{LAST}4: ')
    assert err.count('\n') == 1
    assert 'going on after step 2' in program(max_step=3, resume=True)[1]


# --- averages -----------------------------------------------------------------------------------

def test_evaluation_and_fine_tuning_take_the_averages_where_there_are_some(run):
    run(max_step=6, ema_decay=0.9, learning_rate=0.01)
    values = tiny.stored(f'{LAST}6')
    config = tiny.config(mode='test', pre_trained_model=f'{LAST}6')
    with tf.Graph().as_default():
        network.rcan(tf.zeros([1, 6, 6, 3]), config)
        found = checkpoint.network_values(config)
    assert same(found, {name: values[name + checkpoint.AVERAGE] for name in found})
    assert not np.array_equal(found['conv_rec/filter'], values['conv_rec/filter'])


def test_the_averages_measure_as_they_did_in_the_training(run):
    trained = run(max_step=6, ema_decay=0.9, learning_rate=0.01, test_with_train=True)
    tested = run(mode='test', pre_trained_model=f'{LAST}6')
    assert tiny.logged(trained, 'Y_PSNR') == tiny.logged(tested, 'Y_PSNR')


# --- export -------------------------------------------------------------------------------------

def frozen(path):
    graph = tf.GraphDef()
    with open(path, 'rb') as f:
        graph.ParseFromString(f.read())
    return graph


@pytest.mark.parametrize('flags, shape', [([], (9, 11)), ([], (4, 5)),
                                          (['--height', '6', '--width', '7'], (6, 7))])
@pytest.mark.parametrize('trained', [{}, {'scale': 3, 'ema_decay': 0.9, 'learning_rate': 0.01}])
def test_the_frozen_graph_gives_the_checkpoints_output(run, flags, shape, trained):
    run(**trained)
    config = tiny.config(**trained)
    prefix = f'model_dir/{config.model_name}-3'
    assert export.main(['--pre_trained_model', prefix, '--output', 'rcan.pb', *flags]) == 0
    graph = frozen('rcan.pb')
    assert not [node.name for node in graph.node if 'Variable' in node.op or 'Assign' in node.op]
    image = tiny.noise(*shape)[np.newaxis]
    with tf.Graph().as_default(), tf.Session() as session:
        (sr,) = tf.import_graph_def(graph, return_elements=['sr:0'], name='')
        found = session.run(sr, {'lr:0': image})
    with tf.Graph().as_default(), tf.Session() as session:
        lr = tf.placeholder(tf.float32, image.shape)
        sr = network.rcan(lr, config)
        checkpoint.load(session, checkpoint.network_values(
            tiny.config(**{**trained, 'mode': 'test', 'pre_trained_model': prefix})))
        assert np.array_equal(found, session.run(sr, {lr: image}))


def test_an_exported_graph_says_how_it_is_taken(run, capsys):
    run()
    assert export.main(['--pre_trained_model', f'{LAST}3', '--height', '8', '--width', '9']) == 0
    out = capsys.readouterr().out
    assert f'{LAST}3 (x2, 1 groups of 1 blocks, 4 features) -> {LAST}3.pb' in out
    assert f'atc --framework=3 --model={LAST}3.pb' in out and '--input_shape="lr:1,8,9,3"' in out
    (node,) = [node for node in frozen(f'{LAST}3.pb').node if node.op == 'Placeholder']
    assert [d.size for d in node.attr['shape'].shape.dim] == [1, 8, 9, 3]


def test_a_graph_that_gives_another_output_is_not_written(run, monkeypatch):
    run()
    to_constants = tf.graph_util.convert_variables_to_constants

    def wrong(session, graph, outputs):
        session.run(tf.assign(network.variables()[-1], np.full(3, 9.0)))
        return to_constants(session, graph, outputs)

    monkeypatch.setattr(tf.graph_util, 'convert_variables_to_constants', wrong)
    with pytest.raises(export.ModelError, match='gives another output than the checkpoint'):
        export.main(['--pre_trained_model', f'{LAST}3'])
    assert not os.path.exists(f'{LAST}3.pb')


@pytest.mark.parametrize('flags, complaint', [
    (['--pre_trained_model', 'none'], 'no checkpoint at none'),
    ([], 'the following arguments are required: --pre_trained_model'),
    (['--pre_trained_model', 'x', '--height', '0'], '--height and --width must be 1 or more'),
    (['--pre_trained_model', 'x', '--output', 'no/such/x.pb'], 'no folder no/such'),
])
def test_a_wrong_export_is_refused(flags, complaint):
    with pytest.raises(RequestError, match=complaint):
        export.main(flags)
