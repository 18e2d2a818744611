#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint -> frozen graph (.pb), which Ascend's ATC and other converters take.

    python model/export.py --pre_trained_model ckpt/RCAN_X2_64_10_20-1000000 --output rcan.pb

The network is read off the checkpoint.  Input `lr`, float32 [1, height, width, 3] in 0..255; output
`sr`, float32 [1, s*height, s*width, 3], to be rounded and clipped to 0..255.
"""

import os
import sys
from typing import Optional, Sequence

if __name__ == '__main__':
    # Python has put model/ there, where our modules would hide others of the same name.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from model.config import Parser, TrainConfig
from model.errors import ModelError, RequestError

TRIED = (32, 32)    # height and width of the image that shows that the output is the same


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = Parser(description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('--pre_trained_model', required=True, metavar='PREFIX',
                        help='checkpoint prefix, such as ckpt/RCAN_X2_64_10_20-102')
    parser.add_argument('--output', metavar='FILE', help='default: PREFIX.pb')
    parser.add_argument('--height', type=int, help='of the LR image; default: left open')
    parser.add_argument('--width', type=int, help='of the LR image; default: left open')
    args = parser.parse_args(argv)
    for side in (args.height, args.width):
        if side is not None and side < 1:
            raise RequestError(f'--height and --width must be 1 or more, not {side}')
    output = args.output or f'{args.pre_trained_model}.pb'
    folder = os.path.dirname(output) or '.'
    if not os.path.isdir(folder):
        raise RequestError(f'no folder {folder} to write {output} into')
    from model.main import quiet_tensorflow
    quiet_tensorflow('cpu')
    config, graph = freeze(args.pre_trained_model, args.height, args.width)
    write(output, graph.SerializeToString())
    print(f'{args.pre_trained_model} (x{config.scale}, {config.n_RG} groups of {config.n_RCAB} '
          f'blocks, {config.n_feats} features) -> {output}, {len(graph.node)} operations; its '
          'output equals the checkpoint\'s')
    print(f'for an Ascend chip: atc --framework=3 --model={output} --input_format=NHWC '
          f'--input_shape="lr:1,{args.height or "HEIGHT"},{args.width or "WIDTH"},3" '
          f'--output={os.path.splitext(output)[0]} --soc_version=Ascend910A')
    return 0


def freeze(prefix: str, height: Optional[int], width: Optional[int]):
    """The checkpoint's network as a TrainConfig, and its graph with the weights as constants.

    Raises RequestError where there is no such checkpoint, ModelError where the frozen graph gives
    another output than the checkpoint.
    """
    import numpy as np
    import tensorflow as tf

    from model import checkpoint, network
    config = TrainConfig(mode='test', pre_trained_model=prefix, **checkpoint.network_in(prefix))
    shape = [1, height or TRIED[0], width or TRIED[1], 3]
    image = np.random.RandomState(0).randint(0, 256, shape)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        lr = tf.placeholder(tf.float32, [1, height, width, 3], 'lr')
        sr = tf.identity(network.rcan(lr, config), 'sr')
        checkpoint.load(session, checkpoint.network_values(config))
        expected = session.run(sr, {lr: image})
        frozen = tf.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), [sr.op.name])
    with tf.Graph().as_default(), tf.Session() as session:
        (output,) = tf.import_graph_def(frozen, return_elements=['sr:0'], name='')
        if not np.array_equal(session.run(output, {'lr:0': image}), expected):
            raise ModelError(f'the frozen graph of {prefix} gives another output than the '
                             'checkpoint: it was not written')
    return config, frozen


def write(path: str, content: bytes):
    """Replace the file in one step: a reader never sees half a graph."""
    with open(f'{path}.part', 'wb') as f:
        f.write(content)
    os.replace(f'{path}.part', path)


if __name__ == '__main__':
    try:
        sys.exit(main())
    except ModelError as e:
        print(f'export.py: {e}', file=sys.stderr)
        sys.exit(2 if isinstance(e, RequestError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as e:
        print(f'export.py: {e}', file=sys.stderr)
        sys.exit(1)
