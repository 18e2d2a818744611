# SPDX-License-Identifier: Apache-2.0
"""The command line: python model/main.py --mode train | test | test_only (see config.py)."""

import os
import sys
import warnings

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == '__main__':
    # Python put model/ itself there, where our modules would hide others of the same name.
    sys.path[0] = ROOT

from model import config as configuration  # noqa: E402
from model import data, images, progress  # noqa: E402
from model.errors import ModelError, RequestError  # noqa: E402


def main(argv=None) -> int:
    """Do what --mode says; flags and data are checked before TensorFlow is loaded."""
    config = configuration.from_args(argv)
    log(progress.start('init'))
    {'train': train, 'test': test, 'test_only': test_only}[config.mode](config)
    return 0


def train(config):
    """Train and save; with --test_with_train measure PSNR at every checkpoint."""
    if config.test_with_train and len(config.test_sets) > 1:
        raise RequestError(f'test_with_train measures one test set, not {config.test_set}')
    pairs = data.load_pairs(config.train_GT_path, config.train_LR_path, config.scale,
                            config.cache_path, log)
    data.require_patches(pairs, config.patch_size)
    if config.in_memory:
        pairs = data.in_memory(pairs)
    test_pairs = []
    if config.test_with_train:
        (test_pairs,) = test_data(config).values()
    os.makedirs(config.model_path, exist_ok=True)
    quiet_tensorflow(config.device_kind)
    from model import train as training
    log_config(config, pairs)
    training.train(config, pairs, test_pairs, log)


def test(config):
    """Measure PSNR and SSIM of a checkpoint, on one test set or on several."""
    test_sets = test_data(config)
    quiet_tensorflow(config.device_kind)
    from model import evaluate
    evaluate.test(config, test_sets, log)


def test_only(config):
    """Upscale a folder of images."""
    files = result_files(config)
    quiet_tensorflow(config.device_kind)
    from model import evaluate
    evaluate.test_only(config, files, log)


def result_files(config):
    """The images to upscale, each of which can be; the folder for the results is made at once."""
    if not config.test_LR_path:
        raise RequestError('test_LR_path is missing: give the folder of images to upscale')
    if os.path.realpath(config.result_path) == os.path.realpath(config.test_LR_path):
        raise RequestError(f'{config.result_path}: the results need a folder of their own')
    files = list(data.by_name(config.test_LR_path, log).values())
    images.require_readable(files, log)
    os.makedirs(config.result_path, exist_ok=True)
    return files


def test_data(config):
    """Name of a test set -> its images; the folders for what is written are made at once."""
    test_sets = {}
    for name, (hr_folder, lr_folder) in config.test_sets.items():
        test_sets[name] = data.load_pairs(hr_folder, lr_folder, config.scale, config.cache_path,
                                          log)
        data.require_measurable(test_sets[name], config.scale)
        if config.save_test_result or config.mode == 'test':
            os.makedirs(config.result_folder(name), exist_ok=True)
    return test_sets


def quiet_tensorflow(device_kind: str):
    """Import TensorFlow without its chatter: on a CPU, that it looked for a GPU and found none."""
    warnings.filterwarnings('ignore', category=FutureWarning)  # TensorFlow 1.15 on NumPy >= 1.17
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3' if device_kind == 'cpu' else '1')
    import tensorflow as tf
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)


def log_config(config, pairs):
    """Say in the log what was trained on what: results are compared only where these agree."""
    log(progress.event('config', {
        **{name: getattr(config, name) for name in
           ('preset', 'scale', 'n_feats', 'n_RG', 'n_RCAB', 'kernel_size', 'ratio', 'patch_size',
            'batch_size', 'max_step', 'learning_rate', 'decay_step', 'decay_rate', 'seed',
            'fine_tuning', 'log_freq', 'device_kind', 'precision_mode', 'loss_scale')},
        **configuration.changed(config, (
            'optimizer', 'lr_schedule', 'warmup_step', 'accumulate', 'ema_decay', 'resume',
            'iterations_per_loop', 'mix_compile_mode')),
        'data': data.digest(pairs), 'tensorflow': tensorflow_build()}))


def tensorflow_build() -> str:
    """The version, and whether it is a build with oneDNN, which is another program on a CPU."""
    import tensorflow as tf
    from tensorflow.python import pywrap_tensorflow
    return tf.__version__ + (' (oneDNN)' if pywrap_tensorflow.IsMklEnabled() else '')


def log(text: str):
    """At once: whoever watches the log sees a step when it is done, not a buffer later."""
    print(text, flush=True)


if __name__ == '__main__':
    sys.stdout.reconfigure(errors='backslashreplace')   # a file's name need not be text
    try:
        sys.exit(main())
    except ModelError as e:
        print(f'main.py: {e}', file=sys.stderr)
        sys.exit(2 if isinstance(e, RequestError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as e:    # a folder that cannot be made, a disk that is full
        print(f'main.py: {e}', file=sys.stderr)
        sys.exit(1)
